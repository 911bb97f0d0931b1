"""Memory that was freed, given back to the system.

The C library keeps what a batch of contexts took, in pieces that the next batch, of another size, does not fit: a
server that reads contexts of all sizes grows for minutes.
"""

from __future__ import annotations

import ctypes
import sys
import time

__all__ = ["Trimmer"]

SECONDS = 10.0
"""The shortest time between two times that memory is given back."""


class Trimmer:
    """Gives freed memory back, every few seconds at most. Does nothing where the C library is not GNU's."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds, self._last = seconds, time.monotonic()
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None

    def trim(self) -> bool:
        """Give freed memory back, unless that was done shortly before. True where it was done."""
        now = time.monotonic()
        if self._trim is None or now - self._last < self._seconds:
            return False
        self._last = now
        self._trim(0)
        return True
