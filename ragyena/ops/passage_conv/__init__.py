"""Two-sided convolution inside slots: the passage scope."""

from ragyena.ops.passage_conv.op import PassageConvBackend, gated_passage_conv, passage_conv
from ragyena.ops.passage_conv.triton_op import triton_unavailable

__all__ = ["PassageConvBackend", "gated_passage_conv", "passage_conv", "triton_unavailable"]
