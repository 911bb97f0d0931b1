"""What single recipes are about: length, place, hops, hybrid documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from results_page.files import ROLES, Evaluation, Section
from results_page.markdown import delta, image, p_value, prose, score, table
from results_page.plots import Line, Panel, draw_lines

__all__ = ["AMONG", "END_TO_END", "accuracy", "hops", "hybrid", "lengths", "positions"]

AMONG = ("squad-dev-among", "squad-dev-among-32")
"""Recipes with the own context among others, those that ask more first."""
END_TO_END = ("squad-dev-lengths", "squad-dev-open")
"""Recipes with what the retriever finds, those that ask more first."""


def lengths(evaluations: Mapping[str, Evaluation]) -> Section | None:
    """Scores by the number of passages, and end to end by the length of the context."""
    panels, parts = [*accuracy(evaluations)], []
    plots: dict[str, Callable[[Path], None]] = {}
    if panels:
        plots["lengths.svg"] = partial(draw_lines, panels)
        parts.append(image("lengths.svg", "F1 against the number of passages and the length of the context"))
    for recipe in END_TO_END:
        if recipe in evaluations:
            parts += _end_to_end(evaluations[recipe])
    return Section("Accuracy and the length of the context", "\n".join(parts), plots) if parts else None


def accuracy(evaluations: Mapping[str, Evaluation]) -> Iterator[Panel]:
    """F1 against the number of passages, and against tokens end to end, where there are two of them or more."""
    among = [*_lines(evaluations, ("squad-dev", *AMONG), "among", "SQuAD dev")]
    among += _lines(evaluations, ("qa-dev",), "among", "all sources", dashed=True)
    among = [line for line in among if len(line.places) > 1]
    if among:
        yield Panel("passages, the own one among them", "F1", among, doubling=True)
    found = [line for line in _lines(evaluations, END_TO_END, "context_tokens", "") if len(line.places) > 1]
    if found:
        yield Panel("tokens of context, found by the retriever", "F1", found, doubling=True)


def _lines(
    evaluations: Mapping[str, Evaluation], recipes: Sequence[str], parameter: str, about: str, *, dashed: bool = False
) -> Iterator[Line]:
    """F1 of each reader over a parameter of the conditions, from several recipes on the same kind of questions."""
    chosen = [evaluations[recipe] for recipe in recipes if recipe in evaluations]
    for reader, name in enumerate(ROLES):
        points: dict[float, Mapping[str, Any]] = {}
        for found in chosen:
            for condition in found.conditions if reader < len(found.roles) else ():
                place = condition["parameters"].get(parameter)
                whole = found.condition(reader, condition["name"])["whole"]
                if place is not None and (place not in points or points[place]["n"] < whole["n"]):
                    points[place] = whole
        if points:
            places = sorted(points)
            label = f"{name}, {about}" if about else name
            yield Line(label, places, [points[place]["f1"] for place in places], reader, dashed)


def _end_to_end(found: Evaluation) -> Iterator[str]:
    rows = []
    for condition in found.conditions:
        each = [found.condition(reader, condition["name"]) for reader in range(len(found.roles))]
        scores = [score(one["whole"][measure]) for measure in ("em", "f1") for one in each]
        packed = [score(condition[key]) if condition[key] else "" for key in ("own_packed", "answer_packed")]
        tokens = f"{condition['parameters']['context_tokens']:,}"
        rows.append([tokens, f"{condition['whole']['n']:,}", f"{condition['passages']:.1f}", *scores, *packed])
    yield prose(
        "End to end: the retriever chooses among all passages and Wikipedia leads, the packer fills the context. The "
        "last two columns say for how many questions a passage of their own context, or an answer as a string, stands "
        "in what is read."
    )
    header = [
        "context tokens",
        "n",
        "passages",
        *(f"{name} {measure}" for measure in ("EM", "F1") for name in found.roles),
    ]
    yield table([*header, "own passage read", "answer read"], rows)
    longest, shortest = found.conditions[-1], found.conditions[0]
    gaps = _gaps(found, longest["name"], shortest["name"])
    if gaps:
        tokens = [f"{condition['parameters']['context_tokens']:,}" for condition in (longest, shortest)]
        yield f"The longest context less the shortest ({' less '.join(tokens)} tokens), on the same questions:\n"
        yield table(["reader", "questions", "EM", "p", "F1", "p"], gaps, left=2)


def _gaps(found: Evaluation, first: str, second: str, *about: str) -> list[list[str]]:
    """First condition less second: a row for each reader, and for each source where there are several."""
    rows = []
    sources = [part["source"] for part in found.condition(0, first)["sources"]]
    for source in ["all", *(sources if len(sources) > 1 else ())]:
        for reader, name in enumerate(found.roles):
            em, f1 = (found.between(reader, first, second, measure, source) for measure in ("em", "f1"))
            if em or f1:
                rows.append([*about, name, source, delta(em), p_value(em), delta(f1), p_value(f1)])
    return rows


def positions(evaluations: Mapping[str, Evaluation]) -> Section | None:
    """Scores by the place of the passage that answers."""
    found = evaluations.get("squad-dev-positions")
    if found is None:
        return None
    panels = []
    for length in sorted({condition["parameters"]["context_tokens"] for condition in found.conditions}):
        swept = [c for c in found.conditions if c["parameters"]["context_tokens"] == length]
        places = [condition["parameters"]["position"] for condition in swept]
        lines = [
            Line(name, places, [found.condition(reader, c["name"])["whole"]["em"] for c in swept], reader)
            for reader, name in enumerate(found.roles)
        ]
        panels.append(Panel(f"place of the own passage in {length:,} tokens (0 start, 1 end)", "EM", lines))
    rows = []
    for reader, name in enumerate(found.roles):
        for spread in found.results[reader]["spreads"]:
            parameters = found.condition(reader, spread["conditions"][0])["parameters"]
            places = f"{len(spread['conditions'])}"
            rows.append([name, f"{parameters['context_tokens']:,}", places, score(spread["em"]), score(spread["f1"])])
    parts = [image("positions.svg", "EM against the place of the own passage")]
    if rows:
        parts.append(
            "The spread is the greatest mean less the least over the places; chance alone makes it greater than 0.\n"
        )
        parts.append(table(["reader", "context tokens", "places", "EM spread", "F1 spread"], rows))
    return Section("Place of the own passage", "\n".join(parts), {"positions.svg": partial(draw_lines, panels)})


def hops(evaluations: Mapping[str, Evaluation]) -> Section | None:
    """Scores with and without a second passage to join."""
    found = evaluations.get("alias")
    if found is None:
        return None
    names = {(c["parameters"]["among"], c["parameters"]["hops"]): c["name"] for c in found.conditions}
    rows, gaps = [], []
    for among in sorted({among for among, _ in names}):
        one, two = names.get((among, 1)), names.get((among, 2))
        if one is None or two is None:
            continue
        for reader, name in enumerate(found.roles):
            wholes = [found.condition(reader, condition)["whole"] for condition in (one, two)]
            scores = [score(whole[measure]) for measure in ("em", "f1") for whole in wholes]
            rows.append([f"{among}", name, f"{wholes[0]['n']:,}", *scores])
        gaps += _gaps(found, two, one, f"{among}")
    text = prose(
        "A name in the question becomes an invented alias that another passage defines; the same questions with the "
        "name itself are one hop."
    )
    text += "\n" + table(
        ["among", "reader", "n", "EM one hop", "EM two hops", "F1 one hop", "F1 two hops"], rows, left=2
    )
    if gaps:
        text += "\nTwo hops less one:\n\n" + table(["among", "reader", "questions", "EM", "p", "F1", "p"], gaps, left=3)
    return Section("Two hops", text)


def hybrid(evaluations: Mapping[str, Evaluation]) -> Section | None:
    """Scores on documents of tables and texts, read whole and by passage."""
    found = evaluations.get("hybrid")
    if found is None or {"joint", "independent"} - {condition["name"] for condition in found.conditions}:
        return None
    rows = []
    for reader, name in enumerate(found.roles):
        joint, alone = (found.condition(reader, condition) for condition in ("joint", "independent"))
        alone_by_source = {part["source"]: part for part in alone["sources"]}
        several = joint["sources"] if len(joint["sources"]) > 1 else ()
        for part in (joint["whole"], *several):
            other = alone["whole"] if part["source"] == "all" else alone_by_source[part["source"]]
            gap = found.between(reader, "joint", "independent", "f1", part["source"])
            scores = [score(side[measure]) for measure in ("em", "f1") for side in (part, other)]
            rows.append([name, part["source"], f"{part['n']:,}", *scores, delta(gap), p_value(gap)])
    text = prose(
        "A table and the articles its cells link to, read whole and passage by passage, the best answer taken. The "
        "difference is of F1, whole less passage by passage."
    )
    header = ["reader", "questions", "n", "EM whole", "EM by passage", "F1 whole", "F1 by passage", "difference", "p"]
    return Section("Hybrid documents", text + "\n" + table(header, rows, left=2))
