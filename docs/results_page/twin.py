"""The Hyena reader beside its attention twin: every recipe, and what single recipes are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ragyena.pipelines.plot_training import draw
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
from results_page.plots import Line, Panel, curves, draw_lines

__all__ = ["sections"]

RECIPES = (
    "squad-dev",
    "squad-dev-among-32",
    "qa-dev",
    "squad-dev-open",
    "squad-dev-positions",
    "alias",
    "hybrid",
)
"""The recipes of ``configs/eval`` that the page shows, in its order."""
LOGS = ("cloze", "teacher", "student", "twin")
"""The stages whose logs are committed."""
NAMES = ("Hyena", "twin")


def sections(results: Path) -> Iterator[Section]:
    """Those whose files are in the newest folder ``DATE-reader-twin``."""
    for folder in newest(results, "reader-twin"):
        found = {name: evaluation(folder / f"{name}.json", readers=2) for name in RECIPES}
        evaluations = {name: value for name, value in found.items() if value is not None}
        if evaluations:
            yield Section("Reader and attention twin", _scores([*evaluations.values()], folder.name))
        made = (make(evaluations) for make in (_lengths, _positions, _hops, _hybrid))
        yield from (section for section in made if section is not None)
        yield from _training(folder)


# -- every recipe -----------------------------------------------------------------------------------------------------


def _scores(evaluations: Sequence[Evaluation], folder: str) -> str:
    parts = [
        prose(
            "The recipes `reader` and `twin` of `configs/train` give both the same data, teacher and tokens; their "
            f"mixers differ alone. Files: `{folder}`. Differences are Hyena less twin."
        ),
        _readers(evaluations),
    ]
    scored, costs, abstention = [], [], []
    for found in evaluations:
        for condition in found.conditions:
            scored += _rows(found, condition["name"])
            both = [found.condition(reader, condition["name"]) for reader in (0, 1)]
            costs.append(
                [
                    f"`{found.name}`, {condition['title']}",
                    f"{condition['tokens'] / condition['whole']['n']:,.0f}",
                    *(f"{one['tokens_per_second']:,.0f}" for one in both),
                    *(gib(one.get("peak_memory_gib")) for one in both),
                ]
            )
            abstention += _abstention(found, condition["name"])
    for measure, start in (("EM", 2), ("F1", 6)):
        columns = [0, 1, *range(start, start + 4)]
        parts.append(
            table(
                ["questions", "n", *(f"{name} {measure}" for name in NAMES), "difference", "p"],
                [[row[i] for i in columns] for row in scored],
            )
        )
    parts.append("What reading costs:\n")
    header = ["questions", "tokens a question", *(f"{name} {unit}" for unit in ("tokens/s", "GiB") for name in NAMES)]
    parts.append(table(header, costs))
    if abstention:
        parts.append(
            prose(
                "How well a reader tells questions whose context holds the answer from those whose context does not. "
                "`right` is the AUROC of confidence for right answers against all else; the last three columns are at "
                "the pipeline's threshold: answerable questions answered, their EM, unanswerable questions withheld."
            )
        )
        header = ["questions", "reader", "answerable", "unanswerable", "AUROC", "AUROC of no-answer probability"]
        parts.append(table([*header, "right", "answered", "EM", "withheld"], abstention, left=2))
    return "\n".join(parts)


def _readers(evaluations: Sequence[Evaluation]) -> str:
    """Who read, and on what: a row for each reader as loaded."""
    read: dict[tuple[str, ...], list[str]] = {}
    for found in evaluations:
        for role, name, result in zip(NAMES, found.readers, found.results):
            reader, machine = result["reader"], result["machine"]
            place = ", ".join(sorted(set(machine["gpus"]))) if reader["device"] != "cpu" else machine["processor"]
            parameters = millions(reader["parameters"])
            row = (role, f"`{name}`", parameters, f"`{reader['fingerprint'][:12]}`", reader["dtype"], place)
            read.setdefault(row, []).append(f"`{found.name}`")
    rows = [[*row, "all" if len(names) == len(evaluations) else ", ".join(names)] for row, names in read.items()]
    header = ["reader", "run", "parameters", "fingerprint", "arithmetic", "read on", "recipes"]
    return table(header, sorted(rows, key=lambda row: row[0]), left=7)


def _rows(found: Evaluation, condition: str) -> Iterator[list[str]]:
    """All questions of a condition, then each of several sources: label, n, and four columns a measure."""
    first, second = (found.condition(reader, condition) for reader in (0, 1))
    others = {part["source"]: part for part in second["sources"]}
    several = [(part, others[part["source"]]) for part in first["sources"] if part["source"] in others]
    for a, b in [(first["whole"], second["whole"]), *(several if len(several) > 1 else ())]:
        label = f"`{found.name}`, {first['title']}" if a["source"] == "all" else f"... {a['source']}"
        row = [label, f"{a['n']:,}"]
        for measure in ("em", "f1"):
            gap = found.against_first(1, condition, measure, a["source"])
            row += [score(a[measure]), score(b[measure]), delta(gap), p_value(gap)]
        yield row


def _abstention(found: Evaluation, condition: str) -> Iterator[list[str]]:
    for reader, name in enumerate(NAMES):
        one = found.condition(reader, condition)
        about = one["abstention"]
        if about is not None:
            yield [
                f"`{found.name}`, {one['title']}",
                name,
                f"{about['answerable']:,}",
                f"{about['unanswerable']:,}",
                *(_figure(about[key], ".3f") for key in ("auroc", "auroc_no_answer", "auroc_right")),
                f"{about['answered']:.1%}",
                _figure(about["answered_em"], ".1f"),
                f"{about['withheld']:.1%}",
            ]


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


# -- single recipes ---------------------------------------------------------------------------------------------------


def _lengths(evaluations: Mapping[str, Evaluation]) -> Section | None:
    """Scores by the number of passages, and end to end by the length of the context."""
    panels, parts = [], []
    among = [*_lines(evaluations, ("squad-dev", "squad-dev-among-32"), "among", "SQuAD dev")]
    among += _lines(evaluations, ("qa-dev",), "among", "all sources", dashed=True)
    among = [line for line in among if len(line.places) > 1]
    if among:
        panels.append(Panel("passages, the own one among them", "F1", among, doubling=True))
    lengths = list(_lines(evaluations, ("squad-dev-open",), "context_tokens", ""))
    if lengths and len(lengths[0].places) > 1:
        panels.append(Panel("tokens of context, found by the retriever", "F1", lengths, doubling=True))
    plots: dict[str, Callable[[Path], None]] = {}
    if panels:
        plots["lengths.svg"] = partial(draw_lines, panels)
        parts.append(image("lengths.svg", "F1 against the number of passages and the length of the context"))
    if "squad-dev-open" in evaluations:
        parts += _end_to_end(evaluations["squad-dev-open"])
    return Section("Accuracy and the length of the context", "\n".join(parts), plots) if parts else None


def _lines(
    evaluations: Mapping[str, Evaluation], recipes: Sequence[str], parameter: str, about: str, *, dashed: bool = False
) -> Iterator[Line]:
    """F1 of each reader over a parameter of the conditions, from several recipes on the same kind of questions."""
    for reader, name in enumerate(NAMES):
        points: dict[float, Mapping[str, Any]] = {}
        for recipe in recipes:
            for condition in evaluations[recipe].conditions if recipe in evaluations else ():
                place = condition["parameters"].get(parameter)
                whole = evaluations[recipe].condition(reader, condition["name"])["whole"]
                if place is not None and (place not in points or points[place]["n"] < whole["n"]):
                    points[place] = whole
        if points:
            places = sorted(points)
            label = f"{name}, {about}" if about else name
            yield Line(label, places, [points[place]["f1"] for place in places], reader, dashed)


def _end_to_end(found: Evaluation) -> Iterator[str]:
    rows = []
    for condition in found.conditions:
        both = [found.condition(reader, condition["name"]) for reader in (0, 1)]
        scores = [score(one["whole"][measure]) for measure in ("em", "f1") for one in both]
        packed = [score(condition[key]) if condition[key] else "" for key in ("own_packed", "answer_packed")]
        tokens = f"{condition['parameters']['context_tokens']:,}"
        rows.append([tokens, f"{condition['whole']['n']:,}", f"{condition['passages']:.1f}", *scores, *packed])
    yield prose(
        "End to end: the retriever chooses among all passages and Wikipedia leads, the packer fills the context. The "
        "last two columns say for how many questions a passage of their own context, or an answer as a string, stands "
        "in what is read."
    )
    header = ["context tokens", "n", "passages", *(f"{name} {measure}" for measure in ("EM", "F1") for name in NAMES)]
    yield table([*header, "own passage read", "answer read"], rows)
    longest, shortest = found.conditions[-1], found.conditions[0]
    gaps = _gaps(found, longest["name"], shortest["name"])
    if gaps:
        lengths = [f"{condition['parameters']['context_tokens']:,}" for condition in (longest, shortest)]
        yield f"The longest context less the shortest ({' less '.join(lengths)} tokens), on the same questions:\n"
        yield table(["reader", "questions", "EM", "p", "F1", "p"], gaps, left=2)


def _gaps(found: Evaluation, first: str, second: str, *about: str) -> list[list[str]]:
    """First condition less second: a row for each reader, and for each source where there are several."""
    rows = []
    sources = [part["source"] for part in found.condition(0, first)["sources"]]
    for source in ["all", *(sources if len(sources) > 1 else ())]:
        for reader, name in enumerate(NAMES):
            em, f1 = (found.between(reader, first, second, measure, source) for measure in ("em", "f1"))
            if em or f1:
                rows.append([*about, name, source, delta(em), p_value(em), delta(f1), p_value(f1)])
    return rows


def _positions(evaluations: Mapping[str, Evaluation]) -> Section | None:
    found = evaluations.get("squad-dev-positions")
    if found is None:
        return None
    panels = []
    lengths = sorted({condition["parameters"]["context_tokens"] for condition in found.conditions})
    for length in lengths:
        swept = [c for c in found.conditions if c["parameters"]["context_tokens"] == length]
        places = [condition["parameters"]["position"] for condition in swept]
        lines = [
            Line(name, places, [found.condition(reader, c["name"])["whole"]["em"] for c in swept], reader)
            for reader, name in enumerate(NAMES)
        ]
        panels.append(Panel(f"place of the own passage in {length:,} tokens (0 start, 1 end)", "EM", lines))
    rows = []
    for reader, name in enumerate(NAMES):
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


def _hops(evaluations: Mapping[str, Evaluation]) -> Section | None:
    found = evaluations.get("alias")
    if found is None:
        return None
    names = {(c["parameters"]["among"], c["parameters"]["hops"]): c["name"] for c in found.conditions}
    rows, gaps = [], []
    for among in sorted({among for among, _ in names}):
        one, two = names.get((among, 1)), names.get((among, 2))
        if one is None or two is None:
            continue
        for reader, name in enumerate(NAMES):
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


def _hybrid(evaluations: Mapping[str, Evaluation]) -> Section | None:
    found = evaluations.get("hybrid")
    if found is None or {"joint", "independent"} - {condition["name"] for condition in found.conditions}:
        return None
    rows = []
    for reader, name in enumerate(NAMES):
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


def _training(folder: Path) -> Iterator[Section]:
    stages = [training(path) for name in LOGS if (path := folder / f"{name}.jsonl").is_file()]
    if not stages:
        return
    text = f"{HELD_OUT_IS}\n" + training_table(stages, {HELD_OUT: ".3f"})
    plots: dict[str, Callable[[Path], None]] = {}
    drawn = curves([stage for stage in stages if stage.name in ("student", "twin")], HELD_OUT)
    if drawn:
        plots["training.svg"] = partial(draw, drawn, HELD_OUT)
        text += "\n" + image("training.svg", "held-out span loss of reader and twin against tokens and FLOPs")
    yield Section("Training of reader and twin", text, plots)
