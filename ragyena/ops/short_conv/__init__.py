"""Short causal depthwise convolution."""

from ragyena.ops.short_conv.op import short_conv, short_conv_history, short_conv_step

__all__ = ["short_conv", "short_conv_history", "short_conv_step"]
