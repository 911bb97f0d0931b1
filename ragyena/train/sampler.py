"""The batches of a stage, drawn on the training device.

Legend: B contexts, Q question tokens, P passages, S slot tokens.

A step's batch is a function of (seed, step) alone, so that a resumed run sees the batches the first would have seen.
A context is a question's gold passage among its hard negatives, slots shuffled; where there are more passages than
those, hard negatives of related questions and random passages too. Some questions are made unanswerable: the gold
passage is left out, the answer's sentence is taken out of it, or the question is perturbed. In some contexts of several
passages a name of the question becomes an alias that another passage explains (two hops). Some are parts of a table
with linked articles, whose question needs a row and an article. Cloze questions on plain text find their answer in
another place that holds the blanked string.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.config import ContextStageConfig
from ragyena.config.training import Sampling
from ragyena.errors import DataError
from ragyena.model.inputs import ReaderInput
from ragyena.train.augment.aliases import Aliases
from ragyena.train.packed import Batch, Edit, PackedData, either
from ragyena.train.places import MORE_SPANS

__all__ = ["Sampler"]


@dataclass(frozen=True, slots=True)
class _Target:
    """The answers of a batch, before they are put in context."""

    gold: Tensor
    """[B] passage."""
    span: Tensor
    """[B, 2] tokens of the passage: first, one after the last; negative for none."""
    gone: Tensor
    """[B, 2] tokens taken out of the gold passage; equal for none."""
    missing: Tensor
    """[B] bool: the context is to hold no answer."""
    absent: Tensor
    """[B] bool: the context is to hold no gold passage."""
    more: Tensor
    """[B, K, 2] tokens of the passage: the other items of a list; negative for none."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Evidence outside the gold passage: the slot of a passage in the context, and tokens of it."""

    slot: Tensor
    """[B]; -1 for nothing."""
    tokens: Tensor
    """[B, 2]: first, one after the last."""

    def mask(self, text_start: Tensor, slot_tokens: int) -> Tensor:
        """[B, P, S] bool, from where each text starts in its slot [B, P]."""
        here = torch.arange(text_start.shape[1], device=self.slot.device) == self.slot[:, None]
        position = torch.arange(slot_tokens, device=self.slot.device) - text_start[..., None]
        first, end = (self.tokens[:, k, None, None] for k in (0, 1))
        return here[..., None] & (position >= first) & (position < end)


