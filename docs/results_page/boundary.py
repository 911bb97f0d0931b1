"""What filters make of passage boundaries and what attention adds: readers that differ in their mixers alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from results_page.files import Evaluation, Section, evaluation, newest, training
from results_page.markdown import (
    HELD_OUT,
    HELD_OUT_IS,
    delta,
    gib,
    image,
    millions,
    p_value,
    prose,
    score,
    table,
    training_table,
)
from results_page.plots import Dots, draw_dots

__all__ = ["VARIANTS", "sections"]

VARIANTS = {
    "reset": "Hyena; every filter ends at the borders of its passage",
    "taps": "the same, filters of 25 free taps alone",
    "none-layers": "Hyena; two of six layers filter the whole context and know no borders",
    "modulated-layers": "Hyena; two of six layers filter the whole context, weighed by the passages between",
    "none-channels": "Hyena; 64 of 384 channels of each layer filter the whole context and know no borders",
    "modulated-channels": "Hyena; 64 of 384 channels of each layer do, weighed by the passages between",
    "selected": "Hyena; in two layers every token attends to the 128 likeliest of the context",
    "attention-1": "Hyena; one of six layers attends to the whole context",
    "attention-2": "Hyena; two of six layers attend to the whole context",
    "attention-6": "every layer attends to the whole context",
    "local-attention": "every layer attends to its passage (Fusion-in-Decoder)",
}
"""What the stages of ``configs/train/boundary.yaml`` are, but for those that train the teacher."""


_BOOKS = (
    " Books: a name, date or number masked in a sentence of a held-out book or textbook, asked of another passage of "
    "it that holds the same string, the others from the same books; whether that passage says it, nobody has checked."
)
_HYBRID = " Hybrid documents: a table and the articles it links to, read whole."


def sections(results: Path) -> Iterator[Section]:
    """The one of the newest folder ``DATE-boundary``, where an evaluation is in it."""
    for folder in newest(results, "boundary"):
        files = _evaluations(folder)
        evaluations = [found for found in files.values() if found]
        if not evaluations:
            return
        columns = [column for kind in _KINDS if (found := files[kind.file]) for column in _columns(found, kind)]
        rows = _rows(evaluations[0].readers, evaluations)
        among = files[_AMONG.file]
        panels = [*_panels(rows, columns), *(_speed(among, rows) if among else ())]
        plots: dict[str, Callable[[Path], None]] = {"boundary.svg": partial(draw_dots, rows, panels)}
        text = "\n".join(_text(folder, evaluations, among, columns, rows))
        yield Section("Boundaries and mixers", text, plots)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one file's evaluation measures: the conditions shown, how they are called, and the panel of the plot."""

    file: str
    prefix: str
    title: str
    panel: str
    em: bool = False


_AMONG = _Kind("among", "among-", "among {among}", "F1", em=True)
_KINDS = (
    _AMONG,
    _Kind("alias", "two-hop-", "two hops among {among}", "F1 over two hops"),
    _Kind("books", "among-", "books, among {among}", "F1 on books"),
    _Kind("hybrid", "joint", "hybrid documents", "F1 on hybrid documents"),
)


class _Column:
    """One condition of one evaluation."""

    def __init__(self, found: Evaluation, kind: _Kind, condition: Mapping[str, Any]) -> None:
        self.found, self.kind, self.name = found, kind, condition["name"]
        self.among = condition["parameters"].get("among", 0)
        self.title = kind.title.format(among=self.among)
        self.measures = ("em", "f1") if kind.em else ("f1",)

    def whole(self, reader: str) -> Mapping[str, Any] | None:
        if reader not in self.found.readers:
            return None
        whole: Mapping[str, Any] = self.found.condition(self.found.readers.index(reader), self.name)["whole"]
        return whole

    def gap(self, reader: str, measure: str) -> Mapping[str, Any] | None:
        """How the first reader differs from this one; None for the first itself."""
        number = self.found.readers.index(reader) if reader in self.found.readers else 0
        return self.found.against_first(number, self.name, measure) if number else None

    def marked(self, reader: str, measure: str) -> str:
        """A mean, and whether it is above or below the first reader's by more than chance."""
        whole, gap = self.whole(reader), self.gap(reader, measure)
        if whole is None:
            return ""
        mark = {"first": "▼", "second": "▲"}.get(gap["verdict"] if gap else "", "")
        return f"{whole[measure]['mean']:.1f}{mark}"


def _columns(found: Evaluation, kind: _Kind) -> Iterator[_Column]:
    for condition in found.conditions:
        if condition["name"].startswith(kind.prefix):
            yield _Column(found, kind, condition)


def _rows(readers: Sequence[str], evaluations: Sequence[Evaluation]) -> list[str]:
    """The readers of all evaluations: the first, then in the order in which they are described."""
    known = list(VARIANTS)
    others = {name for found in evaluations for name in found.readers} - {readers[0]}
    return [readers[0], *sorted(others, key=lambda name: (known.index(name) if name in known else len(known), name))]


