"""The use case of ``ragyena eval``: a recipe and readers in, answers scored, dated results out.

Everything a run makes is kept: the index of all passages, the retriever's hits, and each answer of the reader, so that
the same command again continues where it stopped and other readers are shown the same contexts. Contexts can be frozen
in a file and read on a machine that has neither the data nor an index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ragyena import __version__
from ragyena.config import EVAL_INDEX, EVAL_OUT, PipelineConfig
from ragyena.errors import PathNotFoundError, UsageError
from ragyena.eval.compare import Comparison, compare_all, write, write_together
from ragyena.eval.contexts import Frozen, check_frozen
from ragyena.eval.freeze import freeze_to, index_place, needs_index
from ragyena.eval.journal import Journal, digest_of, write_json
from ragyena.eval.layout import Report
from ragyena.eval.questions import data_files, data_stamps, stamps
from ragyena.eval.reading import evaluate_reader
from ragyena.eval.recipe import Evaluation, Part, Setup, load_evaluation
from ragyena.eval.retrieval import RetrievalReport, evaluate_retrieval
from ragyena.reader.opening import folders_of
from ragyena.reader.reader import Reader
from ragyena.settings import load_settings
from ragyena.types import Progress

__all__ = [
    "EvaluationResult",
    "Finished",
    "FrozenPart",
    "Watcher",
    "evaluate",
    "freeze_contexts",
]


@dataclass(frozen=True, slots=True)
class Finished:
    """One reader's result of one part; for a part that only searches, its result."""

    part: str
    reader: str
    """Its checkpoint, as it was named."""
    report: Report | RetrievalReport | None
    """None where the result was there from an earlier run."""
    result: Path

    @property
    def kept(self) -> bool:
        return self.report is None


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The results of an evaluation and, of several readers, their comparisons with the first."""

    results: tuple[Finished, ...]
    comparisons: tuple[Comparison, ...]
    together: tuple[Path, ...]
    """For each part with several readers, the file of all results and comparisons."""

    @property
    def paths(self) -> list[Path]:
        return [one.result for one in self.results]


@dataclass(frozen=True, slots=True)
class FrozenPart:
    """The contexts of one part, in their file."""

    part: str
    path: Path
    questions: int
    passages: int
    kept: bool
    """They were there from an earlier run."""


class Watcher:
    """Receives the events of an evaluation. This one ignores them."""

    def started(self, evaluation: Evaluation, folder: Path, count: int, left_out: Sequence[Part]) -> None:
        """``count`` results or files are to be made in ``folder``; of ``left_out`` there are none."""

    def began(self, part: str, reader: str) -> None:
        """A part is run with a reader, or its contexts are frozen."""

    def finished(self, result: Finished) -> None:
        """A result is written, or was there."""

    def compared(self, comparison: Comparison, path: Path) -> None:
        """Two readers' results are compared, and the comparison written."""

    def frozen(self, part: FrozenPart) -> None:
        """The contexts of a part are written, or were there."""


