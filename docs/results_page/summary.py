"""The results in the README: a table of two or three readers, what they cost by length, one figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ragyena import recipes
from ragyena.errors import DataError
from ragyena.report.cost_parts import duration
from results_page.by_recipe import AMONG, END_TO_END, accuracy
from results_page.cost import crossing_sentences, first_tokens, latency, timed
from results_page.files import Evaluation, newest
from results_page.markdown import bullets, millions, prose, table
from results_page.plots import draw_lines
from results_page.twin import evaluations_of

__all__ = ["BEGIN", "END", "Summary", "summary", "within"]

BEGIN, END = "<!-- results: made by `make docs`, not by hand -->", "<!-- end of results -->"

Summary = tuple[str, Mapping[str, Callable[[Path], None]]]
"""The text, empty where there is nothing to report, and the plots by file name in ``docs/plots/``."""

_ABOUT = {
    "squad-dev": "SQuAD dev",
    "squad-dev-among": "SQuAD dev, the other passages the retriever's top hits",
    "squad-dev-among-32": "SQuAD dev, the other passages the retriever's top hits",
    "qa-dev": "questions of {sources} sources",
    "squad-dev-lengths": "SQuAD dev, retrieved among {contexts:,} texts",
    "squad-dev-open": "SQuAD dev, retrieved among {contexts:,} texts",
    "squad-dev-positions": "SQuAD dev, the own passage at",
    "alias": "an alias that another passage explains",
    "hybrid": "tables and the articles they link to",
}
_WANTED = {
    "qa-dev": lambda conditions: conditions[-1:],
    "alias": lambda conditions: [one for one in conditions if one["parameters"]["hops"] == 2],
    "hybrid": lambda conditions: [one for one in conditions if one["name"] == "joint"],
}
"""Which conditions of a recipe are shown; all, where it is not named."""


def summary(results: Path) -> Summary:
    """Of the newest folder ``DATE-reader-twin``. Raises DataError where a file is not what its name says."""
    for folder in newest(results, "reader-twin"):
        evaluations = evaluations_of(folder)
        if evaluations:
            return _summary(evaluations)
    return "", {}


def within(text: str, made: str) -> str:
    """``text`` with what is between the two marks made anew. Raises DataError where it does not hold them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise DataError(
            f"the README has no lines '{BEGIN}' and '{END}'", hint="put them where the results are to stand"
        )
    return f"{before}{BEGIN}\n{made}{END}{after}"


def _summary(evaluations: Mapping[str, Evaluation]) -> Summary:
    chosen = [evaluations[name] for name in _ABOUT if name in evaluations and not _outdone(name, evaluations)]
    roles = max((found.roles for found in chosen), key=len)
    rows = [row for found in chosen for row in _rows(found, len(roles))]
    header = ["questions", "n", *(f"{role} EM / F1" for role in roles), "measured by"]
    parts = [prose(_who(chosen, roles)), _table(header, rows)]
    parts.append(
        prose(
            "Percent, official SQuAD metric. `p` is of F1, by a paired permutation test against the first reader, "
            "after Holm's correction for the tests of the recipe."
        )
    )
    plots: dict[str, Callable[[Path], None]] = {}
    panels = [*accuracy(evaluations)][-1:]
    costs = timed(evaluations)
    if costs is not None:
        parts.append(_costs(costs))
        panels += [panel for panel in (latency(costs),) if panel]
    if panels:
        plots["summary.svg"] = partial(draw_lines, panels)
        what = "accuracy" if costs is None else "accuracy and time to the first token"
        parts.append(f"![{what} against length](docs/plots/summary.svg)\n")
    return "\n".join(parts), plots


def _outdone(name: str, evaluations: Mapping[str, Evaluation]) -> bool:
    """Whether another recipe asks the same and more."""
    return any(name in family[1:] and family[0] in evaluations for family in (AMONG, END_TO_END))


