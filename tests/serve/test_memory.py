"""Freed memory is given back, and not at every turn."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from ragyena.serve.memory import Trimmer

# Below the size that is mapped by itself; what is kept stands between, so that the heap's end cannot be given back.
FREES = """
import psutil
from ragyena.serve.memory import Trimmer

def mib():
    return psutil.Process().memory_info().rss // 2**20

before = mib()
blocks = [bytearray(b"x" * 100_000) for _ in range(1000)]
kept, peak = blocks[::100], mib()
del blocks
assert Trimmer(seconds=0.0).trim()
print(peak - before, mib() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not GNU's")
def test_freed_memory_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", FREES], capture_output=True, text=True, check=True)
    peak, after = map(int, done.stdout.split())
    assert peak > 80 and after < 40, "MiB above the beginning"


def test_it_is_not_done_at_every_turn() -> None:
    trimmer = Trimmer(seconds=3600.0)
    assert not trimmer.trim() and not trimmer.trim()
