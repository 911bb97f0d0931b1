"""Two-sided convolution inside slots or segments: the passage scope."""

from ragyena.ops.passage_conv.op import PassageConvBackend, passage_conv, slot_conv
from ragyena.ops.passage_conv.triton_op import MAX_SLOT, triton_unavailable

__all__ = ["MAX_SLOT", "PassageConvBackend", "passage_conv", "slot_conv", "triton_unavailable"]
