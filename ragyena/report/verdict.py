"""What a report says first: how each reader answers, and which differences are more than chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ragyena.eval.significance import SIGNIFICANT, Difference
from ragyena.report.blocks import Bullets, Cell, Group, Line, Section, Table, Text, Value
from ragyena.report.compared import Compared, number

__all__ = [
    "better",
    "interval",
    "p_value",
    "passages_section",
    "score",
    "sources_section",
    "verdict_section",
]

_UP, _DOWN = "▲", "▼"


def verdict_section(compared: Compared) -> Section:
    """The table of readers and conditions, after what it comes to in a sentence for each later reader."""
    sentences = [*_sentences(compared)]
    several = len(compared.runs) > 1
    head = ["reader", "EM", "F1", "EM gap", "F1 gap"] if several else ["condition", "n", "EM", "F1"]
    rows: list[Line] = []
    for name, condition in compared.conditions.items():
        numbers = dict.fromkeys(f"{figures['whole']['n']:,}" for _, _, figures in compared.having(name))
        if several:
            rows.append(Group(f"{condition['title']}; n {', '.join(numbers)}"))
        for place, run, figures in compared.having(name):
            gaps = [compared.gaps.get((place, name, measure)) for measure in ("em", "f1")]
            scores: list[Cell] = [score(figures["whole"][m], gap) for m, gap in zip(("em", "f1"), gaps)]
            if several:
                rows.append([run.label, *scores, *map(_gap, gaps)])
            else:
                rows.append([condition["title"], *numbers, *scores])
    note = "Scores are percent, with 95% intervals of a bootstrap over whole contexts."
    if compared.gaps:
        note += (
            f" Gaps are to the first reader, `{compared.runs[0].label}`, on the questions that both answered; {_UP} "
            f"and {_DOWN} stand where a paired permutation test over contexts gives p < {SIGNIFICANT:g} after Holm's "
            f"correction for the {len(compared.gaps)} tests of this table, which stands behind the test's own p: of "
            "twenty such tables of readers that are alike, about one has any mark."
        )
    return Section("Verdict", [*([Bullets(sentences)] if sentences else []), Table(head, rows), Text(note)])


def _sentences(compared: Compared) -> Iterator[str]:
    first = compared.runs[0].label
    for place, run in enumerate(compared.runs[1:], 1):
        gaps = {name: gap for (at, name, measure), gap in compared.gaps.items() if (at, measure) == (place, "f1")}
        if not gaps:
            continue
        counts = {side: [name for name, gap in gaps.items() if better(gap) == side] for side in (_UP, _DOWN, "")}
        if len(gaps) == 1:
            (gap,) = gaps.values()
            said = {_UP: "answers better than", _DOWN: "answers worse than", "": "is not shown to differ from"}
            found = ", ".join([_signed(gap), *_p_values(gap)])
            yield f"`{run.label}` {said[better(gap)]} `{first}`: F1 {found}, n {gap.n:,}."
        else:
            yield (
                f"`{run.label}` against `{first}`, by F1 under {len(gaps)} conditions: better in {len(counts[_UP])}, "
                f"worse in {len(counts[_DOWN])}, no difference shown in {len(counts[''])}."
            )


def sources_section(compared: Compared) -> Section | None:
    """F1 by the source of the questions, where there are several."""
    rows: list[Line] = []
    for name, condition in compared.conditions.items():
        lines = [
            [part["source"], run.label, f"{part['n']:,}", score(part["em"]), score(part["f1"])]
            for _, run, figures in compared.having(name)
            if len(figures["sources"]) > 1
            for part in figures["sources"]
        ]
        if lines:
            rows += [Group(condition["title"]), *sorted(lines, key=lambda line: str(line[0]))]
    if not rows:
        return None
    return Section("By source", [Table(["source", "reader", "n", "EM", "F1"], rows, left=2)], level=3)


def passages_section(compared: Compared) -> Section | None:
    """For how many questions the right passage was read, and was found best."""
    head = ["reader", "own passage read", "answer read", "own passage best", "passages"]
    keys = ("own_packed", "answer_packed", "own_first")
    rows: list[Line] = []
    for name, condition in compared.conditions.items():
        lines = [
            [
                run.label,
                *(score(figures[key]) if figures.get(key) else "" for key in keys),
                f"{figures['passages']:.1f}",
            ]
            for _, run, figures in compared.having(name)
            if any(figures.get(key) for key in keys)
        ]
        if lines:
            rows += [Group(condition["title"]), *lines]
    if not rows:
        return None
    text = (
        "Percent of the questions for which a passage of their own context, or an answer as a string, stands in what "
        "is read, and for which the reader's best passage is of their own context; passages in a context, on average."
    )
    return Section("What was read", [Text(text), Table(head, rows)])


def score(estimate: Mapping[str, float], gap: Difference | None = None) -> Value:
    return Value(f"{estimate['mean']:.1f}", interval(estimate), better(gap))


def interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['low']:.1f}–{estimate['high']:.1f}"


def better(gap: Difference | None) -> str:
    """▲ where the later reader is better by more than chance, ▼ where it is worse."""
    return {"first": _UP, "second": _DOWN}.get(gap.verdict if gap else "", "")


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else number(p, ".3f")


def _p_values(gap: Difference) -> tuple[str, str]:
    """As tested, and as corrected."""
    holm = gap.p if gap.p_holm is None else gap.p_holm
    return f"p {p_value(gap.p)}", f"Holm {p_value(holm)}"


def _signed(gap: Difference) -> str:
    return f"{gap.difference.mean:+.1f} ({gap.difference.low:+.1f} to {gap.difference.high:+.1f})"


def _gap(gap: Difference | None) -> Cell:
    return Value(f"{gap.difference.mean:+.1f}", "\n".join(_p_values(gap)), better(gap)) if gap else ""
