"""Prose as one stream of tokens, documents ended by a separator, and the windows of it that steps read.

A step's batch is a function of (seed, step) alone. The stream is passed over in epochs: each cuts it into windows from
another start and takes them in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.config import LanguageDataConfig
from ragyena.data.qa_files import ContextRow, read_contexts
from ragyena.documents.near_duplicates import Overlaps
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError
from ragyena.train.arrays import Arrays, made_of, made_once, read_arrays
from ragyena.train.ranks import Ranks
from ragyena.types import Progress

__all__ = ["LanguageBatch", "Stream", "TokenStream", "prepare_prose", "prose_record"]

_BLOCK = 256  # documents tokenized at once
_MADE = "1"  # to be raised when the same settings and files give other data


@dataclass(frozen=True, slots=True)
class ProseReport:
    """The contents of a packed file of prose."""

    path: Path
    train_documents: int
    train_tokens: int
    dev_documents: int
    dev_tokens: int
    overlapping_documents: int = 0
    """Documents left out of those to train on, which repeat a held-out one."""


def prose_record(config: LanguageDataConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """The settings that the packed file of ``config`` is made of (``ragyena.train.arrays.check_made_of``)."""
    return made_of(config, _MADE, tokenizer)


def prepare_prose(config: LanguageDataConfig, tokenizer: Tokenizer, cache: Path, progress: Progress) -> ProseReport:
    """The packed file of the recipe's prose, made in ``cache`` unless it is there already.

    A document is its title, its text and a separator. Raises DataError where there is nothing to train on.
    """

    def make() -> tuple[Arrays, dict[str, int]]:
        files = [read_contexts([name]).contexts for name in config.prose]
        arrays: Arrays = {"vocab_size": np.array(tokenizer.vocab_size)}
        counts = {}
        for split, most in (("train", config.train_tokens), ("dev", config.dev_tokens)):
            kept = ("", "train") if split == "train" else (split,)
            rows = [[row for row in file if row.split in kept] for file in files]
            if split == "train" and config.held_out_overlap is not None:
                rows, counts["overlapping_documents"] = _apart(rows, files, config.held_out_overlap, progress)
            arrays[split], counts[f"{split}_documents"] = _tokens(rows, most, split, tokenizer, progress)
            counts[f"{split}_tokens"] = len(arrays[split])
        if not len(arrays["train"]):
            raise DataError(
                "there is no prose to train on", hint=f"data.prose names {', '.join(config.prose) or 'nothing'}"
            )
        return arrays, counts

    parts = (config.model_dump_json(), tokenizer.fingerprint)
    path, counts = made_once(cache / "prose", parts, config.prose, make, prose_record(config, tokenizer))
    return ProseReport(path=path, **counts)


def _apart(
    rows: Sequence[Sequence[ContextRow]], files: Sequence[Sequence[ContextRow]], threshold: float, progress: Progress
) -> tuple[list[list[ContextRow]], int]:
    """The rows that do not overlap with a row of ``files`` in the split ``dev``, and the number of those that do."""
    held_out = Overlaps((row.text for file in files for row in file if row.split == "dev"), threshold)
    progress.start("comparing prose with the held-out", sum(len(file) for file in rows), "documents")
    kept: list[list[ContextRow]] = []
    for file in rows:
        kept.append([])
        for row in file:
            progress.advance(1)
            if row.text not in held_out:
                kept[-1].append(row)
    return kept, sum(map(len, rows)) - sum(map(len, kept))


def _tokens(
    files: Sequence[Sequence[ContextRow]], most: int, split: str, tokenizer: Tokenizer, progress: Progress
) -> tuple[npt.NDArray[np.uint16 | np.int32], int]:
    """The documents of all files as one stream of at most about ``most`` tokens, and their number.

    A file's unused part of its equal share is left to those after it.
    """
    progress.start(f"tokenizing prose, {split}", sum(len(rows) for rows in files), "documents")
    pieces: list[npt.NDArray[np.int32]] = []
    separator, taken = np.array([tokenizer.sep_id], np.int32), 0
    documents = 0
    for number, rows in enumerate(sorted(files, key=len)):  # small ones first, for they leave most
        share, used = (most - taken) // (len(files) - number), 0
        for begin in range(0, len(rows), _BLOCK):
            block = rows[begin : begin + _BLOCK]
            progress.advance(len(block))
            texts = [f"{row.title}\n\n{row.text}" if row.title else row.text for row in block]
            for encoding in tokenizer.encode_batch(texts):
                if used >= share:
                    break
                pieces += [encoding.ids, separator]
                used += len(encoding.ids) + 1
                documents += 1
            if used >= share:
                break
        taken += used
    stream = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
    return stream.astype(np.uint16) if tokenizer.vocab_size <= 1 << 16 else stream, documents


@dataclass(frozen=True, slots=True)
class Stream:
    """The packed file of a run, on its device: ids [tokens] of the documents to train on and of those held out."""

    train: Tensor
    dev: Tensor
    vocab_size: int

    @classmethod
    def load(cls, path: Path, device: str) -> Stream:
        """A file written by ``prepare_prose``; DataError where it is not one."""
        arrays = read_arrays(path, ("train", "dev", "vocab_size"), "a packed file of prose")
        train, dev = (torch.from_numpy(arrays[name].astype(np.int32)).to(device) for name in ("train", "dev"))
        return cls(train, dev, int(arrays["vocab_size"]))


@dataclass(frozen=True, slots=True)
class LanguageBatch:
    """Sequences and what follows each of their tokens."""

    ids: Tensor
    """[B, L] int64."""
    targets: Tensor
    """[B, L] int64; below 0 where nothing is predicted."""

    @property
    def tokens(self) -> int:
        return self.ids.numel()


class TokenStream:
    """The windows of a stream of ids as batches of a rank. ``batch(step)`` is the same whenever it is called."""

    def __init__(self, ids: Tensor, *, length: int, sequences: int, seed: int, ranks: Ranks) -> None:
        """``sequences`` of ``length`` tokens a step, over all ranks. Raises DataError for a stream too short."""
        self.ids, self.length, self.sequences, self.seed, self.ranks = ids, length, sequences, seed, ranks
        self.windows = (len(ids) - length) // length  # whatever the start, of `length` tokens and one more
        if self.windows < 1:
            raise DataError(
                f"{len(ids):,} tokens of prose are too few for sequences of {length:,}",
                hint="give more prose, or lower sequence_tokens",
            )
        self._epoch, self._starts = -1, np.zeros(0, np.int64)

    def batch(self, step: int) -> LanguageBatch:
        """This rank's rows of the batch of a step."""
        each = self.sequences // self.ranks.count
        first = step * self.sequences + self.ranks.rank * each
        starts = [self._start(number) for number in range(first, first + each)]
        return windows(self.ids, starts, self.length)

    def _start(self, number: int) -> int:
        """Offset at which the ``number``-th sequence of the run begins."""
        epoch, place = divmod(number, self.windows)
        if epoch != self._epoch:
            chooser = np.random.default_rng((self.seed, epoch))
            offset = int(chooser.integers(self.length))
            self._epoch, self._starts = epoch, offset + self.length * chooser.permutation(self.windows)
        return int(self._starts[place])


def windows(ids: Tensor, starts: Sequence[int], length: int) -> LanguageBatch:
    """The windows of ``length`` tokens that begin at ``starts``."""
    first = torch.tensor(starts, dtype=torch.int64)
    if ids.is_cuda:
        first = first.pin_memory().to(ids.device, non_blocking=True)  # the device is not waited for
    rows = ids[first[:, None] + torch.arange(length + 1, device=ids.device)].long()
    return LanguageBatch(rows[:, :-1], rows[:, 1:])
