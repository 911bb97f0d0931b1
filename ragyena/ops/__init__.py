"""Long convolutions and Hyena operators for PyTorch: a library of its own that needs torch, and Triton on a GPU.

    >>> import torch
    >>> from ragyena.ops import long_conv
    >>> u_BDL, filter_DK = torch.randn(2, 8, 1000), torch.randn(8, 1000)
    >>> long_conv(u_BDL, filter_DK, direction="causal").shape
    torch.Size([2, 8, 1000])

Operations with GPU kernels are packages: ``op.py`` is the public function, ``triton*.py`` the kernels and their
launches. ``reference.py`` defines every operation in fp64, which tests compare with.
"""

from ragyena.ops.hyena import Hyena, TwoSidedHyena, import_hyena
from ragyena.ops.long_conv import long_conv
from ragyena.ops.passage_conv import passage_conv

__all__ = ["Hyena", "TwoSidedHyena", "import_hyena", "long_conv", "passage_conv"]
