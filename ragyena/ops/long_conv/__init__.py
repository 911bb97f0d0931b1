"""Exact long convolution with gates and a skip."""

from ragyena.ops.long_conv.op import Direction, long_conv, long_conv_with_tail

__all__ = ["Direction", "long_conv", "long_conv_with_tail"]
