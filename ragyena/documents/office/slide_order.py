"""The order in which a person reads the shapes of a slide: by the gaps between them, across before down where equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ragyena.documents.office.blocks import Block

__all__ = ["Box", "Shape", "reading_order"]

MOST_CUT = 200
"""Shapes that are parted by gaps; more are read by their upper left corners alone."""


class Box(NamedTuple):
    """A rectangle, in the units of the file."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(slots=True)
class Shape:
    """A shape with its text, or a group of shapes."""

    box: Box | None
    """None where the file does not say."""
    blocks: list[Block] = field(default_factory=list)
    parts: list[Shape] = field(default_factory=list)
    is_title: bool = False


def reading_order(shapes: Sequence[Shape]) -> list[Shape]:
    """Shapes with text in the order of reading, groups taken apart; titles first."""
    ordered: list[Shape] = []
    waiting = [*reversed(_ordered(shapes))]
    while waiting:
        shape = waiting.pop()
        if shape.blocks:
            ordered.append(shape)
        waiting.extend(reversed(_ordered(shape.parts)))
    return sorted(ordered, key=lambda shape: not shape.is_title)


def _ordered(shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes of one level: parted at the widest gap, again and again, as in a newspaper."""
    boxes = [shape.box for shape in shapes]
    if len(shapes) < 2 or any(box is None for box in boxes):
        return list(shapes)
    placed = [(box, shape) for box, shape in zip(boxes, shapes) if box is not None]
    if len(placed) > MOST_CUT:
        return [shape for _, shape in sorted(placed, key=lambda item: (item[0].top, item[0].left))]
    ordered: list[Shape] = []
    waiting = [placed]
    while waiting:
        group = waiting.pop()
        across, down = _widest_gap(group, 1, 3), _widest_gap(group, 0, 2)
        if across is None and down is None:
            ordered += [shape for _, shape in sorted(group, key=lambda item: (item[0].top, item[0].left))]
            continue
        if down is None or (across is not None and across[0] >= down[0]):
            assert across is not None
            axis, place = 1, across[1]
        else:
            axis, place = 0, down[1]
        first = [item for item in group if item[0][axis] < place]
        waiting += [[item for item in group if item[0][axis] >= place], first]
    return ordered


def _widest_gap(group: Sequence[tuple[Box, Shape]], start: int, end: int) -> tuple[float, float] | None:
    """(width, where it ends) of the widest gap along an axis; None where the boxes overlap all along."""
    best: tuple[float, float] | None = None
    spans = sorted((box[start], box[end]) for box, _ in group)
    reached = spans[0][1]
    for begin, stop in spans[1:]:
        # Boxes that overlap by a little are parted all the same: frames are drawn larger than their text.
        slack = 0.1 * min(stop - begin, reached - spans[0][0])
        if begin > spans[0][0] and begin >= reached - slack and (best is None or begin - reached > best[0]):
            best = (begin - reached, begin)
        reached = max(reached, stop)
    return best
