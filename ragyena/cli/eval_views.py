"""Evaluations on a terminal: the events of a run, then the tables of its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ragyena.cli.console import TerminalProgress, output
from ragyena.eval.compare import Comparison
from ragyena.eval.document_compare import DocumentComparison
from ragyena.eval.metrics import Estimate
from ragyena.eval.recipe import Evaluation, Part
from ragyena.eval.results import LARGEST_RESULT, short_name
from ragyena.eval.retrieval import RetrievalReport
from ragyena.eval.run import EvaluationResult, Finished, FrozenPart, Watcher
from ragyena.parsing import read_json
from ragyena.report import model
from ragyena.report.documents import DOCUMENT_COLUMNS

__all__ = ["Printer", "comparison_lines", "document_lines", "evidence_lines"]


class Printer(Watcher):
    """Prints an evaluation as it goes, a line for each result; at the end, of a single recipe, its tables."""

    def __init__(self, progress: TerminalProgress | None) -> None:
        """``progress`` shows the parts of a suite as they begin."""
        self._progress = progress
        self._console = output()
        self._is_suite = False
        self._done = self._count = 0

    def started(self, evaluation: Evaluation, folder: Path, count: int, left_out: Sequence[Part]) -> None:
        self._is_suite, self._count = evaluation.is_suite, count
        if evaluation.is_suite:
            recipes = len(evaluation.parts) - len(left_out)
            self._console.print(f"{evaluation.name}: {recipes} recipes, {count} results to make, in {folder}")
            for part in left_out:
                self._console.print(
                    f"  {part.name}: left out, it searches an index and reads nothing that could be frozen; where data "
                    f"and index are: ragyena eval {part.name} --data-root FOLDER"
                )

    def began(self, part: str, reader: str) -> None:
        if self._progress and self._is_suite:
            self._progress.note(f"{self._done + 1} of {self._count}: {part}, {reader}")

    def finished(self, result: Finished) -> None:
        self._done += 1
        self._console.print(_summary(result))
        if not self._is_suite:
            for line in _details(result):
                self._console.print(f"    {line}")

    def compared(self, comparison: Comparison, path: Path) -> None:
        self._console.print(f"  {path}")
        if comparison.left_out:
            self._console.print(f"    only one has {', '.join(comparison.left_out)}")

    def frozen(self, part: FrozenPart) -> None:
        self._done += 1
        self._console.print(
            f"{part.path}: {part.questions:,} questions, {part.passages:,} passages, "
            f"{part.path.stat().st_size / 2**20:.1f} MiB{' (frozen before)' if part.kept else ''}"
        )

    def end(self, result: EvaluationResult, page: model.Page, files: Sequence[Path]) -> None:
        """Print the report's sentences and tables, then the files."""
        for section in () if self._is_suite else page.sections:
            if section.title.startswith("How "):  # settings and versions, which stand in the files
                continue
            tables = [table for block in section.blocks for table in _tables(block)]
            for line in ("", section.title, *tables) if tables else ():
                self._console.print(line)
        for path in (*(() if self._is_suite else result.together), *files):
            self._console.print(f"  {path}")


def _summary(result: Finished) -> str:
    """F1 under each condition, or the recall of each way of searching, on one line."""
    values = read_json(result.result, LARGEST_RESULT)
    if "reader" in values:
        figures = ", ".join(f"{c['name']} {c['whole']['f1']['mean']:.1f}" for c in values["conditions"])
        said = f"{values['recipe']}, {short_name(values['reader']['name'])}: F1 {figures}"
    else:
        recalls = [(c["name"], c["answer_recall"] or c["passage_recall"] or {}) for c in values["conditions"]]
        figures = ", ".join(f"{name} {e['mean']:.1f} in {k}" for name, of in recalls for k, e in [*of.items()][-1:])
        said = f"{values['recipe']}: retrieved by {figures}"
    return f"  {said}{' (finished before)' if result.kept else ''}"


def _details(result: Finished) -> Iterator[str]:
    """The file of a result, its reader and machine, and whatever was not asked or left out."""
    yield str(result.result)
    report = result.report
    if report is None:
        return
    if not isinstance(report, RetrievalReport):
        reader, machine = report.reader, report.machine
        yield (
            f"{reader['parameters'] / 1e6:.1f}M parameters, {reader['fingerprint'][:12]}, {reader['dtype']} on "
            f"{reader['device']}; {', '.join(machine['gpus']) or machine['processor']}, {machine['cores']} cores, "
            f"torch {machine['versions']['torch']}"
        )
        for condition in report.conditions:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(condition.kinds.items()))
            not_asked = f"; {condition.unasked:,} too long or empty to be asked, counted as wrong"
            yield f"{condition.title}: answers {kinds}{not_asked if condition.unasked else ''}"
    if report.data["left_out"]:
        yield f"left out {report.data['left_out']:,} rows; the first: {report.data['left_out_first'][0]}"


