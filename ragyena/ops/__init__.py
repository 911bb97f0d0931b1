"""Tensor operations: for each a public function, and a plain fp64 reference that it is tested against."""
