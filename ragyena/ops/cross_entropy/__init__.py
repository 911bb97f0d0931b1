"""Cross-entropy of a linear layer without its logits in memory."""

from ragyena.ops.cross_entropy.op import linear_cross_entropy

__all__ = ["linear_cross_entropy"]