def _tables(block: model.Block) -> Iterator[str | Table]:
    """A report's block for a terminal: a table for each group of rows, a line for each sentence; no prose or charts."""
    match block:
        case model.Bullets(items):
            yield from (f"  {item}" for item in items)
        case model.Figures(_, model.Table() as behind):
            yield from _tables(behind)
        case model.Table(head, _, left):
            groups = _groups(block)
            if len(groups) > 1 and all(len(rows) == 1 for _, rows in groups):  # of one reader: its rows together
                groups = [("", [[title, *rows[0]] for title, rows in groups])]
                head, left = ["", *head], left + 1
            for title, rows in groups:
                table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
                for place, name in enumerate(head):
                    table.add_column(name, justify="left" if place < left else "right")
                for row in rows:
                    table.add_row(*map(str, row))
                yield table


def _groups(table: model.Table) -> list[tuple[str, list[Sequence[model.Cell]]]]:
    """The rows under each title."""
    groups: list[tuple[str, list[Sequence[model.Cell]]]] = [("", [])]
    for row in table.rows:
        if isinstance(row, model.Group):
            groups.append((row.title, []))
        else:
            groups[-1][1].append(row)
    return [group for group in groups if group[1]]


def document_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures of the task ``documents``: a line for each type of answer and each kind of document, and what was
    true at each confidence."""
    for name, condition in report["conditions"].items():
        yield f"{report['reader']['name']}, {name}: {condition['questions']:,} questions, in percent (95% interval)"
        yield f"  {'':17}{'n':>6}" + "".join(f"{column:>15}" for column in DOCUMENT_COLUMNS.values())
        for group, figures in condition["groups"].items():
            shown = (figures.get(column) for column in DOCUMENT_COLUMNS)
            cells = ("-" if f is None else _interval(*f[:3]) for f in shown)
            yield f"  {group:17}{figures['n']:>6}" + "".join(f"{cell:>15}" for cell in cells)
        yield "  packed: the evidence was read; cited: the best candidate lies in it; ECE, AUROC: of the confidence"
        for measure, stated in (("confidence", "right, were none withheld"), ("no_answer", "not in what was read")):
            if found := condition[measure]:
                yield from _reliability_lines(measure.replace("_", "-"), stated, found)


def _reliability_lines(measure: str, stated: str, found: Mapping[str, Any]) -> Iterator[str]:
    error, area = found["calibration_error"], found["auroc"]
    ranked = "" if area is None else f"; AUROC {_percent(area)}"
    yield f"  {measure}: {found['confidence']:.0%} on average, {found['right']:.0%} {stated}"
    yield f"    calibration error {_percent(error)}, by chance {100 * found['by_chance']:.1f}{ranked}"
    yield f"    {'it says':10}" + "".join(f"{one['confidence']:>6.0%}" for one in found["bins"])
    yield f"    {'it is true':10}" + "".join(f"{one['right']['mean']:>6.0%}" for one in found["bins"])


def _percent(estimate: Mapping[str, float]) -> str:
    return _interval(*(100 * estimate[key] for key in ("mean", "low", "high")))


def _interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.{1 if mean < 99.95 else 0}f} ({low:.0f}-{high:.0f})"


def comparison_lines(comparisons: Sequence[DocumentComparison]) -> Iterator[str]:
    """The differences of the second reader from the first, over all questions and where a group shows one."""
    for one in comparisons:
        yield f"{one.second} less {one.first}, {one.condition}, percent points (95% interval; p after Holm)"
        for test in one.tests:
            if test.source == "all" or test.verdict != "neither":
                p = test.p if test.p_holm is None else test.p_holm
                gap = _signed(test.difference)
                yield f"  {test.source:17}{test.n:>6}  {_MEASURES[test.measure]:14}{gap:>22}  p {p:.3f}"
        yield f"  {'':23}  {'ECE':14}{_signed(one.calibration_error):>22}"
        if one.auroc is not None:
            yield f"  {'':23}  {'AUROC':14}{_signed(one.auroc):>22}"


_MEASURES = {"right": "right", "f1": "F1", "withheld": "withheld", "brier": "1 - Brier"}


def _signed(estimate: Estimate) -> str:
    return f"{estimate.mean:+.1f} ({estimate.low:+.1f} to {estimate.high:+.1f})"


def evidence_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures of the task ``evidence``: a line for each way of ranking, over all questions."""
    reader = report["settings"]["reader"]["name"]
    yield f"{reader}: {report['questions']:,} questions, recall in percent (95% interval)"
    measures = [*dict.fromkeys(name for c in report["conditions"].values() for name in c["groups"]["all"])][1:]
    for kind in ("passages@", "filled@", "sentences@", ""):
        columns = [m for m in measures if (m.startswith(kind) if kind else "@" not in m)]
        yield f"  {'':14}" + "".join(f"{column.replace('_', '@'):>20}" for column in columns)
        for name, condition in report["conditions"].items():
            shown = [condition["groups"]["all"].get(column) for column in columns]
            if any(shown):
                cells = ("-" if f is None else f"{f[0]:.1f} ({f[1]:.0f}-{f[2]:.0f})" for f in shown)
                yield f"  {name:14}" + "".join(f"{cell:>20}" for cell in cells)
