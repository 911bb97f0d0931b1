"""The use case of ``ragyena train tune``: one's own questions and documents in, a reader that knows them better out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ragyena.config import PipelineConfig, ReaderModelConfig, TuneConfig
from ragyena.errors import CheckpointError, DataError, UsageError
from ragyena.eval.journal import write_text
from ragyena.index.index import Index
from ragyena.model.checkpoint import load_config, load_model, save_checkpoint
from ragyena.model.confidence import save_calibration
from ragyena.model.input_ranges import RangeMeter, save_ranges
from ragyena.model.reader_model import ReaderModel
from ragyena.reader.opening import chosen_dtype, in_floating_point
from ragyena.reader.packing import capacity
from ragyena.reader.reader import Reader
from ragyena.readers import reader_folder, reader_folders
from ragyena.train.reader_task import STORAGE
from ragyena.tune.card import model_card
from ragyena.tune.confidence import refit
from ragyena.tune.contexts import Example, make_examples
from ragyena.tune.fit import Fitted, Tuner
from ragyena.tune.measure import Compared, answers_of, compare
from ragyena.tune.places import Located, locate
from ragyena.tune.questions import OwnQuestion, read_own_questions
from ragyena.tune.sample import load_sample
from ragyena.types import Progress

__all__ = ["Split", "Tuned", "split_questions", "tune"]

_LEAST = 10
"""Questions with a place: with fewer nothing can be learned or measured."""
_LEAST_DOCUMENTS = 5  # from which whole documents are held out
_SHOWN = 10  # lines that cannot be used, named one by one


@dataclass(frozen=True, slots=True)
class Split:
    """Questions by what they are for."""

    train: tuple[Located, ...]
    validation: tuple[Located, ...]
    held_out: tuple[Located, ...]
    by_document: bool
    """No document of ``held_out`` is one of the others."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A tuned reader, and how it compares with the one it was made from."""

    checkpoint: Path
    base: str
    questions: int
    """Usable questions of the file."""
    problems: tuple[str, ...]
    """``line N: reason`` of each that could not be used."""
    trained: int
    validation: int
    by_document: bool
    """Held-out questions are about documents that no other question is about."""
    config: TuneConfig
    fitted: Fitted
    minutes: float
    """Seconds of the whole, measurements included."""
    held_out: Compared | None
    sample: Compared | None
    """The shipped sample's dev questions. Both are None after an interrupt."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons not to use the reader, or not everywhere."""
        said = []
        if self.fitted.loss_after >= self.fitted.loss_before:
            said.append("the validation questions gained nothing: more questions, or other ones, are needed")
        if self.held_out and self.held_out.right.after < self.held_out.right.before:
            said.append("fewer of the held-out questions are right than before: keep the reader you have")
        if self.sample and self.sample.right.after < self.sample.right.before - self.config.sample_worse:
            said.append(
                f"the reader got worse on other documents (the shipped sample: {self.sample.right.before:.0%} right "
                f"before, {self.sample.right.after:.0%} after): use it for these documents alone"
            )
        for one in (self.held_out, self.sample):
            if one and one.withheld.before - one.withheld.after > self.config.withheld_less:
                said.append(
                    f"the reader withholds fewer answers ({one.withheld.before:.0%} of the answerable ones before, "
                    f"{one.withheld.after:.0%} now), wrong ones too: raise --threshold, or add questions without answer"
                )
                break
        return tuple(said)


def tune(
    questions: Path,
    out: Path,
    *,
    index: str | None,
    documents: Sequence[Path],
    settings: PipelineConfig,
    config: TuneConfig,
    progress: Progress,
) -> Tuned:
    """Tunes the reader of ``settings`` on the questions of a file about the documents of an index, or about the files
    of ``documents``; writes the checkpoint folder ``out``.

    An interrupt (Ctrl-C) before the first epoch is over leaves nothing, a later one the best epoch so far.

    Raises PathNotFoundError and DataError for a file that cannot be used, UsageError for a folder that holds something
    else, errors of indexes and readers, and StorageError.
    """
    began = time.monotonic()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already and not empty", hint="name another folder: --out FOLDER")
    asked, problems = read_own_questions(questions)
    folder, model = _start(settings)
    reader = Reader.open(settings.reader.model_copy(update={"threshold": 0.0}))
    located, unplaced = _located(asked, index, documents, settings, progress)
    problems += unplaced
    chosen = split_questions(located, config, questions, problems)
    sample = load_sample()
    make = _examples_of(reader, config, settings)
    train, faults = make(chosen.train, unanswerable=True)
    problems += faults
    validation, faults = make(chosen.validation, unanswerable=True)
    problems += faults
    problems.sort(key=_line)
    _name_problems(problems, questions, progress)
    chooser = random.Random(config.seed)
    wanted = round(len(chosen.train) * config.replay / max(1 - config.replay, 0.01))
    replayed = chooser.sample(sample.train, min(len(sample.train), wanted))
    rest = [one for one in sample.train if one not in replayed][: max(20, 2 * len(validation))]
    replay, _ = make(replayed, unanswerable=False)
    guard, _ = make(rest, unanswerable=False)
    progress.note(
        f"{len(chosen.train)} questions to train on, {len(chosen.validation)} to choose by, "
        f"{len(chosen.held_out)} held out ({'of other documents' if chosen.by_document else 'of the same documents'})"
    )
    short = settings.packer.model_copy(update={"context_tokens": config.sample_tokens})
    measured = (
        (chosen.held_out, settings, "asking the held-out questions"),
        (sample.dev, settings.model_copy(update={"packer": short}), "asking the shipped sample"),
    )
    before = [answers_of(reader, *one, progress) for one in measured]
    dtype = chosen_dtype(settings.reader.dtype, torch.device("cpu"))
    tuner = Tuner(model, config, dtype, progress)
    fitted = tuner.fit(train, replay, validation, guard)
    if fitted.interrupted and fitted.loss_after == float("inf"):
        raise KeyboardInterrupt
    result = Tuned(
        out,
        reader.name,
        len(located),
        tuple(problems),
        len(chosen.train),
        len(chosen.validation),
        chosen.by_document,
        config,
        fitted,
        (time.monotonic() - began) / 60,
        None,
        None,
    )
    save_checkpoint(
        out,
        model.state_dict(),
        model.config,
        tokenizer=folder / "tokenizer.json",
        card=model_card(result, questions),
        storage=STORAGE["compact"],
    )
    save_calibration(out, reader.calibration)
    if fitted.interrupted:
        return result
    as_tuned = settings.reader.model_copy(update={"threshold": 0.0, "checkpoint": str(out)})
    unseen = [*chosen.validation, *(one for one in sample.train if one not in replayed)]
    plain = Reader.open(in_floating_point(as_tuned))
    with RangeMeter(plain.model) as meter:
        save_calibration(out, refit(plain, unseen, measured[1][1], progress))
    if meter.ranges is not None:
        save_ranges(out, meter.ranges)
    tuned = Reader.open(as_tuned)
    after = [answers_of(tuned, *one, progress) for one in measured]
    result = replace(
        result,
        held_out=compare(chosen.held_out, before[0], after[0]),
        sample=compare(sample.dev, before[1], after[1]),
        minutes=(time.monotonic() - began) / 60,
    )
    write_text(out / "README.md", model_card(result, questions))
    return result


