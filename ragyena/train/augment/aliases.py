"""Names that a question hides and another passage tells: two passages have to be joined.

A name of the question becomes an invented alias, which a sentence explains, or a description by a column of a made-up
table, one of whose rows has the name. Both are put in front of another passage than the gold one.

Legend: B contexts, P passages, n tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ragyena.train.packed import Edit, PackedData, either

__all__ = ["HiddenNames"]

_FEWEST_PIECES, _MOST_PIECES = 2, 4  # word pieces of an invented name
_MOST_NAME_PIECES = 12  # of a name that is hidden


@dataclass(frozen=True, slots=True)
class _Words:
    """Texts of a batch: token ids and which of them are there, [B, n]."""

    ids: Tensor
    mask: Tensor

    def padded(self, width: int) -> _Words:
        more = (0, width - self.ids.shape[1])
        return _Words(torch.nn.functional.pad(self.ids, more), torch.nn.functional.pad(self.mask, more))

    def instead(self, which_B: Tensor, other: _Words) -> _Words:
        """These, but the ``other`` ones where ``which_B``."""
        width = max(self.ids.shape[1], other.ids.shape[1])
        here, there = self.padded(width), other.padded(width)
        return _Words(*either(which_B, (there.ids, there.mask), (here.ids, here.mask)))


def _joined(parts: Sequence[_Words]) -> _Words:
    """Texts one after another, padding at the end."""
    ids, mask = torch.cat([part.ids for part in parts], 1), torch.cat([part.mask for part in parts], 1)
    order = (~mask).long().argsort(dim=1, stable=True)
    return _Words(ids.gather(1, order), mask.gather(1, order))


class HiddenNames:
    """Draws how names are hidden. ``described``: the fraction of them that a table tells."""

    def __init__(self, data: PackedData, *, described: float) -> None:
        self.data, self.described, self.device = data, described, data.device
        self.named = data["name"][:, 0] >= 0
        """[questions] bool: which have a name to hide."""
        self.all_named = self.named.nonzero()[:, 0]

    def edits(
        self, question: Tensor, aliased: Tensor, place: Tensor, passages: int, generator: torch.Generator
    ) -> tuple[Edit, Edit, Tensor]:
        """Edits of questions [B] that put an alias for a name, and of passages [B, P] that explain it in another
        passage than the gold one (and an alias of another name, a decoy, in a third); which passages explain [B, P]."""
        batch = question.shape[0]
        name = self.data["name"].long()[question].clamp(min=0)
        pieces = _FEWEST_PIECES + self._below(1 + _MOST_PIECES - _FEWEST_PIECES, (batch,), generator)
        put, stranger = self._invented(pieces, generator), self._stranger(batch, generator)
        saying = self._below(len(self.data["sayings_offsets"]) - 1, (batch,), generator)
        told = self._saying(put, saying, question)
        decoy = self._saying(self._invented(pieces, generator), saying, stranger)
        if self.described:
            by_row = self._random(batch, generator) < self.described
            described, rows = self._rows_of_a_table(question, stranger, generator)
            put, told = put.instead(by_row, described), told.instead(by_row, rows)
            decoy = decoy.instead(by_row, _Words(rows.ids, torch.zeros_like(rows.mask)))  # the table has its own
        first, end = torch.where(aliased[:, None], name, 0).unbind(1)
        edit = Edit(first, end, put.ids, aliased * put.mask.sum(1))
        shift = 1 + self._below(passages - 1, (batch,), generator)
        further = 1 + (shift + self._below(passages - 2, (batch,), generator)) % (passages - 1)
        slots = torch.arange(passages, device=self.device)
        explains = (slots == ((place + shift) % passages)[:, None]) & aliased[:, None]
        distracts = (slots == ((place + further) % passages)[:, None]) & aliased[:, None]
        width = max(told.ids.shape[1], decoy.ids.shape[1])
        ids = torch.where(explains[..., None], told.padded(width).ids[:, None], decoy.padded(width).ids[:, None])
        inserted = explains * told.mask.sum(1)[:, None] + distracts * decoy.mask.sum(1)[:, None]
        zero = torch.zeros_like(inserted)
        return edit, Edit(zero, zero, ids, inserted), explains

    def _stranger(self, batch: int, generator: torch.Generator) -> Tensor:
        """[B] questions that have a name."""
        return self.all_named[self._below(len(self.all_named), (batch,), generator)]

    def _invented(self, pieces: Tensor, generator: torch.Generator) -> _Words:
        """Names that nobody has, of as many word pieces [B]."""
        heads, tails = self.data["name_heads"].long(), self.data["name_tails"].long()
        shape = (len(pieces), _MOST_PIECES)
        first, later = (
            heads[self._below(len(heads), shape, generator)],
            tails[self._below(len(tails), shape, generator)],
        )
        place = torch.arange(_MOST_PIECES, device=self.device)
        return _Words(torch.where(place % 2 == 0, first, later), place < pieces[:, None])

    def _saying(self, alias: _Words, saying: Tensor, question: Tensor) -> _Words:
        """``ALIAS is another name for NAME.``, the name that of each question [B]."""
        between = _Words(*self.data.rows("sayings", saying, 6))
        stop = self.data["full_stop"].long().expand(len(saying), 1)
        return _joined([alias, between, self._name(question), _Words(stop, torch.ones_like(stop, dtype=torch.bool))])

    def _name(self, question: Tensor) -> _Words:
        """The name in each question [B]."""
        name, begin = self.data["name"].long()[question], self.data["questions_offsets"].long()[question]
        return _Words(*self.data.stretch("questions", begin + name[:, 0], begin + name[:, 1], _MOST_NAME_PIECES))

    def _rows_of_a_table(self, question: Tensor, stranger: Tensor, generator: torch.Generator) -> tuple[_Words, _Words]:
        """``the HEAD whose KEY is VALUE`` (or ``with KEY VALUE``), and two rows of a table in either order: that one's,
        which holds the name of each question [B], and a stranger's with other values."""
        batch = question.shape[0]

        def drawn(of: str) -> _Words:
            return _Words(*self.data.rows(of, self._below(len(self.data[f"{of}_offsets"]) - 1, (batch,), generator), 3))

        the, whose, is_, with_, colon, semicolon = (
            _Words(*self.data.rows("row_words", torch.full((batch,), i, device=self.device), 1)) for i in range(6)
        )
        head, key, other_key = drawn("row_heads"), drawn("row_keys"), drawn("row_keys")
        value, others = drawn("row_values"), [drawn("row_values") for _ in range(3)]
        which = self._random(batch, generator) < 0.5
        described = _joined([the, head, whose, key, is_, value]).instead(which, _joined([the, head, with_, key, value]))
        last = self._random(batch, generator) < 0.5  # the name's column comes last

        def row(name: _Words, said: _Words, more: _Words) -> _Words:
            columns = [key, colon, said, semicolon, other_key, colon, more]
            front = _joined([head, colon, name, semicolon, *columns])
            return front.instead(last, _joined([*columns, semicolon, head, colon, name]))

        own, strange = row(self._name(question), value, others[0]), row(self._name(stranger), others[1], others[2])
        first = self._random(batch, generator) < 0.5
        return described, _joined([own, strange]).instead(first, _joined([strange, own]))

    def _random(self, batch: int, generator: torch.Generator) -> Tensor:
        return torch.rand((batch,), generator=generator, device=self.device)

    def _below(self, limit: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randint(limit, shape, generator=generator, device=self.device)
