"""Two or three readers of the same data, whose mixers differ alone: scores under every condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from results_page.files import ROLES, Evaluation
from results_page.markdown import delta, gib, millions, p_value, prose, score, table

__all__ = ["scores_text"]


def scores_text(evaluations: Sequence[Evaluation], folder: str) -> str:
    """Who read, how they scored under every condition, at what cost, and how well they abstain."""
    roles = max((found.roles for found in evaluations), key=len)
    parts = [prose(_made(roles, folder)), _readers(evaluations)]
    costs, abstention = [], []
    for found in evaluations:
        for condition in found.conditions:
            costs.append(_cost(found, condition, len(roles)))
            abstention += _abstention(found, condition["name"])
    gaps = ["difference", "p"] if len(roles) == 2 else [head for role in roles[1:] for head in (f"less {role}", "p")]
    for measure in ("EM", "F1"):
        rows = [
            row
            for found in evaluations
            for condition in found.conditions
            for row in _rows(found, condition["name"], measure.lower(), len(roles))
        ]
        parts.append(table(["questions", "n", *(f"{role} {measure}" for role in roles), *gaps], rows))
    parts.append("What reading costs:\n")
    header = ["questions", "tokens a question", *(f"{role} {unit}" for unit in ("tokens/s", "GiB") for role in roles)]
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


def _made(roles: Sequence[str], folder: str) -> str:
    if len(roles) == 2:
        return (
            "The recipes `reader` and `twin` of `configs/train` give both the same data, teacher and tokens; their "
            f"mixers differ alone. Files: `{folder}`. Differences are Hyena less twin."
        )
    return (
        "The recipes `reader`, `twin` and `local-twin` of `configs/train` give all three the same data, teachers and "
        "tokens; their mixers differ alone: Hyena, attention of all passages to one another, and attention of each "
        f"passage to itself and the question. Files: `{folder}`. Differences are Hyena less the other."
    )


def _cost(found: Evaluation, condition: Mapping[str, Any], count: int) -> list[str]:
    """A row of what reading costs each of so many readers."""
    each = [found.condition(reader, condition["name"]) for reader in range(len(found.roles))]
    absent = [""] * (count - len(each))
    return [
        f"`{found.name}`, {condition['title']}",
        f"{condition['tokens'] / condition['whole']['n']:,.0f}",
        *(f"{one['tokens_per_second']:,.0f}" for one in each),
        *absent,
        *(gib(one.get("peak_memory_gib")) for one in each),
        *absent,
    ]


def _readers(evaluations: Sequence[Evaluation]) -> str:
    """Who read, and on what: a row for each reader as loaded."""
    read: dict[tuple[str, ...], list[str]] = {}
    for found in evaluations:
        for role, name, result in zip(found.roles, found.readers, found.results):
            reader, machine = result["reader"], result["machine"]
            place = ", ".join(sorted(set(machine["gpus"]))) if reader["device"] != "cpu" else machine["processor"]
            parameters = millions(reader["parameters"])
            row = (role, f"`{name}`", parameters, f"`{reader['fingerprint'][:12]}`", reader["dtype"], place)
            read.setdefault(row, []).append(f"`{found.name}`")
    rows = [[*row, "all" if len(names) == len(evaluations) else ", ".join(names)] for row, names in read.items()]
    header = ["reader", "run", "parameters", "fingerprint", "arithmetic", "read on", "recipes"]
    return table(header, sorted(rows, key=lambda row: ROLES.index(row[0])), left=7)


def _rows(found: Evaluation, condition: str, measure: str, count: int) -> Iterator[list[str]]:
    """All questions of a condition, then each of several sources: label, n, the scores of so many readers, and how the
    first differs from each other."""
    readers = range(len(found.roles))
    first, *others = (found.condition(reader, condition) for reader in readers)
    parts = [{part["source"]: part for part in (other["whole"], *other["sources"])} for other in others]
    several = [part for part in first["sources"] if all(part["source"] in other for other in parts)]
    for part in [first["whole"], *(several if len(several) > 1 else ())]:
        source = part["source"]
        label = f"`{found.name}`, {first['title']}" if source == "all" else f"... {source}"
        scores = [score(one[measure]) for one in (part, *(other[source] for other in parts))]
        gaps = [found.against_first(reader, condition, measure, source) for reader in readers[1:]]
        absent = [""] * (count - len(scores))
        told = [text for gap in gaps for text in (delta(gap), p_value(gap))]
        yield [label, f"{part['n']:,}", *scores, *absent, *told, *absent, *absent]


def _abstention(found: Evaluation, condition: str) -> Iterator[list[str]]:
    for reader, name in enumerate(found.roles):
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
