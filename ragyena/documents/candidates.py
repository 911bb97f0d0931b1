"""Retrieved passages whose tokens an index keeps: what retrieval hands to packing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ragyena.documents.packing_rows import PackingColumns
from ragyena.errors import IndexCorruptError
from ragyena.types import ScoredPassage

__all__ = ["StoredCandidates"]

IntArray = npt.NDArray[np.int64]


class StoredCandidates(Sequence[ScoredPassage]):
    """Passages, best first, all read from one state of an index. Each is made a ``ScoredPassage`` when it is looked at:
    of two thousand candidates a context takes a few hundred, and of the rest its log alone needs something. Tokens
    are read of those that are packed: of the others their number is enough."""

    passage_ids: IntArray
    document_ids: IntArray
    sources: Sequence[str]
    starts: IntArray
    """Char offsets in their documents at which they start."""
    ends: IntArray
    scores: npt.NDArray[np.float64]
    without_tokens: Sequence[int]
    """Positions of the passages of which the index keeps no tokens; their sizes and signatures mean nothing."""
    text_bytes: IntArray
    """[N] bytes of the token ids of their texts."""
    header_bytes: IntArray
    """[N] bytes of the token ids of their headers."""
    shingles: IntArray
    """[N] numbers of shingles, and..."""
    bitmaps: npt.NDArray[np.uint8]
    """...[N, BITS / 8] bitmaps of them: the signatures."""

    @abstractmethod
    def scored(self, positions: Sequence[int]) -> list[ScoredPassage]:
        """The passages at these positions. Raises IndexCorruptError."""

    @abstractmethod
    def tokens(self, positions: Sequence[int]) -> PackingColumns:
        """The tokens of the passages at these positions, which have some. Raises IndexCorruptError."""

    @abstractmethod
    def text(self, position: int) -> str:
        """The text of a passage. Raises IndexCorruptError."""

    @abstractmethod
    def damage(self, problem: str) -> IndexCorruptError:
        """The error that says what is wrong with the rows."""

    def chars(self, positions: IntArray) -> IntArray:
        """Characters of the passages at these positions."""
        return self.ends[positions] - self.starts[positions]
