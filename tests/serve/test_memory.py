"""Freed memory is given back, and not at every turn."""

from __future__ import annotations

import ctypes

import psutil
import pytest

from ragyena.serve.memory import Trimmer

MIB = 2**20
BLOCKS = 1000


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not GNU's")
def test_freed_memory_is_given_back() -> None:
    resident = psutil.Process().memory_info
    before = resident().rss
    blocks = [bytearray(b"x" * 100_000) for _ in range(BLOCKS)]  # below the size that is mapped by itself
    kept = blocks[::100]  # between them nothing can be given back from the end of the heap
    assert resident().rss - before > 80 * MIB
    del blocks
    assert Trimmer(seconds=0.0).trim()
    assert resident().rss - before < 40 * MIB
    assert len(kept) == BLOCKS // 100


def test_it_is_not_done_at_every_turn() -> None:
    trimmer = Trimmer(seconds=3600.0)
    assert not trimmer.trim() and not trimmer.trim()