def _who(chosen: Sequence[Evaluation], roles: Sequence[str]) -> str:
    widest = next(found for found in chosen if len(found.roles) == len(roles))
    sizes = [f"{role} {millions(result['reader']['parameters'])}" for role, result in zip(roles, widest.results)]
    others = {
        "twin": "every mixer of the twin attends to all passages",
        "local twin": "every mixer of the local twin attends to its own passage and the question",
    }
    mixers = "; ".join(others[role] for role in roles[1:])
    return f"Readers with the same data, teachers and tokens ({', '.join(sizes)} parameters); {mixers}."


def _rows(found: Evaluation, count: int) -> Iterator[list[str]]:
    """A row for each condition that is shown, then one of how well unanswerable questions are told apart."""
    absent = [""] * (count - len(found.roles))
    command = f"`{_command(found)}`"
    about = _ABOUT[found.name].format(
        contexts=found.results[0]["settings"].get("contexts", 0), sources=len(found.conditions[0]["sources"])
    )
    if found.name == "squad-dev-positions":  # of so many places how far they are apart is what is of interest
        for number, spread in enumerate(found.results[0]["spreads"]):
            several = [result["spreads"][number] for result in found.results]
            cells = [f"{one['em']['mean']:.1f} / {one['f1']['mean']:.1f}" for one in several]
            first = found.condition(0, spread["conditions"][0])
            title = f"{about} {len(spread['conditions'])} places of {first['parameters']['context_tokens']:,} tokens"
            yield [f"{title}, greatest less least", f"{first['whole']['n']:,}", *cells, *absent, command]
        return
    for condition in _WANTED.get(found.name, list)(found.conditions):
        title = f"{about}: {condition['title']}" if command else f"... {condition['title']}"
        cells = [_cell(found, reader, condition["name"]) for reader in range(len(found.roles))]
        yield [title, f"{condition['whole']['n']:,}", *cells, *absent, command]
        command = ""
    for condition in found.conditions if found.name == "squad-dev" else ():
        told = [found.condition(reader, condition["name"])["abstention"] for reader in range(len(found.roles))]
        if all(told):
            asked = told[0]["answerable"] + told[0]["unanswerable"]
            areas = [f"{one['auroc_no_answer']:.2f}" for one in told]
            yield ["... unanswerable questions told from answerable ones, AUROC", f"{asked:,}", *areas, *absent, ""]


def _cell(found: Evaluation, reader: int, condition: str) -> str:
    whole = found.condition(reader, condition)["whole"]
    text = f"{whole['em']['mean']:.1f} / {whole['f1']['mean']:.1f}"
    gap = found.against_first(reader, condition, "f1") if reader else None
    if gap is None:
        return text
    p = gap["p"] if gap.get("p_holm") is None else gap["p_holm"]
    return f"{text} (p {'< 0.001' if p < 0.001 else f'{p:.2g}'})"


def _command(found: Evaluation) -> str:
    """How it is measured, with the limit if it was not the recipe's own."""
    values, _ = recipes.load_recipe("configs/eval", found.name)
    limit = found.results[0]["config"].get("limit", 0)
    return f"ragyena eval {found.name}" + (f" --limit {limit}" if limit != values.get("limit", 0) else "")


def _costs(found: Evaluation) -> str:
    times = [first_tokens(found, reader) for reader in range(len(found.roles))]
    rows = []
    for tokens in sorted({tokens for one in times for tokens in one}):
        rows.append([f"{tokens:,}", *(_time(one.get(tokens)) for one in times)])
    places = sorted({", ".join(sorted(set(one["machine"]["gpus"]))) or "a CPU" for one in found.results})
    text = prose(f"Time to the first token on {' and '.join(places)}, median / p95 of contexts read one by one:")
    text += "\n" + _table(["tokens of context", *found.roles], rows)
    return text + "\n" + bullets(crossing_sentences(found))


def _time(found: Mapping[str, Any] | None) -> str:
    return "" if found is None else " / ".join(filter(None, (duration(found["p50"]), duration(found["p95"]))))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table(header, rows, left=len(header))