def _start(settings: PipelineConfig) -> tuple[Path, ReaderModel]:
    """The folder of the reader to tune, and its model in fp32. Raises CheckpointError."""
    if len(reader_folders(settings.reader.checkpoint)) > 1:
        raise UsageError(f"{settings.reader.checkpoint} is several readers", hint="tune one of them: --reader NAME")
    folder = reader_folder(settings.reader.checkpoint)
    architecture = load_config(folder)
    if not isinstance(architecture, ReaderModelConfig):
        raise CheckpointError(f"{folder} holds no reader", hint="give a reader's checkpoint folder")
    return folder, load_model(ReaderModel, architecture, folder)


def _located(
    asked: Sequence[OwnQuestion],
    index: str | None,
    documents: Sequence[Path],
    settings: PipelineConfig,
    progress: Progress,
) -> tuple[list[Located], list[str]]:
    if documents and index is not None:
        raise UsageError("an index and documents were both given", hint="give one of --index and --documents")
    hits = settings.retriever.top_k or capacity(settings.packer)
    if not documents:
        with Index.open(index, settings=settings) as opened:
            return locate(asked, opened, hits=hits, progress=progress)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "index"
        with Index.open(place, create=True, lazy=True, settings=settings) as made:
            made.add(list(documents), progress=progress)
        with Index.open(place, settings=settings) as opened:
            return locate(asked, opened, hits=hits, progress=progress)


def split_questions(located: Sequence[Located], config: TuneConfig, file: Path, problems: Sequence[str] = ()) -> Split:
    """Held-out, validation and training questions; by whole documents where there are enough of them.

    Raises DataError where there are too few questions.
    """
    if len(located) < _LEAST:
        first = f"; {'; '.join(problems[:3])}" if problems else ""
        raise DataError(
            f"{len(located)} of the questions of {file} can be used, and {_LEAST} are needed{first}",
            hint="name the document of each answer, or quote the text around it; fifty questions or more are of use",
        )
    groups: dict[str, list[Located]] = {}
    for one in located:
        groups.setdefault(one.document, []).append(one)
    by_document = len(groups) >= _LEAST_DOCUMENTS and max(map(len, groups.values())) <= len(located) / 3
    units = list(groups.values()) if by_document else [[one] for one in located]
    random.Random(config.seed).shuffle(units)
    held_out = _take(units, config.held_out * len(located))
    left = len(located) - len(held_out)
    validation = _take(units, config.validation * left)
    return Split(
        tuple(one for unit in units for one in unit), tuple(validation), tuple(held_out), by_document=by_document
    )


def _take(units: list[list[Located]], wanted: float) -> list[Located]:
    """Takes units off the list until they hold about as many questions as are wanted, and at least two."""
    taken: list[Located] = []
    for unit in list(units):
        short = max(2.0, wanted) - len(taken)
        if short <= 0:
            break
        if len(unit) <= 2 * short:  # it brings the number nearer to the wanted one
            taken += unit
            units.remove(unit)
    return taken


def _examples_of(
    reader: Reader, config: TuneConfig, settings: PipelineConfig
) -> Callable[..., tuple[list[Example], list[str]]]:
    def make(located: Sequence[Located], *, unanswerable: bool) -> tuple[list[Example], list[str]]:
        return make_examples(
            located,
            reader.tokenizer,
            config,
            header_tokens=settings.packer.header_tokens,
            max_question_tokens=settings.reader.max_question_tokens,
            unanswerable=unanswerable,
        )

    return make


def _line(problem: str) -> int:
    return int(problem.split(":", 1)[0].removeprefix("line "))


def _name_problems(problems: Sequence[str], file: Path, progress: Progress) -> None:
    for problem in problems[:_SHOWN]:
        progress.note(f"{file}, {problem}")
    if len(problems) > _SHOWN:
        progress.note(f"{file}: {len(problems) - _SHOWN} more lines cannot be used")