def evaluate(
    recipe: str | Evaluation | None,
    readers: Sequence[str] = (),
    *,
    settings: PipelineConfig | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: Path = Path(),
    out: Path | None = None,
    index: str | Path = EVAL_INDEX,
    frozen: Path | None = None,
    progress: Progress | None = None,
    watcher: Watcher | None = None,
) -> EvaluationResult:
    """Evaluates readers, by their checkpoints, on a recipe; of a suite, each part with each reader.

    ``settings`` are those of the pipeline (None: as ``ragyena ask`` finds them) and name the reader where ``readers``
    does not. ``overrides`` lie over the recipe. ``index`` is an index by name or folder, or the folder in which one of
    all passages is built; unused where nothing is retrieved. With ``frozen``, contexts of ``freeze_contexts``, neither
    data nor index are touched, and parts that only search are passed over.

    A part of a suite that is finished is not run again, unless its recipe, the settings, the reader or the data have
    changed. Raises what ``evaluate_reader`` and ``evaluate_retrieval`` raise; of a suite, for data or contexts that any
    part lacks, and for a reader that cannot be opened, before the first part is run.
    """
    evaluation = recipe if isinstance(recipe, Evaluation) else load_evaluation(recipe, overrides)
    settings = load_settings().config if settings is None else settings
    readers = readers or [settings.reader.checkpoint]
    variants = [
        settings.model_copy(update={"reader": settings.reader.model_copy(update={"checkpoint": checkpoint})})
        for checkpoint in readers
    ]
    out, watcher = out or EVAL_OUT / evaluation.name, watcher or Watcher()
    parts = evaluation.parts if frozen is None or not evaluation.is_suite else evaluation.reading
    place = _index_of(parts, index, settings) if frozen is None else Path(index)
    if evaluation.is_suite:
        _check_before(evaluation, variants, data_root, frozen)
    elif evaluation.searching and (frozen or len(readers) > 1):
        raise _reads_nothing()
    count = sum(len(variants) if part.reads else 1 for part in parts)
    watcher.started(evaluation, out, count, [part for part in evaluation.parts if part not in parts])
    results: list[Finished] = []
    comparisons: list[Comparison] = []
    together: list[Path] = []
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(out / "finished.jsonl")) if evaluation.is_suite else None
        for part in parts:
            contexts = None if frozen is None else _contexts_file(frozen, part.name)
            setups = [Setup(part.config, variant, part.name, data_root, out, place, progress) for variant in variants]
            of_part = [_result(setup, contexts, journal, watcher) for setup in (setups if part.reads else setups[:1])]
            results += of_part
            if len(of_part) > 1:
                its_comparisons, path = _compare(part.name, of_part, out, watcher, evaluation.is_suite)
                comparisons += its_comparisons
                together.append(path)
    if evaluation.is_suite:  # for the report: the order in which the recipes are shown
        order = {"suite": evaluation.name, "recipes": [part.name for part in parts]}
        write_json(out / f"{evaluation.name}.suite.json", order)
    return EvaluationResult(tuple(results), tuple(comparisons), tuple(together))


def _result(setup: Setup, contexts: Path | None, journal: Journal | None, watcher: Watcher) -> Finished:
    """One reader's result of one part. With a ``journal``, of a suite, a result of the same is kept."""
    reader = setup.settings.reader.checkpoint
    digest = _digest(setup, contexts) if journal else ""
    done = [setup.out / row["result"] for row in journal.rows if row["digest"] == digest] if journal else []
    if done and done[-1].is_file():
        result = Finished(setup.name, reader, None, done[-1])
    else:
        watcher.began(setup.name, reader)
        retrieves = setup.config.task == "retrieval"
        report, path = evaluate_retrieval(setup) if retrieves else evaluate_reader(setup, contexts)
        result = Finished(setup.name, reader, report, path)
        if journal:
            journal.append([{"digest": digest, "part": setup.name, "reader": reader, "result": path.name}])
    watcher.finished(result)
    return result


def _compare(
    name: str, results: Sequence[Finished], out: Path, watcher: Watcher, is_suite: bool
) -> tuple[list[Comparison], Path]:
    """Compares each reader with the first, and writes all of it to one file; of one recipe also each comparison."""
    paths = [one.result for one in results]
    together = out / f"{name}-{len(paths)}-readers.json"
    if is_suite and together.is_file() and all(one.kept for one in results):
        return [], together
    comparisons = compare_all(paths)
    if not is_suite:
        date = comparisons[0].date
        together = out / f"{date}-{name}-{len(paths)}-readers.json"
        labels = [path.stem.partition(f"-{name}-")[2] for path in paths]
        for comparison, label in zip(comparisons, labels[1:], strict=True):
            path = out / f"{date}-{name}-{labels[0]}-vs-{label}.json"
            write(comparison, path)
            watcher.compared(comparison, path)
    write_together(paths, comparisons, together)
    return comparisons, together


