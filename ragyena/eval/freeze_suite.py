"""The contexts of a suite in one folder, ``RECIPE.jsonl.xz`` for each part that reads: made where data and index are,
read on a machine that has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragyena.config import PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError, IndexMismatchError, PathNotFoundError, UsageError
from ragyena.eval.freeze import check_frozen
from ragyena.eval.frozen import Frozen
from ragyena.eval.provenance import check_data, origin_digest
from ragyena.eval.run import freeze_to
from ragyena.eval.suite_parts import Part, Suite
from ragyena.reader.reader import Reader
from ragyena.types import Progress

__all__ = ["FrozenPart", "check_contexts", "contexts_file", "freeze_suite"]


@dataclass(frozen=True, slots=True)
class FrozenPart:
    """The contexts of one part, in their file."""

    part: str
    path: Path
    questions: int
    passages: int
    kept: bool
    """Whether they were there from an earlier run."""


def contexts_file(frozen: Path, name: str) -> Path:
    """Where the contexts of a recipe lie: ``frozen`` itself, or in it where it is a folder."""
    return frozen / f"{name}.jsonl.xz" if frozen.is_dir() else frozen


def freeze_suite(
    suite: Suite,
    settings: PipelineConfig,
    folder: Path,
    *,
    data_root: Path,
    index_cache: Path,
    progress: Progress | None,
    began: Callable[[str], None],
) -> Iterator[FrozenPart]:
    """Freezes what reads contexts, part by part; ``began`` is told of each that is made. A file that was frozen from
    the same, for as many questions and contexts or more, is kept; any other is made anew.

    Raises as ``freeze_to``; for data that any part lacks before the first is frozen, and UsageError for a ``folder``
    that is a file, and where no part reads.
    """
    _check(suite, folder)
    for part in suite.reading:
        check_data(part.config, data_root)
    tokenizer = Reader.tokenizer_of(settings.reader)
    for part in suite.reading:
        path = folder / f"{part.name}.jsonl.xz"
        digest = origin_digest(part.config, settings, tokenizer, data_root=data_root, index=index_cache)
        found = _found(part, settings, tokenizer, path, digest)
        if there := found is not None:
            frozen = found
        else:
            began(part.name)
            frozen = freeze_to(
                path, part.config, settings, data_root=data_root, index_cache=index_cache, progress=progress
            )
        assert frozen is not None
        questions = len(frozen.answerable) + len(frozen.unanswerable)
        yield FrozenPart(part.name, path, questions, len(frozen.passages), there)


def check_contexts(suite: Suite, settings: Sequence[PipelineConfig], folder: Path) -> None:
    """Whether ``folder`` holds the contexts of every part that reads, for every reader of ``settings``.

    Raises PathNotFoundError that names what is missing and the command that makes it, and what ``frozen_for`` raises
    for a file that does not hold what is asked for.
    """
    _check(suite, folder)
    missing = [part.name for part in suite.reading if not (folder / f"{part.name}.jsonl.xz").is_file()]
    make = f"where the data and the index are: ragyena eval {suite.recipe} --freeze-only --frozen {folder}"
    if missing:
        raise PathNotFoundError(
            f"there is no file {folder / missing[0]}.jsonl.xz with the contexts of {missing[0]}"
            + (f", nor any of {', '.join(missing[1:])}" if missing[1:] else ""),
            hint=make,
        )
    tokenizers = [Reader.tokenizer_of(one.reader) for one in settings]
    for part in suite.reading:
        path = folder / f"{part.name}.jsonl.xz"
        head = Frozen.load(path, head_only=True)
        for one, tokenizer in zip(settings, tokenizers, strict=True):
            check_frozen(head, part.config, one, tokenizer, path)


def _check(suite: Suite, folder: Path) -> None:
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


def _found(part: Part, settings: PipelineConfig, tokenizer: Tokenizer, path: Path, digest: str) -> Frozen | None:
    """The contexts that are there, if they were frozen from the same and suffice."""
    try:
        if Frozen.load(path, head_only=True).origin.get("digest") != digest:
            return None
        frozen = Frozen.load(path)
        check_frozen(frozen, part.config, settings, tokenizer, path)
    except (PathNotFoundError, DataError, UsageError, IndexMismatchError):  # not there, damaged, or of too few
        return None
    return frozen
