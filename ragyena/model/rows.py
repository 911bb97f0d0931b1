"""The tokens of padded passages as rows one after another, so that matrix products skip padding.

Legend: B contexts, P passages, S slot tokens, N = B P slots, T rows, G gaps, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

__all__ = ["RowLayout", "row_layout"]

_ROW_MULTIPLE = 64  # few numbers of rows, so that a library prepares its kernels for few shapes


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The place of each token among the rows. A row without a token, a gap, follows each run of tokens, so that the
    neighbours of a row are its neighbours in the passage, or gaps. What stands in a gap is any finite value."""

    gaps: Tensor
    """[G]: the rows that are gaps."""
    cells: Tensor
    """[T]: the place of each row's token in [B P S]; 0 for gaps."""
    rows: Tensor
    """[N S]: the row of each place; a gap's for padding."""
    bounds: tuple[tuple[int, int], ...]
    """First row and end of each context."""
    shape: tuple[int, int, int]
    """B, P and S."""

    def take(self, x_BPS: Tensor) -> Tensor:
        """[T, ...] rows of padded values [B, P, S, ...]."""
        return x_BPS.flatten(0, 2).index_select(0, self.cells)

    def slots(self, x_TD: Tensor) -> Tensor:
        """[N, S, D] padded values of rows; what stands in a gap is at padding."""
        batch, passages, slot = self.shape
        return x_TD.index_select(0, self.rows).view(batch * passages, slot, x_TD.shape[1])

    def passages(self, x_TD: Tensor) -> Tensor:
        """[B, P, S, D], as ``slots``."""
        return self.slots(x_TD).view(*self.shape, x_TD.shape[1])

    def clear_gaps(self, x_TD: Tensor) -> Tensor:
        """``x_TD``, zero at gaps from now on."""
        return x_TD.index_fill_(0, self.gaps, 0)


def row_layout(token_mask_BPS: Tensor) -> RowLayout:
    """The layout of contexts whose tokens stand where the mask is True."""
    batch, passages, slot = token_mask_BPS.shape
    token_NS = F.pad(token_mask_BPS.reshape(batch * passages, slot), (0, 1))  # a place for a gap after a full slot
    kept_NS = token_NS | F.pad(token_NS, (1, 0))[:, :-1]
    kept_NS[passages - 1 :: passages, slot] = True  # a gap in each context, tokens or not
    place_T = kept_NS.flatten().nonzero()[:, 0]
    token_T = token_NS.flatten()[place_T]
    more = -len(place_T) % _ROW_MULTIPLE
    token_T = F.pad(token_T, (0, more))
    place_T = F.pad(place_T, (0, more))
    cell_T = (place_T - place_T // (slot + 1)).masked_fill(~token_T, 0)
    gap_G = (~token_T).nonzero()[:, 0]
    row_NS = gap_G[:1].repeat(batch * passages * slot)
    tokens = token_T.nonzero()[:, 0]
    row_NS[cell_T[tokens]] = tokens
    ends = kept_NS.view(batch, -1).sum(1).cumsum(0).tolist()
    ends[-1] += more
    bounds = tuple(zip([0, *ends[:-1]], ends))
    return RowLayout(gap_G, cell_T, row_NS, bounds, (batch, passages, slot))
