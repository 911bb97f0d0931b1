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


class StoredCandidates(Sequence[ScoredPassage]):
    """Passages, best first, all read from one state of an index. Each is made a ``ScoredPassage`` when it is looked at:
    of two thousand candidates a context takes a few hundred, and of the rest its log alone needs something."""

    passage_ids: Sequence[int]
    document_ids: Sequence[int]
    sources: Sequence[str]
    starts: Sequence[int]
    """Char offsets in their documents at which they start."""
    ends: Sequence[int]
    scores: Sequence[float]
    packing: PackingColumns
    """Tokens and signatures; None where the index keeps none for a passage."""

    @abstractmethod
    def scored(self, positions: Sequence[int]) -> list[ScoredPassage]:
        """The passages at these positions. Raises IndexCorruptError."""

    @abstractmethod
    def text(self, position: int) -> str:
        """The text of a passage. Raises IndexCorruptError."""

    @abstractmethod
    def damage(self, problem: str) -> IndexCorruptError:
        """The error that says what is wrong with the rows."""

    def chars(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Characters of the passages at these positions."""
        return (np.array(self.ends, np.int64) - np.array(self.starts, np.int64))[positions]
