"""Without a GPU the Triton kernels run in Triton's interpreter, which must be chosen before Triton is imported."""

from __future__ import annotations

import os
import shutil

if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")