def _text(
    folder: Path,
    evaluations: Sequence[Evaluation],
    among: Evaluation | None,
    columns: Sequence[_Column],
    rows: Sequence[str],
) -> Iterator[str]:
    first = rows[0]
    yield prose(
        "Small readers that learn from one teacher on the same tokens and differ in their mixers alone, read on packed "
        f"contexts of many passages. Files: `{folder.name}`. ▲ and ▼ stand where a score is above or below that of "
        f"`{first}` with p < 0.05. Two hops: the question names something by an alias that another passage defines."
        + (_BOOKS if any(column.kind.file == "books" for column in columns) else "")
        + (_HYBRID if any(column.kind.file == "hybrid" for column in columns) else "")
    )
    if "local-attention" in rows:
        yield ""
        yield prose(
            "Each starts from the teacher, whose every layer attends to its passage: `local-attention` begins as the "
            "teacher is, attention to the whole context begins with the teacher's weights, and Hyena has its filters "
            "and gates to learn. After few tokens that head start is what is seen first; compare Hyena readers with "
            "one another. The speed of the first reader holds the device's warm-up."
        )
    header, values = ["reader", "what it is", "parameters"], []
    for column in columns:
        header.append(f"{column.title}, {' / '.join(measure.upper() for measure in column.measures)}")
    widest = _widest(among)
    if widest is not None:
        header += [f"tokens/s, {widest.title}", f"GiB, {widest.title}"]
    for name in rows:
        one = next(found for found in evaluations if name in found.readers)
        parameters = one.results[one.readers.index(name)]["reader"]["parameters"]
        row = [f"`{name}`", VARIANTS.get(name, ""), millions(parameters)]
        for column in columns:
            row.append(" / ".join(filter(None, (column.marked(name, measure) for measure in column.measures))))
        row += _cost(widest, name) if widest else []
        values.append(row)
    yield table(header, values, left=2)
    yield image("boundary.svg", "F1 of each reader among passages and over two hops, and tokens a second")
    yield f"F1 of `{first}` with its interval, and how the others differ from it:\n"
    gaps = []
    for name in rows:
        row = [f"`{name}`"]
        for column in columns:
            whole, gap = column.whole(name), column.gap(name, "f1")
            row.append(delta(gap, turned=True) + (f", p {p_value(gap)}" if gap else ""))
            if name == first and whole is not None:
                row[-1] = score(whole["f1"])
        gaps.append(row)
    sizes = [f"{column.title} (n {column.found.condition(0, column.name)['whole']['n']:,})" for column in columns]
    yield table(["reader", *sizes], gaps)
    yield from _seeds(folder, rows)
    stages = {path.stem: training(path) for path in sorted(folder.glob("*.jsonl"))}
    if stages:
        order = [name for name in rows if name in stages]
        yield f"What training them took.\n\n{HELD_OUT_IS}"
        named = [stages[name] for name in [*sorted(stages.keys() - set(order)), *order]]
        yield training_table(named, {HELD_OUT: ".3f"})


def _evaluations(folder: Path) -> dict[str, Evaluation | None]:
    return {kind.file: evaluation(folder / f"{kind.file}.json") for kind in _KINDS}


def _seeds(folder: Path, rows: Sequence[str]) -> Iterator[str]:
    """What readers trained anew with other seeds score, from the folders ``seed-N`` in the folder."""
    others = sorted(path for path in folder.glob("seed-*") if path.is_dir())
    if not others:
        return
    runs = [_evaluations(path) for path in (folder, *others)]
    titles: list[str] = []
    scores: dict[str, list[str]] = {name: [] for name in rows}
    for kind in _KINDS:
        found = [one for run in runs if (one := run[kind.file])]
        columns = [{column.name: column for column in _columns(one, kind)} for one in found]
        for name in [name for name in columns[0] if all(name in one for one in columns)] if len(found) > 1 else ():
            titles.append(columns[0][name].title)
            for reader in rows:
                values = [whole["f1"]["mean"] for one in columns if (whole := one[name].whole(reader))]
                several = (
                    f"{statistics.mean(values):.1f} ({min(values):.1f}-{max(values):.1f})" if len(values) > 1 else ""
                )
                scores[reader].append(several)
    yield prose(
        f"F1 over {len(runs)} seeds, mean (lowest-highest): the same teacher, other filters to begin with and another "
        "order of the data. Intervals above are of the questions alone; this is what training varies beside."
    )
    yield table(["reader", *titles], [[f"`{name}`", *scores[name]] for name in rows if any(scores[name])])


def _widest(among: Evaluation | None) -> _Column | None:
    """The condition of most passages: what readers cost shows there."""
    found = list(_columns(among, _AMONG)) if among else []
    return max(found, key=lambda column: column.among, default=None)


def _cost(column: _Column, reader: str) -> list[str]:
    if reader not in column.found.readers:
        return ["", ""]
    one = column.found.condition(column.found.readers.index(reader), column.name)
    return [f"{one['tokens_per_second']:,.0f}", gib(one.get("peak_memory_gib"))]


def _panels(rows: Sequence[str], columns: Sequence[_Column]) -> Iterator[Dots]:
    for kind in _KINDS:
        chosen = [column for column in columns if column.kind is kind]
        if chosen:
            series = {
                f"among {column.among}" if column.among else "whole": [_f1(column.whole(name)) for name in rows]
                for column in chosen
            }
            yield Dots(kind.panel, series)


def _f1(whole: Mapping[str, Any] | None) -> Mapping[str, float] | None:
    return None if whole is None else whole["f1"]


def _speed(among: Evaluation, rows: Sequence[str]) -> Iterator[Dots]:
    column = _widest(among)
    if column is None:
        return
    values: list[Mapping[str, float] | None] = []
    for name in rows:
        one = among.condition(among.readers.index(name), column.name) if name in among.readers else None
        values.append({"mean": one["tokens_per_second"] / 1000} if one else None)
    yield Dots("thousand tokens/s", {column.title: values}, from_zero=True)
