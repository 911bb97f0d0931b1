"""``ragyena eval``: how well a reader answers a set of questions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ragyena.cli import eval_bars
from ragyena.cli.console import TerminalProgress, interruptible, output
from ragyena.cli.options import PipelineOption, QuietOption, configure, whole_numbers
from ragyena.errors import UsageError

__all__ = ["command"]


def command(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe of configs/eval by name, or a YAML file; not needed with --data.")
    ] = None,
    reader: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A checkpoint folder, or shipped; several are compared with the first."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Questions: JSON lines, SQuAD JSON, a folder or a Hugging Face dataset."),
    ] = None,
    passages: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Passages that questions name by passage_id.")
    ] = None,
    unanswerable: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Questions whose context holds no answer.")
    ] = None,
    data_root: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder that relative data paths are under.")
    ] = Path(),
    split: Annotated[str | None, typer.Option(help="Ask rows of this split (setting split of the recipe).")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Ask rows of this source only; may be repeated.")] = None,
    among: Annotated[
        list[str] | None, typer.Option(metavar="K,K...", help="Passages that compete; 1 is the own context alone.")
    ] = None,
    context_tokens: Annotated[
        list[str] | None,
        typer.Option(metavar="N,N...", help="Context lengths: 4096,8192,131072. Without a recipe, asked end to end."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Ask at most N questions; 0 for all.")] = None,
    timed: Annotated[
        int | None, typer.Option(metavar="N", help="Also read N contexts of each condition alone, for percentiles.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="For answers and report; else runs/eval/RECIPE."),
    ] = None,
    index: Annotated[
        str,
        typer.Option(
            "--index", "-i", metavar="NAME|FOLDER", help="An index to ask; else where one is built and reused."
        ),
    ] = "runs/eval/index",
    frozen: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Contexts of --freeze-only, a file or a folder: neither data nor index are needed."
        ),
    ] = None,
    freeze_only: Annotated[
        bool,
        typer.Option("--freeze-only", help="Only write the contexts, to --frozen, else into OUT; of a suite a folder."),
    ] = False,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="MEASURE=N", help="Exit with 1 below this: em=70, em@32=60, auroc=0.9, recall@10=0.8."),
    ] = None,
    reranker: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Task retrieval: a cross-encoder that ranks the hits anew; none ships."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N (setting reader.device).")] = None,
    pipeline: PipelineOption = None,
    quiet: QuietOption = False,
) -> None:
    """Score a reader: exact match and F1 with 95% intervals, passage selection, abstention, speed.

    A run that was stopped goes on with the same command. Results are written as dated JSON; of several readers, all
    results and comparisons in one more file. report.html and report.md show them. A recipe may be a suite, a list of
    recipes that end on one page: `paper` is one.
    """
    from ragyena.cli.eval_suite import freeze as freeze_suite
    from ragyena.cli.eval_suite import run as run_suite
    from ragyena.cli.eval_views import comparison_lines, report_lines, retrieval_lines
    from ragyena.eval.compare import compare_all, write, write_together
    from ragyena.eval.freeze_suite import contexts_file
    from ragyena.eval.run import evaluate, freeze_to, load_config, place_of
    from ragyena.eval.suite import load_suite
    from ragyena.eval.tasks import condition_names
    from ragyena.report.write import report as write_report

    if recipe is None and not data:
        raise UsageError("there is nothing to evaluate on", hint="ragyena eval RECIPE, or ragyena eval --data FILE")
    bars = [eval_bars.parse(text) for text in fail_under or []]
    flags = {
        "questions": data or None,
        "passages": passages or None,
        "unanswerable": unanswerable or None,
        "split": split,
        "sources": source or None,
        "among": whole_numbers("--among", among),
        "context_tokens": whole_numbers("--context-tokens", context_tokens),
        "limit": limit,
        "timed": timed,
        "reranker": reranker,
    }
    readers: list[str | None] = [*reader] if reader else [None]
    settings = [configure(pipeline, {"reader.checkpoint": name, "reader.device": device}) for name in readers]
    suite = load_suite(recipe, flags)
    reads_frozen = frozen is not None and not freeze_only  # no index is looked at, nor what indexes need imported
    place = Path(index) if reads_frozen else place_of(index, settings[0])
    if suite is not None:
        if bars:
            raise UsageError(f"--fail-under means nothing to the suite '{suite.name}'", hint="run one of its recipes")
        folder = out or Path("runs/eval") / suite.name
        if freeze_only:
            into = frozen or folder / "contexts"
            freeze_suite(suite, settings[0], into, data_root=data_root, index_cache=place, quiet=quiet)
        else:
            run_suite(suite, settings, data_root=data_root, out=folder, index_cache=place, frozen=frozen, quiet=quiet)
        return
    config, name = load_config(recipe, flags)
    eval_bars.check(bars, config, condition_names(config))
    folder = out or Path("runs/eval") / name
    contexts = contexts_file(frozen, name) if frozen else None
    safe = f"the answers so far are kept in {folder}; the same command goes on"
    console = output()
    if config.task == "retrieval":
        if frozen or freeze_only or len(readers) > 1:
            raise UsageError(
                "the task 'retrieval' reads nothing: --frozen, --freeze-only and several readers mean nothing to it",
                hint="leave them out",
            )
        from ragyena.eval.run_retrieval import evaluate_retrieval

        with interruptible(safe), TerminalProgress(quiet=quiet) as progress:
            found, path = evaluate_retrieval(
                config,
                settings[0],
                name=name,
                data_root=data_root,
                out=folder,
                index_cache=place,
                progress=progress,
            )
        for line in retrieval_lines(found):
            console.print(line)
        console.print(f"\n  {path}")
        for page in write_report([path], folder):
            console.print(f"  {page}")
        _end(bar.below_found(found) for bar in bars)
        return
    if freeze_only:
        path = contexts or folder / "contexts.jsonl.xz"
        with interruptible(safe), TerminalProgress(quiet=quiet) as progress:
            made = freeze_to(path, config, settings[0], data_root=data_root, index_cache=place, progress=progress)
        console.print(
            f"{path}: {len(made.answerable) + len(made.unanswerable):,} questions, {len(made.passages):,} passages, "
            f"{path.stat().st_size / 2**20:.1f} MiB"
        )
        return
    results: list[Path] = []
    missed: list[str] = []
    for one in settings:
        with interruptible(safe), TerminalProgress(quiet=quiet) as progress:
            report, path = evaluate(
                config,
                one,
                name=name,
                data_root=data_root,
                out=folder,
                index_cache=place,
                frozen=contexts,
                progress=progress,
            )
        results.append(path)
        for line in report_lines(report):
            console.print(line)
        console.print(f"\n  {path}\n")
        missed += [problem for bar in bars if (problem := bar.below(report))]
    comparisons = compare_all(results)
    for comparison, other in zip(comparisons, results[1:], strict=True):
        path = folder / f"{comparison.date}-{name}-{_name(results[0], name)}-vs-{_name(other, name)}.json"
        write(comparison, path)
        for line in comparison_lines(comparison):
            console.print(line)
        console.print(f"\n  {path}\n")
    if comparisons:
        path = folder / f"{comparisons[0].date}-{name}-{len(results)}-readers.json"
        write_together(results, comparisons, path)
        console.print(f"  all of them together: {path}\n")
    with interruptible(safe), TerminalProgress(quiet=quiet) as progress:
        for path in write_report(results, folder, progress):
            console.print(f"  {path}")
    _end(missed)


def _end(problems: Iterable[str | None]) -> None:
    """Exit code 1 where a figure is below its bar."""
    missed = [problem for problem in problems if problem]
    for problem in missed:
        typer.echo(f"below the bar: {problem}", err=True)
    if missed:
        raise typer.Exit(1)


def _name(result: Path, recipe: str) -> str:
    """What stands for the reader in the name of its result."""
    return result.stem.partition(f"-{recipe}-")[2]
