"""``ragyena eval``: how well a reader answers a set of questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragyena.cli.console import TerminalProgress, interruptible, output
from ragyena.cli.options import PipelineOption, QuietOption, configure, whole_numbers
from ragyena.config import EVAL_INDEX, EVAL_OUT
from ragyena.errors import UsageError

if TYPE_CHECKING:
    from ragyena.config import PipelineConfig
    from ragyena.eval.recipe import Part

__all__ = ["command"]


def command(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe of configs/eval by name, or a YAML file; not needed with --data.")
    ] = None,
    reader: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|PATH", help="A reader by name or checkpoint folder; repeat to compare others with the first."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Questions: JSON lines, SQuAD JSON, a folder or a Hugging Face dataset."),
    ] = None,
    passages: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Passages that question rows refer to by passage_id.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="Evaluate rows of this source only; repeatable.")] = None,
    among: Annotated[
        list[str] | None,
        typer.Option(metavar="K,K...", help="Passages in a context; 1 is the question's own context alone."),
    ] = None,
    context_tokens: Annotated[
        list[str] | None,
        typer.Option(metavar="N,N...", help="Context lengths (4096,8192); without a recipe, evaluate end to end."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Evaluate at most N questions; 0 for all.")] = None,
    timed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Also time N contexts of each condition one by one, for percentiles."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a setting of the recipe (seed=1, split=test); repeatable."
        ),
    ] = None,
    data_root: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder that data paths are relative to.")] = Path(),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help=f"Folder of answers and report; by default {EVAL_OUT}/RECIPE."
        ),
    ] = None,
    index: Annotated[
        str,
        typer.Option(
            "--index",
            "-i",
            metavar="NAME|FOLDER",
            help="An existing index, or the folder in which one is built and reused.",
        ),
    ] = EVAL_INDEX,
    frozen: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Read contexts from this file or folder, made by --freeze-only, instead of data and index.",
        ),
    ] = None,
    freeze_only: Annotated[
        bool,
        typer.Option(
            "--freeze-only", help="Only write the contexts, to --frozen or else into OUT; a folder for a suite."
        ),
    ] = False,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MEASURE=N", help="Exit with 1 if a measure is below N: em=70, em@32=60, auroc=0.9, recall@10=0.8."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N (setting reader.device).")] = None,
    pipeline: PipelineOption = None,
    quiet: QuietOption = False,
) -> None:
    """Score a reader: exact match and F1 with 95% intervals, passage selection, abstention, speed.

    The same command continues a stopped run. Results are written as dated JSON, with one more file for the comparison
    of several readers, and shown in report.html and report.md. A recipe may be a suite, a list of recipes with one
    report: `paper` is one.
    """
    from ragyena.cli.eval_views import Printer
    from ragyena.eval import targets
    from ragyena.eval.recipe import load_evaluation
    from ragyena.eval.run import evaluate, freeze_contexts
    from ragyena.report.write import load_page, write_page

    wanted = [targets.parse(text) for text in fail_under or []]
    overrides = {
        "questions": data or None,
        "passages": passages or None,
        "sources": source or None,
        "among": whole_numbers("--among", among),
        "context_tokens": whole_numbers("--context-tokens", context_tokens),
        "limit": limit,
        "timed": timed,
    }
    settings = configure(pipeline, {"reader.device": device})
    evaluation = load_evaluation(recipe, overrides, set_ or [])
    if evaluation.parts[0].config.task == "evidence":
        if wanted or freeze_only or frozen:
            raise UsageError(
                "the task 'evidence' knows no --fail-under, --frozen or --freeze-only",
                hint="it searches its own index, built under --index, and keeps its measures in --out",
            )
        _choose_evidence(evaluation.parts[0], settings, reader or [], data_root, out, Path(index), quiet)
        return
    if any(part.config.task == "documents" for part in evaluation.parts):
        if wanted or freeze_only or evaluation.is_suite or index != EVAL_INDEX:
            raise UsageError(
                "the task 'documents' makes its own index; it knows no --index, --fail-under, --freeze-only or suite",
                hint="with --frozen FILE it writes its contexts to the file, or reads them from it",
            )
        _ask_documents(evaluation.parts[0], settings, reader or [], data_root, out, frozen, quiet)
        return
    targets.check(wanted, evaluation)
    folder = out or EVAL_OUT / evaluation.name
    places: dict[str, Any] = {"settings": settings, "data_root": data_root, "index": index}
    safe = f"the answers so far are kept in {folder}; the same command continues"
    with interruptible(safe), TerminalProgress(quiet=quiet) as progress:
        printer = Printer(None if quiet else progress)
        places |= {"progress": progress, "watcher": printer}
        if freeze_only:
            contexts = folder / ("contexts" if evaluation.is_suite else "contexts.jsonl.xz")
            freeze_contexts(evaluation, frozen or contexts, **places)
            return
        result = evaluate(evaluation, reader or [], out=folder, frozen=frozen, **places)
        page = load_page(result.paths, progress)
        printer.end(result, page, write_page(page, folder))
    problems = [
        problem for one in result.results for target in wanted if one.report and (problem := target.below(one.report))
    ]
    for problem in problems:
        typer.echo(f"below the target: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def _ask_documents(
    part: Part,
    settings: PipelineConfig,
    readers: list[str],
    data_root: Path,
    out: Path | None,
    frozen: Path | None,
    quiet: bool,
) -> None:
    from ragyena.cli.eval_views import comparison_lines, document_lines
    from ragyena.eval.document_compare import compare_documents, write_document_comparison
    from ragyena.eval.documents import evaluate_documents
    from ragyena.eval.recipe import Setup
    from ragyena.eval.results import find_documents
    from ragyena.report.write import load_page, write_page

    folder, paths = out or EVAL_OUT / part.name, []
    for name in readers or [settings.reader.checkpoint]:
        one = settings.model_copy(update={"reader": settings.reader.model_copy(update={"checkpoint": name})})
        with interruptible("nothing was kept"), TerminalProgress(quiet=quiet) as progress:
            setup = Setup(part.config, one, part.name, data_root, folder, progress=progress)
            report, path = evaluate_documents(setup, frozen)
        paths.append(path)
        for line in document_lines(report):
            output().print(line, highlight=False)
        output().print(f"\n  {path}\n")
    first, *others = find_documents(paths)[part.name]
    for other in others:
        comparisons = compare_documents(first, other)
        for line in comparison_lines(comparisons):
            output().print(line, highlight=False)
        together = folder / f"{first.file.stem}-vs-{other.file.stem}.json"
        write_document_comparison(comparisons, together)
        output().print(f"\n  {together}\n")
    for path in write_page(load_page(paths), folder):
        output().print(f"  {path}")


def _choose_evidence(
    part: Part,
    settings: PipelineConfig,
    readers: list[str],
    data_root: Path,
    out: Path | None,
    index: Path,
    quiet: bool,
) -> None:
    from ragyena.cli.eval_views import evidence_lines
    from ragyena.eval.evidence import evaluate_evidence
    from ragyena.eval.recipe import Setup

    folder = out or EVAL_OUT / part.name
    for name in readers or [settings.reader.checkpoint]:
        one = settings.model_copy(update={"reader": settings.reader.model_copy(update={"checkpoint": name})})
        safe = f"the questions done are kept in {folder}; the same command continues"
        with interruptible(safe), TerminalProgress(quiet=quiet) as progress:
            report, path = evaluate_evidence(Setup(part.config, one, part.name, data_root, folder, index, progress))
        for line in evidence_lines(report):
            output().print(line)
        output().print(f"\n  {path}\n")
