"""Timing of the parts of a reading."""

from __future__ import annotations

import time

import torch

__all__ = ["PARTS", "Stopwatch"]

PARTS = ("inputs", "encode", "extract", "first_token", "write")
"""Parts of a reading in their order. ``inputs``: token ids padded and copied to the device. ``encode``: embeddings and
layers. ``extract``: span scores, the softmax over the context, the best spans and the confidence, on the host.
``first_token``: of an answer that is written, the projection of the context for the decoder and the first token;
``write``: its further tokens."""


class Stopwatch:
    """Laps of one reading. On a CUDA device each lap ends with what was launched in it."""

    def __init__(self, device: torch.device) -> None:
        """Start the first lap."""
        self._device = device
        self.parts: dict[str, float] = {}
        """Seconds by part; only parts that occurred."""
        self.tokens_written = 0
        """Tokens that the decoder wrote, the end token included."""
        self._last = self._now()

    def lap(self, part: str) -> None:
        """Add the time since the last lap, or the start, to ``part``."""
        now = self._now()
        self.parts[part] = self.parts.get(part, 0.0) + now - self._last
        self._last = now

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
