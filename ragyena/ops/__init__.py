"""Tensor operations. Those with GPU kernels are packages: ``op.py`` is the public function, ``triton*.py`` the kernels
and their launches. ``reference.py`` defines every operation in fp64, which tests compare with."""
