"""Packed training data: every text as token ids in flat arrays on the training device, and batches of them.

Legend: B contexts, Q question tokens, P passages, S slot tokens, T answer tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.model.inputs import ReaderInput
from ragyena.train.arrays import read_arrays
from ragyena.train.places import without_documents

__all__ = ["Batch", "Edit", "PackedData", "either"]

_FLAT = (
    *("questions", "perturbed", "answers", "passages", "headers", "alias_phrases", "blanks", "table_plain"),
    *("row_heads", "row_keys", "row_values", "row_words"),
)
_ROWS = ("gold", "span", "sentence", "name", "polar", "held_out", "context_of", "idf")
_CLOZES = ("cloze_passage", "cloze_sentence", "cloze_answer", "cloze_elsewhere", "cloze_kind")
_TABLES = ("table_question", "table_evidence", "table_negatives")
_PIECES = ("blank_kinds", "name_heads", "name_tails", "full_stop")
_ARRAYS = (*_FLAT, *(f"{name}_offsets" for name in _FLAT), *_ROWS, *_CLOZES, *_TABLES, *_PIECES)
"""The arrays that ``prepare`` writes."""
_RENAMED = {
    "sayings": "alias_phrases",
    "sayings_offsets": "alias_phrases_offsets",
    "table_others": "table_negatives",
    "table_told": "table_evidence",
    "twisted": "perturbed",
    "twisted_offsets": "perturbed_offsets",
}
"""Arrays by their names in files of the version before, which are read as well."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces tokens ``start`` to ``end`` (exclusive) of a text by the first ``length`` of ``ids``.

    ``start``, ``end`` and ``length`` are int64 of the shape [...] of the texts, ``ids`` is [..., K].
    """

    start: Tensor
    end: Tensor
    ids: Tensor
    length: Tensor

    @classmethod
    def none(cls, like: Tensor) -> Edit:
        """An edit of texts [...] that changes nothing."""
        zero = torch.zeros_like(like)
        return cls(zero, zero, zero[..., None], zero)


@dataclass(frozen=True, slots=True)
class PackedData:
    """Flat arrays on one device. ``x_offsets[i]:x_offsets[i + 1]`` are the bounds of row i of ``x``."""

    arrays: Mapping[str, Tensor]
    cls_id: int
    sep_id: int

    @classmethod
    def load(cls, path: Path, device: torch.device | str, *, cls_id: int, sep_id: int) -> PackedData:
        """Arrays written by ``ragyena.train.prepare``; DataError where the file is not of those, or lacks some."""
        read = read_arrays(path, _ARRAYS, "packed training data", _RENAMED)
        read = {**without_documents(read["span"]), **read}  # files of the version before have none
        arrays = {name: torch.from_numpy(_signed(array)).to(device) for name, array in read.items()}
        return cls(arrays, cls_id, sep_id)

    def joined(self, more: Mapping[str, Tensor]) -> PackedData:
        """The same data with further arrays."""
        return PackedData({**self.arrays, **more}, self.cls_id, self.sep_id)

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    @property
    def source_names(self) -> list[str]:
        """The names that the numbers of ``source`` stand for."""
        return bytes(self.arrays["source_names"].tolist()).decode().split("\n")

    @property
    def device(self) -> torch.device:
        """Device of the arrays."""
        return self.arrays["passages"].device

    @property
    def passages(self) -> int:
        """Number of passages."""
        return int(self.arrays["passages_offsets"].shape[0]) - 1

    def lengths(self, name: str) -> Tensor:
        offsets = self.arrays[f"{name}_offsets"].long()
        return offsets[1:] - offsets[:-1]

    def rows(self, name: str, index: Tensor, length: int, edit: Edit | None = None) -> tuple[Tensor, Tensor]:
        """Rows ``index`` [...] of a flat array, edited, cut or padded to ``length``: ids [..., length], their mask."""
        offsets = self.arrays[f"{name}_offsets"].long()
        return self.stretch(name, offsets[index], offsets[index + 1], length, edit)

    def stretch(
        self, name: str, start: Tensor, end: Tensor, length: int, edit: Edit | None = None
    ) -> tuple[Tensor, Tensor]:
        """As ``rows``, of places ``start`` to ``end`` (exclusive) [...] of the flat array."""
        flat = self.arrays[name]
        position = torch.arange(length, device=flat.device)
        total = (end - start)[..., None]
        if edit is None:
            source, inserted = position, None
        else:
            first, gone, new = edit.start[..., None], (edit.end - edit.start)[..., None], edit.length[..., None]
            inserted = (position >= first) & (position < first + new)
            source = torch.where(position < first, position, position - new + gone)
            total = total - gone + new
        ids = flat[(start[..., None] + source).clamp(0, max(flat.shape[0] - 1, 0))].long()
        if edit is not None and inserted is not None:
            place = (position - edit.start[..., None]).clamp(0, edit.ids.shape[-1] - 1).expand(ids.shape)
            ids = torch.where(inserted, edit.ids.gather(-1, place), ids)
        mask = position < total
        return ids * mask, mask


def _signed(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """torch indexes with signed integers only."""
    return array.astype(np.int32) if array.dtype in (np.uint16, np.uint32) else array


@dataclass(frozen=True, slots=True)
class Batch:
    """Contexts with their targets. Target positions count over [null, slot 0, slot 1, ...] flattened; null is 0."""

    inputs: ReaderInput
    start: Tensor
    """[B] int64 flattened position at which the answer starts."""
    end: Tensor
    """[B] int64 flattened position of the answer's last token."""
    has_span: Tensor
    """[B] bool; False where the answer is no span of the context (and the context does hold it)."""
    more: Tensor
    """[B, K, 2] int64: start and end of the other items where the answer is a list; -1 where there are fewer."""
    evidence: Tensor
    """[B, P, S] bool: tokens around the answer, and others that are needed to find it."""
    answer_ids: Tensor
    """[B, T] int64: the answer to write and its end token, padded with 0."""
    answer_mask: Tensor
    """[B, T] bool; all False where nothing is to be written."""
    polar: Tensor
    """[B] float: 1 for a yes/no question, 0 for an extractive one, -1 for neither."""
    listed: Tensor
    """[B] float: 1 for a question that asks for a list, 0 for another question, -1 where it is not known."""
    plain_ids: Tensor
    """[B, Q] int64: the question with names in the place of aliases and descriptions, for a teacher that reads each
    passage alone and cannot resolve those."""
    plain_mask: Tensor
    """[B, Q] bool."""

    @property
    def plain(self) -> ReaderInput:
        """The contexts under the question with names."""
        return replace(self.inputs, question_ids=self.plain_ids, question_mask=self.plain_mask)

    @property
    def tokens(self) -> int:
        """Tokens of context, padding included."""
        return self.inputs.question_ids.numel() + self.inputs.token_ids.numel()


def either(which_B: Tensor, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Ids and masks [B, n]: of the ``one`` where ``which_B``, else of the ``other``."""
    return torch.where(which_B[:, None], one[0], other[0]), torch.where(which_B[:, None], one[1], other[1])
