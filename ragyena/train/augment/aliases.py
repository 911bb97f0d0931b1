"""Alias (two-hop) augmentation: a question's name is replaced, and another passage than the gold one explains it.

The name becomes an invented alias, which a sentence explains, or a description by a column of a synthetic table, one of
whose rows has the name (an entity bridge). Sentence or rows are put in front of the other passage.

Legend: B contexts, P passages, n tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ragyena.train.packed import Edit, PackedData, either

__all__ = ["Aliases"]

_FEWEST_PIECES, _MOST_PIECES = 2, 4  # word pieces of an invented name
_MOST_NAME_PIECES = 12  # of a name that is replaced


@dataclass(frozen=True, slots=True)
class _Words:
    """Texts of a batch: token ids and their mask, [B, n]."""

    ids: Tensor
    mask: Tensor

    def padded(self, width: int) -> _Words:
        more = (0, width - self.ids.shape[1])
        return _Words(torch.nn.functional.pad(self.ids, more), torch.nn.functional.pad(self.mask, more))

    def instead(self, which_B: Tensor, other: _Words) -> _Words:
        """The ``other`` ones where ``which_B``, else these."""
        width = max(self.ids.shape[1], other.ids.shape[1])
        here, there = self.padded(width), other.padded(width)
        return _Words(*either(which_B, (there.ids, there.mask), (here.ids, here.mask)))


def _joined(parts: Sequence[_Words]) -> _Words:
    """Texts one after another, padding at the end."""
    ids, mask = torch.cat([part.ids for part in parts], 1), torch.cat([part.mask for part in parts], 1)
    order = (~mask).long().argsort(dim=1, stable=True)
    return _Words(ids.gather(1, order), mask.gather(1, order))


class Aliases:
    """Draws aliases. ``entity_bridge``: the fraction of them that are descriptions by a table row."""

    def __init__(self, data: PackedData, *, entity_bridge: float) -> None:
        self.data, self.entity_bridge, self.device = data, entity_bridge, data.device
        self.named = data["name"][:, 0] >= 0
        """[questions] bool: which have a name to replace."""
        self.all_named = self.named.nonzero()[:, 0]

    def edits(
        self, question: Tensor, aliased: Tensor, place: Tensor, passages: int, generator: torch.Generator
    ) -> tuple[Edit, Edit, Tensor]:
        """Edits of questions [B] that put aliases for names; edits of passages [B, P] that explain them in another one
        than the gold one, with a decoy (the alias of another name) in a third; which passages explain [B, P]."""
        batch = question.shape[0]
        name = self.data["name"].long()[question].clamp(min=0)
        pieces = _FEWEST_PIECES + self._below(1 + _MOST_PIECES - _FEWEST_PIECES, (batch,), generator)
        alias, other = self._invented(pieces, generator), self._any_named(batch, generator)
        phrase = self._below(len(self.data["alias_phrases_offsets"]) - 1, (batch,), generator)
        explanation = self._sentence(alias, phrase, question)
        decoy = self._sentence(self._invented(pieces, generator), phrase, other)
        if self.entity_bridge:
            bridged = self._random(batch, generator) < self.entity_bridge
            description, rows = self._table_rows(question, other, generator)
            alias, explanation = alias.instead(bridged, description), explanation.instead(bridged, rows)
            decoy = decoy.instead(bridged, _Words(rows.ids, torch.zeros_like(rows.mask)))  # the table has its own
        first, end = torch.where(aliased[:, None], name, 0).unbind(1)
        edit = Edit(first, end, alias.ids, aliased * alias.mask.sum(1))
        shift = 1 + self._below(passages - 1, (batch,), generator)
        further = 1 + (shift + self._below(passages - 2, (batch,), generator)) % (passages - 1)
        slots = torch.arange(passages, device=self.device)
        explains = (slots == ((place + shift) % passages)[:, None]) & aliased[:, None]
        distracts = (slots == ((place + further) % passages)[:, None]) & aliased[:, None]
        width = max(explanation.ids.shape[1], decoy.ids.shape[1])
        ids = torch.where(explains[..., None], explanation.padded(width).ids[:, None], decoy.padded(width).ids[:, None])
        inserted = explains * explanation.mask.sum(1)[:, None] + distracts * decoy.mask.sum(1)[:, None]
        zero = torch.zeros_like(inserted)
        return edit, Edit(zero, zero, ids, inserted), explains

    def _any_named(self, batch: int, generator: torch.Generator) -> Tensor:
        """[B] questions that have a name."""
        return self.all_named[self._below(len(self.all_named), (batch,), generator)]

    def _invented(self, pieces: Tensor, generator: torch.Generator) -> _Words:
        """Invented names of as many word pieces [B]."""
        heads, tails = self.data["name_heads"].long(), self.data["name_tails"].long()
        shape = (len(pieces), _MOST_PIECES)
        first = heads[self._below(len(heads), shape, generator)]
        later = tails[self._below(len(tails), shape, generator)]
        place = torch.arange(_MOST_PIECES, device=self.device)
        return _Words(torch.where(place % 2 == 0, first, later), place < pieces[:, None])

    def _sentence(self, alias: _Words, phrase: Tensor, question: Tensor) -> _Words:
        """``ALIAS is another name for NAME.``, the name that of each question [B]."""
        between = _Words(*self.data.rows("alias_phrases", phrase, 6))
        stop = self.data["full_stop"].long().expand(len(phrase), 1)
        return _joined([alias, between, self._name(question), _Words(stop, torch.ones_like(stop, dtype=torch.bool))])

    def _name(self, question: Tensor) -> _Words:
        """The name in each question [B]."""
        name, begin = self.data["name"].long()[question], self.data["questions_offsets"].long()[question]
        return _Words(*self.data.stretch("questions", begin + name[:, 0], begin + name[:, 1], _MOST_NAME_PIECES))

    def _table_rows(self, question: Tensor, other: Tensor, generator: torch.Generator) -> tuple[_Words, _Words]:
        """``the HEAD whose KEY is VALUE`` (or ``with KEY VALUE``), and two rows of a table in either order: that one's,
        which holds the name of each question [B], and one with the name of the ``other`` and other values."""
        batch = question.shape[0]

        def drawn(of: str) -> _Words:
            return _Words(*self.data.rows(of, self._below(len(self.data[f"{of}_offsets"]) - 1, (batch,), generator), 3))

        the, whose, is_, with_, colon, semicolon = (
            _Words(*self.data.rows("row_words", torch.full((batch,), i, device=self.device), 1)) for i in range(6)
        )
        head, key, second_key = drawn("row_heads"), drawn("row_keys"), drawn("row_keys")
        value, values = drawn("row_values"), [drawn("row_values") for _ in range(3)]
        which = self._random(batch, generator) < 0.5
        description = _joined([the, head, whose, key, is_, value])
        description = description.instead(which, _joined([the, head, with_, key, value]))
        last = self._random(batch, generator) < 0.5  # the name's column comes last

        def row(name: _Words, one: _Words, more: _Words) -> _Words:
            columns = [key, colon, one, semicolon, second_key, colon, more]
            front = _joined([head, colon, name, semicolon, *columns])
            return front.instead(last, _joined([*columns, semicolon, head, colon, name]))

        own, decoy = row(self._name(question), value, values[0]), row(self._name(other), values[1], values[2])
        first = self._random(batch, generator) < 0.5
        return description, _joined([own, decoy]).instead(first, _joined([decoy, own]))

    def _random(self, batch: int, generator: torch.Generator) -> Tensor:
        return torch.rand((batch,), generator=generator, device=self.device)

    def _below(self, limit: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randint(limit, shape, generator=generator, device=self.device)
