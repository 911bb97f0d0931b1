"""Packed training data: every text as token ids in flat arrays, and the batches drawn from them on the device.

Legend: B contexts, Q question tokens, P passages, S slot tokens, T answer tokens.

A step's batch is a function of (seed, step) alone, so that a resumed run sees the batches the first would have seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.config import StageConfig
from ragyena.errors import DataError
from ragyena.model.inputs import ReaderInput

__all__ = ["ANSWER_TOKENS", "Batch", "PackedData", "Sampler"]

ANSWER_TOKENS = 32  # the longest answer the decoder learns to write, its end token included
_SLOT_LENGTHS = (128, 176, 240)  # slots of single-passage batches; few, since each shape is compiled once
_RANDOM_NEGATIVE = 0.15  # of the negatives, drawn from all passages instead of the retriever's hits
_UNRELATED_QUESTION = 0.3  # of the pseudo-questions on prose, cut from another place


@dataclass(frozen=True, slots=True)
class PackedData:
    """Flat arrays on one device. ``x_offsets[i]:x_offsets[i + 1]`` are the bounds of row i of ``x``."""

    arrays: Mapping[str, Tensor]
    cls_id: int
    sep_id: int

    @classmethod
    def load(cls, path: Path, device: torch.device | str, *, cls_id: int, sep_id: int) -> PackedData:
        """Arrays written by ``ragyena.training.prepare``; DataError where the file is not one of those."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: torch.from_numpy(_signed(file[name])).to(device) for name in file.files}
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path} is not packed training data: {error}", hint="delete it; `ragyena train` makes it again"
            ) from error
        return cls(arrays, cls_id, sep_id)

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    def lengths(self, name: str) -> Tensor:
        offsets = self.arrays[f"{name}_offsets"].long()
        return offsets[1:] - offsets[:-1]

    def rows(self, name: str, index: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Rows ``index`` [...] of a flat array, cut or padded to ``length``: ids [..., length] and their mask."""
        flat, offsets = self.arrays[name], self.arrays[f"{name}_offsets"].long()
        position = torch.arange(length, device=flat.device)
        start, end = offsets[index][..., None], offsets[index + 1][..., None]
        mask = position < end - start
        ids = flat[(start + position).clamp(max=max(flat.shape[0] - 1, 0))].long()
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
    answer_ids: Tensor
    """[B, T] int64: the answer to write and its end token, padded with 0."""
    answer_mask: Tensor
    """[B, T] bool; all False where nothing is to be written."""
    polar: Tensor
    """[B] float: 1 for a yes/no question, 0 for an extractive one, -1 for neither."""
    is_prose: bool
    """Whether this is plain prose under pseudo-questions, which only a teacher can say something about."""

    @property
    def tokens(self) -> int:
        """Tokens of context, padding included."""
        return self.inputs.question_ids.numel() + self.inputs.token_ids.numel()


class Sampler:
    """Draws the batches of a stage. ``batch(step)`` is the same whenever it is called."""

    def __init__(self, data: PackedData, stage: StageConfig, *, seed: int, question_tokens: int) -> None:
        self.data, self.stage, self.seed = data, stage, seed
        self.question_slot = question_tokens + 2
        self.device = data["passages"].device
        gold = data["gold"].long()
        held_out = data["held_out"].bool()
        self.rows, self.held_out = (~held_out).nonzero()[:, 0], held_out.nonzero()[:, 0]
        length = data.lengths("passages")[gold] + 1 + data.lengths("headers")[gold] + 1
        edges = (0, *_SLOT_LENGTHS)
        self.buckets = [
            ((length > low) & (length <= high) & ~held_out).nonzero()[:, 0] for low, high in itertools.pairwise(edges)
        ]
        if sum(len(bucket) for bucket in self.buckets) < len(self.rows):
            raise DataError("some passages are longer than a training slot", hint="lower data.passage_tokens")
        # Every step costs about the same tokens, so a bucket's share of steps is its share of tokens.
        weights = np.array([len(bucket) * high for bucket, high in zip(self.buckets, _SLOT_LENGTHS)], float)
        self.bucket_weights = weights / weights.sum()
        if not len(self.rows):
            raise DataError("every question is held out", hint="lower data.held_out")
        self.most_passages = int(data["negatives"].shape[1])
        if max(stage.passages) > self.most_passages:
            raise DataError(
                f"contexts of {max(stage.passages)} passages need as many negatives; there are {self.most_passages}",
                hint="raise data.negatives or lower the stage's passages",
            )
        self.prose_length = int(data["prose"].shape[0])
        if stage.prose and 0 < self.prose_length <= 3 * _SLOT_LENGTHS[1]:
            raise DataError(
                f"{self.prose_length} tokens of prose are too few", hint="give more, or set the stage's prose to 0"
            )

    def shapes(self) -> list[tuple[int, int]]:
        """The (passages, slot tokens) that batches can have: what is compiled before the clock starts."""
        single = [(1, slot) for slot in _SLOT_LENGTHS]
        return single + [(count, _SLOT_LENGTHS[-1]) for count in self.stage.passages if count > 1]

    def batch(self, step: int, *, shape: tuple[int, int] | None = None) -> Batch:
        """The batch of a step; ``shape`` forces its passages and slot tokens (to compile for it)."""
        chooser = np.random.default_rng((self.seed, step))
        generator = torch.Generator(self.device).manual_seed(int(chooser.integers(2**62)))
        if shape is None and self.prose_length and chooser.random() < self.stage.prose:
            return self._prose(_SLOT_LENGTHS[1], generator)
        weights = np.array(self.stage.passage_weights)
        passages = int(chooser.choice(self.stage.passages, p=weights / weights.sum()))
        bucket = int(chooser.choice(len(self.buckets), p=self.bucket_weights))
        if shape is not None:
            passages, bucket = shape[0], _SLOT_LENGTHS.index(shape[1])
        if passages > 1:
            return self._questions(
                self._draw(self.rows, passages, _SLOT_LENGTHS[-1], generator), passages, _SLOT_LENGTHS[-1], generator
            )
        slot = _SLOT_LENGTHS[bucket]
        return self._questions(self._draw(self.buckets[bucket], 1, slot, generator), 1, slot, generator)

    def held_out_batch(self, step: int, passages: int) -> Batch:
        """Contexts of questions never trained on; like ``batch``, the same whenever it is called."""
        generator = torch.Generator(self.device).manual_seed(step)
        return self._questions(
            self._draw(self.held_out, passages, _SLOT_LENGTHS[-1], generator), passages, _SLOT_LENGTHS[-1], generator
        )

    def _draw(self, rows: Tensor, passages: int, slot: int, generator: torch.Generator) -> Tensor:
        count = max(1, self.stage.tokens_per_step // (passages * slot))
        return rows[torch.randint(len(rows), (count,), generator=generator, device=self.device)]

    def _random(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, device=self.device)

    def _questions(self, question: Tensor, passages: int, slot: int, generator: torch.Generator) -> Batch:
        """Contexts for question rows [B]: the gold passage among hard negatives, at a random slot."""
        data, batch = self.data, question.shape[0]
        gold = data["gold"].long()[question]
        negatives = data["negatives"].long()[question]
        order = self._random(tuple(negatives.shape), generator).argsort(1)[:, :passages]
        chosen = negatives.gather(1, order)
        anything = torch.randint(
            len(data["passages_offsets"]) - 1, tuple(chosen.shape), generator=generator, device=self.device
        )
        chosen = torch.where(self._random(tuple(chosen.shape), generator) < _RANDOM_NEGATIVE, anything, chosen)
        chosen = torch.where(chosen == gold[:, None], (chosen + 1) % (len(data["passages_offsets"]) - 1), chosen)
        slot_of_gold = torch.randint(passages, (batch,), generator=generator, device=self.device)
        answerable = self._random((batch,), generator) >= self.stage.unanswerable
        place = (torch.arange(passages, device=self.device) == slot_of_gold[:, None]) & answerable[:, None]
        passage = torch.where(place, gold[:, None], chosen)
        with_header = self._random((batch,), generator) < self.stage.header
        inputs, text_start = self._fill(question, passage, with_header, slot)
        offset = 1 + slot_of_gold * slot + text_start.gather(1, slot_of_gold[:, None])[:, 0]
        span_start, span_end = data["span_start"].long()[question], data["span_end"].long()[question]
        is_span = span_start >= 0
        null = ~answerable
        start = torch.where(null, 0, torch.where(is_span, offset + span_start, 0))
        end = torch.where(null, 0, torch.where(is_span, offset + span_end, 0))
        answer_ids, answer_mask = data.rows("answers", question, ANSWER_TOKENS)
        return Batch(
            inputs=inputs,
            start=start,
            end=end,
            has_span=is_span | null,
            answer_ids=answer_ids,
            answer_mask=answer_mask & answerable[:, None],
            polar=data["polar"].float()[question],
            is_prose=False,
        )

    def _fill(self, question: Tensor, passage: Tensor, with_header: Tensor, slot: int) -> tuple[ReaderInput, Tensor]:
        """Token slots of questions [B] and passages [B, P]; also where each passage's text starts in its slot."""
        data = self.data
        words, word_mask = data.rows("questions", question, self.question_slot - 2)
        question_ids, question_mask = self._frame(words, word_mask, begin=data.cls_id)
        length = data.lengths("passages")[passage]
        header_length = data.lengths("headers")[passage] * with_header[:, None]
        # [header, separator] text separator; no separator before text that has no header
        text_start = header_length + (header_length > 0)
        position = torch.arange(slot, device=self.device)
        header, _ = data.rows("headers", passage, slot)
        source = position - text_start[..., None]
        flat, offsets = data["passages"], data["passages_offsets"].long()
        text = flat[(offsets[passage][..., None] + source).clamp(0, flat.shape[0] - 1)].long()
        in_header = position < header_length[..., None]
        end = torch.minimum(text_start + length, torch.tensor(slot - 1, device=self.device))  # room for the separator
        text_mask = (source >= 0) & (position < end[..., None])
        separator = ((position == header_length[..., None]) & (header_length[..., None] > 0)) | (
            position == end[..., None]
        )
        ids = torch.where(in_header, header, torch.where(text_mask, text, 0)).masked_fill(separator, data.sep_id)
        inputs = ReaderInput(question_ids, question_mask, ids, position <= end[..., None], text_mask)
        return inputs, text_start

    def _frame(self, ids: Tensor, mask: Tensor, *, begin: int) -> tuple[Tensor, Tensor]:
        """[B, n] -> [B, n + 2] with begin and end tokens around the masked-in ids."""
        length = mask.sum(1, keepdim=True)
        framed = torch.nn.functional.pad(ids, (1, 1))
        framed[:, 0] = begin
        framed.scatter_(1, length + 1, self.data.sep_id)
        return framed, torch.arange(framed.shape[1], device=ids.device) <= length + 1

    def _prose(self, slot: int, generator: torch.Generator) -> Batch:
        """Plain prose under pseudo-questions cut from it (or from elsewhere): for distillation only."""
        batch = max(1, self.stage.tokens_per_step // slot)
        prose = self.data["prose"]
        text_length = slot - 1

        def somewhere(margin: int) -> Tensor:
            return torch.randint(self.prose_length - margin, (batch,), generator=generator, device=self.device)

        start = somewhere(2 * slot)
        shift = (self._random((batch,), generator) * (slot - 48)).long()
        unrelated = self._random((batch,), generator) < _UNRELATED_QUESTION
        question_start = torch.where(unrelated, somewhere(2 * slot), start + shift)
        length = torch.randint(5, 24, (batch, 1), generator=generator, device=self.device)
        position = torch.arange(self.question_slot - 2, device=self.device)
        words = prose[question_start[:, None] + position].long()
        question_ids, question_mask = self._frame(
            words * (position < length), position < length, begin=self.data.cls_id
        )
        text = prose[start[:, None] + torch.arange(text_length, device=self.device)].long()
        ids = torch.nn.functional.pad(text, (0, 1), value=self.data.sep_id)[:, None]
        text_mask = torch.ones_like(ids, dtype=torch.bool)
        text_mask[..., -1] = False
        zeros = torch.zeros(batch, dtype=torch.long, device=self.device)
        return Batch(
            inputs=ReaderInput(question_ids, question_mask, ids, torch.ones_like(text_mask), text_mask),
            start=zeros,
            end=zeros,
            has_span=zeros.bool(),
            answer_ids=zeros[:, None].expand(-1, ANSWER_TOKENS),
            answer_mask=zeros[:, None].expand(-1, ANSWER_TOKENS).bool(),
            polar=zeros.float() - 1,
            is_prose=True,
        )
