"""Hyena operators as modules: the published causal one (Poli et al. 2023), and a two-sided one of bounded sequences."""

from ragyena.ops.hyena.causal import Hyena
from ragyena.ops.hyena.decoding import DecodingState, HyenaState
from ragyena.ops.hyena.implicit_filter import ImplicitFilter
from ragyena.ops.hyena.published import import_hyena
from ragyena.ops.hyena.two_sided import TwoSidedFilter, TwoSidedHyena

__all__ = ["DecodingState", "Hyena", "HyenaState", "ImplicitFilter", "TwoSidedFilter", "TwoSidedHyena", "import_hyena"]