def freeze_contexts(
    evaluation: Evaluation,
    into: Path,
    *,
    settings: PipelineConfig | None = None,
    data_root: Path = Path(),
    index: str | Path = EVAL_INDEX,
    progress: Progress | None = None,
    watcher: Watcher | None = None,
) -> list[FrozenPart]:
    """Writes the contexts of an evaluation to the file ``into``; of a suite, ``RECIPE.jsonl.xz`` of each part that
    reads to that folder. A file that was frozen from the same data and settings, for as much or more, is kept.

    Nothing is read by the reader, but its tokenizer cuts the passages. Raises as ``evaluate_reader``; for data that any
    part lacks, before the first is frozen.
    """
    settings = load_settings().config if settings is None else settings
    watcher = watcher or Watcher()
    if not evaluation.is_suite and not evaluation.reading:
        raise _reads_nothing()
    if evaluation.is_suite:
        _check_folder(evaluation, into)
    place = _index_of(evaluation.reading, index, settings)
    setups = [Setup(part.config, settings, part.name, data_root, into, place, progress) for part in evaluation.reading]
    for setup in setups:
        _ = setup.files
    watcher.started(evaluation, into, len(setups), evaluation.searching)
    tokenizer = Reader.tokenizer_of(settings.reader)
    parts = []
    for setup in setups:
        path = into / f"{setup.name}.jsonl.xz" if evaluation.is_suite else _contexts_file(into, setup.name)
        frozen, kept = freeze_to(path, setup, tokenizer, partial(watcher.began, setup.name, settings.reader.checkpoint))
        questions = len(frozen.answerable) + len(frozen.unanswerable)
        parts.append(FrozenPart(setup.name, path, questions, len(frozen.passages), kept))
        watcher.frozen(parts[-1])
    return parts


# ---------------------------------------------------------------------------------------------------------------
# Where things are, and whether they are the same as before
# ---------------------------------------------------------------------------------------------------------------


def _reads_nothing() -> UsageError:
    return UsageError(
        "the task 'retrieval' reads nothing: --frozen, --freeze-only and several readers mean nothing to it",
        hint="leave them out",
    )


def _index_of(parts: Sequence[Part], index: str | Path, settings: PipelineConfig) -> Path:
    """The place of the index; where no part retrieves it is not looked at, which would need FAISS."""
    return index_place(index, settings) if any(needs_index(part.config) for part in parts) else Path(index)


def _contexts_file(frozen: Path, name: str) -> Path:
    """The contexts of a recipe: ``frozen`` itself, or in it where it is a folder."""
    return frozen / f"{name}.jsonl.xz" if frozen.is_dir() else frozen


def _check_before(suite: Evaluation, variants: Sequence[PipelineConfig], data_root: Path, frozen: Path | None) -> None:
    """Raises for data, contexts or readers that any part of a suite lacks."""
    if frozen is None:
        for part in suite.parts:
            data_files(part.config, data_root)
    else:
        _check_folder(suite, frozen)
        missing = [part.name for part in suite.reading if not (frozen / f"{part.name}.jsonl.xz").is_file()]
        if missing:
            raise PathNotFoundError(
                f"there is no file {frozen / missing[0]}.jsonl.xz with the contexts of {missing[0]}"
                + (f", nor any of {', '.join(missing[1:])}" if missing[1:] else ""),
                hint=f"where data and index are: ragyena eval {suite.recipe} --freeze-only --frozen {frozen}",
            )
        for part in suite.reading:
            path = frozen / f"{part.name}.jsonl.xz"
            head = Frozen.load(path, head_only=True)
            for variant in variants:
                check_frozen(head, part.config, variant, Reader.tokenizer_of(variant.reader), path)
    for variant in variants:
        Reader.open(variant.reader)


def _check_folder(suite: Evaluation, folder: Path) -> None:
    if not suite.reading:
        raise UsageError(
            f"nothing of the suite '{suite.name}' reads contexts that could be frozen",
            hint="run it where the index is, without --frozen and --freeze-only",
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"--frozen {folder} is a file; the contexts of a suite are a folder with one for each recipe",
            hint="name a folder",
        )


def _digest(setup: Setup, contexts: Path | None) -> str:
    """Identifies everything that a result depends on: a part with the same is not run again."""
    settings = setup.settings
    shaped_by: dict[str, Any] = {
        "part": setup.name,
        "config": setup.config.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json", exclude={"reader": {"checkpoint"}}),
        "reader": stamps(folders_of(settings.reader.checkpoint)),
        "version": __version__,
    }
    if contexts is not None:  # wherever the file lies
        with contexts.open("rb") as file:
            shaped_by["contexts"] = hashlib.file_digest(file, "sha256").hexdigest()
    else:
        shaped_by |= {"data": data_stamps(setup.files), "index": str(setup.index.resolve())}
    return digest_of(shaped_by, 16)