class Sampler:
    """Draws the batches of a stage. ``batch(step)`` is the same whenever it is called.

    ``data`` are packed arrays with their hard negatives (``ragyena.train.mining``). ``asked`` is True for the questions
    that are drawn; all are where it is not given.
    """

    def __init__(
        self,
        data: PackedData,
        stage: ContextStageConfig,
        *,
        seed: int,
        question_tokens: int,
        asked: Tensor | None = None,
    ) -> None:
        self.data, self.stage, self.seed = data, stage, seed
        self.question_tokens = question_tokens
        self.device = data.device
        held_out = data["held_out"].bool()
        asked = torch.ones_like(held_out) if asked is None else asked
        if not bool(asked.any()):
            raise DataError("the data have no question of the kind that the stage asks", hint="name more files in data")
        if bool((held_out | ~asked).all()):
            raise DataError("every question is held out", hint="lower data.held_out")
        self.held_out = (held_out & asked).nonzero()[:, 0]
        self.held_out = self.held_out.repeat_interleave(data["repeat"].long()[self.held_out])
        self.tables = data["table_question"].long()
        of_table = torch.zeros_like(held_out)
        of_table[self.tables] = True
        usable = asked & ~held_out & ~of_table
        self.rows, self.weights = self._by_slot(data["gold"].long(), usable, data["repeat"].long())
        self.has_further = bool((data["further_evidence"][:, 0] >= 0).any())
        if stage.tables and not len(self.tables):
            raise DataError(
                "there are no questions on tables", hint="name data.hybrid_documents, or set the stage's tables to 0"
            )
        self.table_of = torch.full((len(held_out),), -1, device=self.device)  # of each question, -1 for none
        self.table_of[self.tables] = torch.arange(len(self.tables), device=self.device)
        self.negatives = data["negatives"].long().clone()
        table_negatives = data["table_negatives"].long()[:, : self.negatives.shape[1]]
        mined = self.negatives[self.tables, : table_negatives.shape[1]]
        self.negatives[self.tables, : table_negatives.shape[1]] = torch.where(
            table_negatives >= 0, table_negatives, mined
        )
        kept_back = torch.zeros(int(data["context_of"].max()) + 1, dtype=torch.bool, device=self.device)
        kept_back[data["context_of"].long()[data["gold"].long()[self.held_out]]] = True
        usable = (data["cloze_gold"] >= 0) & ~kept_back[data["context_of"].long()[data["cloze_passage"].long()]]
        self.clozes, self.cloze_weights = self._by_slot(data["cloze_gold"].long().clamp(min=0), usable)
        if stage.cloze and not bool(usable.any()):
            raise DataError("there are no cloze questions", hint="raise data.clozes, or set the stage's cloze to 0")
        self.aliases = Aliases(data, entity_bridge=stage.entity_bridge)
        self.most_passages = int(self.negatives.shape[1])
        self.question_on = torch.full((data.passages,), -1, device=self.device)  # a question on each passage
        trained = (~held_out & ~of_table).nonzero()[:, 0]
        self.question_on.scatter_reduce_(0, data["gold"].long()[trained], trained, "amax")

    def _by_slot(
        self, gold: Tensor, usable: Tensor, repeat: Tensor | None = None
    ) -> tuple[list[Tensor], npt.NDArray[np.float64]]:
        """Rows whose gold passage fits each slot length and none shorter, each ``repeat`` times, and the share of steps
        they get."""
        length = (self.data.lengths("passages") + 1 + self.data.lengths("headers") + 1)[gold]
        if bool((usable & (length > Sampling.SLOT_TOKENS[-1])).any()):
            raise DataError("some passages are longer than a training slot", hint="lower data.passage_tokens")
        edges = (0, *Sampling.SLOT_TOKENS)
        rows = [((length > low) & (length <= high) & usable).nonzero()[:, 0] for low, high in itertools.pairwise(edges)]
        if repeat is not None:
            rows = [of.repeat_interleave(repeat[of]) for of in rows]
        # Every step costs about the same tokens, so a bucket's share of steps is its share of tokens.
        weights = np.array([len(bucket) * high for bucket, high in zip(rows, Sampling.SLOT_TOKENS)], float)
        return rows, weights / max(weights.sum(), 1.0)

    def shapes(self) -> list[tuple[int, int]]:
        """The (passages, slot tokens) that batches can have, to compile beforehand."""
        single = [(1, slot) for slot in Sampling.SLOT_TOKENS] if 1 in self.stage.passages else []
        return single + [(count, Sampling.SLOT_TOKENS[-1]) for count in self.stage.passages if count > 1]

    def batch(self, step: int, *, shape: tuple[int, int] | None = None) -> Batch:
        """The batch of a step; ``shape`` forces its passages and slot tokens (to compile for it)."""
        chooser = np.random.default_rng((self.seed, step))
        generator = torch.Generator(self.device).manual_seed(int(chooser.integers(2**62)))
        is_cloze = chooser.random() < self.stage.cloze
        weights = np.array(self.stage.passage_weights)
        passages = int(chooser.choice(self.stage.passages, p=weights / weights.sum()))
        buckets, shares = (self.clozes, self.cloze_weights) if is_cloze else (self.rows, self.weights)
        bucket = int(chooser.choice(len(buckets), p=shares))
        if shape is not None:
            passages, bucket = shape[0], Sampling.SLOT_TOKENS.index(shape[1])
        slot = Sampling.SLOT_TOKENS[bucket] if passages == 1 else Sampling.SLOT_TOKENS[-1]
        of = buckets[bucket] if passages == 1 else torch.cat(buckets)
        if not len(of):  # only when compiling for a shape that no row has
            of = torch.cat(buckets)
        rows = self._draw(of, passages, slot, generator)
        if self.stage.tables and passages > 1 and not is_cloze:
            of_tables = self.tables[self._below(len(self.tables), tuple(rows.shape), generator)]
            rows = torch.where(self._random(tuple(rows.shape), generator) < self.stage.tables, of_tables, rows)
        return self._cloze(rows, passages, slot, generator) if is_cloze else self._ask(rows, passages, slot, generator)

    def held_out_batch(self, step: int, passages: int) -> Batch:
        """Contexts of held-out questions; like ``batch``, the same whenever it is called."""
        generator = torch.Generator(self.device).manual_seed(step)
        slot = Sampling.SLOT_TOKENS[-1]
        return self._ask(self._draw(self.held_out, passages, slot, generator), passages, slot, generator)

    def held_out_rows(self, step: int, passages: int) -> Tensor:
        """[B] the questions of a held-out batch."""
        generator = torch.Generator(self.device).manual_seed(step)
        return self._draw(self.held_out, passages, Sampling.SLOT_TOKENS[-1], generator)

    def _draw(self, rows: Tensor, passages: int, slot: int, generator: torch.Generator) -> Tensor:
        count = max(1, self.stage.tokens_per_step // (passages * slot))
        return rows[torch.randint(len(rows), (count,), generator=generator, device=self.device)]

    def _random(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, device=self.device)

    def _below(self, limit: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randint(limit, shape, generator=generator, device=self.device)

    # -- questions -----------------------------------------------------------------------------------------------

    def _ask(self, question: Tensor, passages: int, slot: int, generator: torch.Generator) -> Batch:
        """Contexts for question rows [B]: the gold passage among hard negatives, at a random slot."""
        data, stage, batch = self.data, self.stage, question.shape[0]
        draw = self._random((batch,), generator)
        absent = (draw < stage.unanswerable) & ~data["required"][question].bool()
        span, sentence = data["span"].long()[question], data["sentence"].long()[question]
        bound = stage.unanswerable + stage.sentence_removed
        cut = (draw >= stage.unanswerable) & (draw < bound) & (sentence[:, 0] >= 0)
        # Each question's perturbations stand together, as many for each; they are empty where it has none.
        each = len(data["perturbed_offsets"]) // len(data["gold"])
        row = question * each + self._below(each, (batch,), generator)
        perturbed = (draw >= bound) & (draw < bound + stage.perturbed) & (data.lengths("perturbed")[row] > 0)
        gold = data["gold"].long()[question]
        chosen, place = self._passages(gold, span, self.negatives[question], passages, absent, generator)
        evidence: _Evidence | None = None
        if (stage.tables or self.has_further) and passages > 1:
            chosen, evidence = self._put_evidence(chosen, place, question, generator)
        edit = Edit.none(question)
        inserted, explains = Edit.none(chosen), torch.zeros_like(chosen, dtype=torch.bool)
        if passages >= 3 and stage.alias:
            aliased = (draw >= bound + stage.perturbed) & self.aliases.named[question]
            aliased &= self._random((batch,), generator) < stage.alias
            edit, inserted, explains = self.aliases.edits(question, aliased, place, passages, generator)
        other = data.rows("perturbed", row, self.question_tokens)
        plain = either(perturbed, other, data.rows("questions", question, self.question_tokens))
        if stage.tables and evidence is not None:
            table = self.table_of[question]
            named = data.rows("table_plain", table.clamp(min=0), self.question_tokens)
            plain = either(table >= 0, named, plain)
        question_words = either(perturbed, other, data.rows("questions", question, self.question_tokens, edit))
        gone = torch.where(cut[:, None], sentence, 0)
        missing = absent | cut | perturbed | data["missing"][question].bool()
        target = _Target(gold, span, gone, missing, absent, data["more_spans"].long()[question])
        answers = data.rows("answers", question, Sampling.ANSWER_TOKENS)
        return self._context(
            question_words, plain, chosen, place, target, inserted, explains, evidence, slot, answers,
            data["polar"].float()[question], data["listed"].float()[question], generator,
        )  # fmt: skip

    def _put_evidence(
        self, chosen: Tensor, place: Tensor, question: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, _Evidence]:
        """``chosen`` [B, P] with the other passage that an answer needs, if it needs one, in another slot than the gold
        one's ``place`` [B], and where it is."""
        batch, passages = chosen.shape
        further = self.data["further_evidence"].long()[question]
        if len(self.tables):
            table = self.table_of[question]
            of_table = self.data["table_evidence"].long()[table.clamp(min=0)]
            further = torch.where((table >= 0)[:, None], of_table, further)
        passage, first, end = further.unbind(1)
        slots = torch.arange(passages, device=self.device)
        at = (place + 1 + self._below(passages - 1, (batch,), generator)) % passages
        twice = (chosen == passage[:, None]) & (slots != place[:, None])
        chosen = torch.where(twice, self._below(self.data.passages, (batch, passages), generator), chosen)
        here = (slots == at[:, None]) & (passage >= 0)[:, None]
        chosen = torch.where(here, passage[:, None], chosen)
        return chosen, _Evidence(torch.where(passage >= 0, at, -1), torch.stack([first, end], 1))

    def _passages(
        self, gold: Tensor, span: Tensor, hard: Tensor, passages: int, absent: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Passages [B, P], and the slot [B] that the ``gold`` one [B] has (or would have). ``span`` [B, 2] is the
        answer in it; ``hard`` [B, N] are negatives."""
        batch, count = gold.shape[0], self.data.passages
        hard = hard.long()
        order = self._random(tuple(hard.shape), generator).argsort(1)[:, :passages]
        chosen = hard.gather(1, order)
        if chosen.shape[1] < passages:  # longer contexts than there are hard negatives
            more = self._below(count, (batch, passages - chosen.shape[1]), generator)
            if self.stage.related:
                more = self._related(gold, span, hard, more, generator)
            chosen = torch.cat([chosen, more], 1)
            mixed = self._random(tuple(chosen.shape), generator).argsort(1)
            chosen = chosen.gather(1, mixed)
        anything = self._below(count, tuple(chosen.shape), generator)
        chosen = torch.where(self._random(tuple(chosen.shape), generator) < Sampling.RANDOM_NEGATIVES, anything, chosen)
        chosen = torch.where(chosen == gold[:, None], (chosen + 1) % count, chosen)
        place = self._below(passages, (batch,), generator)
        here = (torch.arange(passages, device=self.device) == place[:, None]) & ~absent[:, None]
        return torch.where(here, gold[:, None], chosen), place

    def _related(self, gold: Tensor, span: Tensor, hard: Tensor, other: Tensor, generator: torch.Generator) -> Tensor:
        """Passages [B, M]: those of ``other``, some replaced by hard negatives of a question on one of the ``hard``
        negatives, which are near in topic. None of these holds the answer."""
        negatives = self.negatives
        neighbour = self.question_on[hard.gather(1, self._below(hard.shape[1], tuple(other.shape), generator))]
        theirs = negatives[neighbour.clamp(min=0), self._below(negatives.shape[1], tuple(other.shape), generator)]
        wanted = (self._random(tuple(other.shape), generator) < self.stage.related) & (neighbour >= 0)
        return torch.where(wanted & ~self._holds(theirs, gold, span), theirs, other)

    def _holds(self, passage: Tensor, gold: Tensor, span: Tensor) -> Tensor:
        """Mask of passages that hold the first tokens of an answer (``span`` [B, 2] of ``gold`` [B]): [B, M] bool."""
        data = self.data
        begin = data["passages_offsets"].long()[gold]
        answer, known = data.stretch("passages", begin + span[:, 0], begin + span[:, 1], Sampling.COMPARED_TOKENS)
        ids, mask = data.rows("passages", passage, Sampling.SLOT_TOKENS[-1])
        ids = ids.masked_fill(~mask, -1)
        match = (span[:, 0] >= 0)[:, None, None] & mask
        for piece in range(Sampling.COMPARED_TOKENS):
            same = torch.nn.functional.pad(ids[..., piece:] == answer[:, piece, None, None], (0, piece))
            match = match & (same | ~known[:, piece, None, None])
        return match.any(-1)

    # -- cloze questions -----------------------------------------------------------------------------------------

    def _cloze(self, row: Tensor, passages: int, slot: int, generator: torch.Generator) -> Batch:
        """Contexts for cloze rows [B]: a sentence with a blank, answered by another place that holds the string."""
        data, batch = self.data, row.shape[0]
        own, gold = data["cloze_passage"].long()[row], data["cloze_gold"].long()[row]
        sentence, answer = data["cloze_sentence"].long()[row], data["cloze_answer"].long()[row]
        begin = data["passages_offsets"].long()[own]
        kind = data["cloze_kind"].long()[row]
        # A blank of the kind of the answer: the best of random scores among those of the kind.
        score = self._random((batch, len(data["blank_kinds"])), generator)
        blank = (score - 2.0 * (data["blank_kinds"] != kind[:, None])).argmax(1)
        blank_ids, blank_mask = data.rows("blanks", blank, 3)
        inside = answer - sentence[:, :1]
        edit = Edit(inside[:, 0], inside[:, 1], blank_ids, blank_mask.sum(1))
        question_words = data.stretch(
            "passages", begin + sentence[:, 0], begin + sentence[:, 1], self.question_tokens, edit
        )
        absent = self._random((batch,), generator) < self.stage.unanswerable
        span, hard = data["cloze_span"].long()[row], data["cloze_negatives"][row]
        chosen, place = self._passages(gold, span, hard, passages, absent, generator)
        gone = torch.where((own == gold)[:, None], sentence, 0)
        single = torch.full((batch, MORE_SPANS, 2), -1, device=self.device)
        target = _Target(gold, span, gone, absent, absent, single)
        nothing = torch.zeros(batch, Sampling.ANSWER_TOKENS, dtype=torch.long, device=self.device)
        explains = torch.zeros_like(chosen, dtype=torch.bool)
        unlabelled = torch.full((batch,), -1.0, device=self.device)
        return self._context(
            question_words, question_words, chosen, place, target, Edit.none(chosen),
            explains, None, slot, (nothing, nothing.bool()),
            unlabelled, unlabelled, generator,
        )  # fmt: skip

    # -- contexts ------------------------------------------------------------------------------------------------

    def _context(
        self,
        question: tuple[Tensor, Tensor],
        plain: tuple[Tensor, Tensor],
        passage: Tensor,
        place: Tensor,
        target: _Target,
        inserted: Edit,
        explains: Tensor,
        other_evidence: _Evidence | None,
        slot: int,
        answers: tuple[Tensor, Tensor],
        polar: Tensor,
        listed_question: Tensor,
        generator: torch.Generator,
    ) -> Batch:
        """The slots of tokens, and the targets in them. ``plain`` is the question with names. ``inserted`` edits
        passages other than the gold one; where one ``explains`` [B, P], its inserted tokens are evidence, beside
        ``other_evidence``."""
        batch, passages = passage.shape
        slots = torch.arange(passages, device=self.device)
        is_gold = (slots == place[:, None]) & ~target.absent[:, None]
        edit = Edit(
            torch.where(is_gold, target.gone[:, :1], inserted.start),
            torch.where(is_gold, target.gone[:, 1:], inserted.end),
            inserted.ids,
            torch.where(is_gold, 0, inserted.length),
        )
        with_header = self._random((batch,), generator) < self.stage.header
        ids, token_mask, text_mask, text_start = self._fill(passage, edit, with_header, slot)
        question_ids, question_mask = self._frame(*question)
        plain_ids, plain_mask = self._frame(*plain)
        inputs = ReaderInput(question_ids, question_mask, ids, token_mask, text_mask)
        moved = (target.span[:, 0] >= target.gone[:, 1]) * (target.gone[:, 1] - target.gone[:, 0])
        first = text_start.gather(1, place[:, None])[:, 0] + target.span[:, 0] - moved
        last = first + target.span[:, 1] - target.span[:, 0] - 1
        is_span = target.span[:, 0] >= 0
        has_answer = is_span & ~target.missing
        offset = 1 + place * slot
        in_text = text_start.gather(1, place[:, None])[:, 0] + offset
        listed = (target.more[..., 0] >= 0) & has_answer[:, None]
        more = target.more + in_text[:, None, None] - target.more.new_tensor([0, 1])
        position = torch.arange(slot, device=self.device)
        reach = Sampling.EVIDENCE_REACH
        near = (position >= (first - reach)[:, None]) & (position <= (last + reach)[:, None])
        items = (more - offset[:, None, None])[..., None]
        near_item = (position >= items[:, :, 0] - reach) & (position <= items[:, :, 1] + reach)
        near = near | (near_item & listed[..., None]).any(1)
        evidence = (is_gold & has_answer[:, None])[..., None] & near[:, None] & text_mask
        if other_evidence is not None:
            evidence = evidence | (other_evidence.mask(text_start, slot) & text_mask & has_answer[:, None, None])
        front = (position >= text_start[..., None]) & (position < (text_start + edit.length)[..., None])
        return Batch(
            inputs=inputs,
            start=torch.where(has_answer, offset + first, 0),
            end=torch.where(has_answer, offset + last, 0),
            has_span=is_span | target.missing,
            more=torch.where(listed[..., None], more, -1),
            evidence=evidence | (front & explains[..., None]),
            answer_ids=answers[0],
            answer_mask=answers[1] & ~target.missing[:, None],
            polar=polar,
            listed=torch.where((listed_question > 0) | (polar >= 0), listed_question, -1.0),
            plain_ids=plain_ids,
            plain_mask=plain_mask,
        )

    def _fill(
        self, passage: Tensor, edit: Edit, with_header: Tensor, slot: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Passages [B, P] -> ids, token mask and text mask [B, P, S], and where each text starts in its slot [B, P].

        A slot is [header, separator] text separator; no separator before text that has no header.
        """
        data = self.data
        header_length = data.lengths("headers")[passage] * with_header[:, None]
        text_start = header_length + (header_length > 0)
        position = torch.arange(slot, device=self.device)
        header, _ = data.rows("headers", passage, slot)
        text, mask = data.rows("passages", passage, slot, edit)
        source = position - text_start[..., None]
        text = text.gather(-1, source.clamp(min=0))
        end = torch.minimum(text_start + mask.sum(-1), torch.tensor(slot - 1, device=self.device))
        text_mask = (source >= 0) & (position < end[..., None])
        separator = ((position == header_length[..., None]) & (header_length[..., None] > 0)) | (
            position == end[..., None]
        )
        in_header = position < header_length[..., None]
        ids = torch.where(in_header, header, torch.where(text_mask, text, 0)).masked_fill(separator, data.sep_id)
        return ids, position <= end[..., None], text_mask, text_start

    def _frame(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, n] -> [B, n + 2] with begin and end tokens around the masked-in ids."""
        length = mask.sum(1, keepdim=True)
        framed = torch.nn.functional.pad(ids * mask, (1, 1))
        framed[:, 0] = self.data.cls_id
        framed.scatter_(1, length + 1, self.data.sep_id)
        return framed, torch.arange(framed.shape[1], device=ids.device) <= length + 1
