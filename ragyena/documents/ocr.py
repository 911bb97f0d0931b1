"""Text recognition in pictures, by RapidOCR with the models inside its package: nothing is downloaded."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.errors import UnreadableDocumentError

__all__ = ["INSTALL", "Line", "is_installed", "recognise"]

INSTALL = "pip install 'ragyena[ocr]'"
LEAST_SCORE = 0.5
"""Lines recognised with less confidence are left out."""
MOST_SIDE = 1600
"""Pixels of the longer side to which a larger picture is reduced: A4 at 140 dots per inch."""


@dataclass(frozen=True, slots=True)
class Line:
    """One recognised line and its box in pixels, y downwards."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float


def is_installed() -> bool:
    """True where the packages of ``ragyena[ocr]`` are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


def recognise(image: npt.NDArray[np.uint8]) -> list[Line]:
    """The lines of text in an [H, W, 3] picture, in no particular order.

    Raises UnreadableDocumentError where the packages are installed but cannot be imported."""
    result = _engine()(image)
    if result.boxes is None or result.txts is None:
        return []
    lines = []
    for corners, text, score in zip(result.boxes, result.txts, result.scores, strict=True):
        (x0, y0), (x1, y1) = np.min(corners, axis=0), np.max(corners, axis=0)
        if score >= LEAST_SCORE and text.strip():
            lines.append(Line(text.strip(), float(x0), float(y0), float(x1), float(y1)))
    return lines


@cache
def _engine() -> Any:
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    try:
        from rapidocr import RapidOCR
    except ImportError as error:  # installed, but a library of the system that it needs is not
        message = f"a scan was not read: the packages of ragyena[ocr] cannot be imported: {error}"
        raise UnreadableDocumentError(message, hint=f"repair them ({INSTALL}), or set index.ocr to off") from error

    return RapidOCR(params={"Global.log_level": "critical", "Global.max_side_len": MOST_SIDE})
