"""Tensor operations, a package each: ``op.py`` the public function, ``reference.py`` its definition in fp64 that tests
compare with, ``triton*.py`` the GPU kernels and their launches."""
