"""Evaluations and comparisons on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ragyena.cli.console import TerminalProgress, output, size
from ragyena.eval.compare import Comparison
from ragyena.eval.cost import Cost
from ragyena.eval.layout import ConditionReport, Report
from ragyena.eval.metrics import Estimate
from ragyena.eval.recipe import Evaluation, Part
from ragyena.eval.results import short_name
from ragyena.eval.retrieval import RetrievalReport
from ragyena.eval.run import EvaluationResult, Finished, FrozenPart, Watcher
from ragyena.eval.significance import Difference
from ragyena.eval.timing import Latency
from ragyena.report.cost import PART_NAMES
from ragyena.report.numbers import duration

__all__ = ["Printer", "comparison_lines", "document_lines", "report_lines", "retrieval_lines", "summary_line"]


class Printer(Watcher):
    """Prints an evaluation as it goes: of one recipe its results in full, of a suite a line each."""

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
        if self._is_suite or result.report is None:
            self._console.print(summary_line(result.result, kept=result.kept))
            return
        report = result.report
        for line in retrieval_lines(report) if isinstance(report, RetrievalReport) else report_lines(report):
            self._console.print(line)
        self._console.print(f"\n  {result.result}\n")

    def compared(self, comparison: Comparison, path: Path) -> None:
        for line in comparison_lines(comparison):
            self._console.print(line)
        self._console.print(f"\n  {path}\n")

    def frozen(self, part: FrozenPart) -> None:
        self._done += 1
        self._console.print(
            f"{part.path}: {part.questions:,} questions, {part.passages:,} passages, "
            f"{part.path.stat().st_size / 2**20:.1f} MiB{' (frozen before)' if part.kept else ''}"
        )

    def end(self, result: EvaluationResult, pages: Sequence[Path]) -> None:
        for path in () if self._is_suite else result.together:
            self._console.print(f"  all of them together: {path}\n")
        for path in pages:
            self._console.print(f"  {path}")


def report_lines(report: Report) -> Iterator[Any]:
    """The lines of a reader's results, in order."""
    yield from _heading(report)
    for condition in report.conditions:
        yield ""
        yield _table(condition)
        for line in _notes(condition):
            yield f"  {line}"
    if report.differences:
        yield ""
        yield _differences("differences between conditions", report.differences, report.differences[0].first)
    for spread in report.spreads:
        yield ""
        (em, em_interval), (f1, f1_interval) = _estimate(spread.em), _estimate(spread.f1)
        yield f"  spread over {len(spread.conditions)} positions: EM {em} ({em_interval}), F1 {f1} ({f1_interval})"


def retrieval_lines(report: RetrievalReport) -> Iterator[Any]:
    """The lines of the results of retrieval, in order."""
    yield f"{report.recipe}, {report.date}"
    if report.data["left_out"]:
        yield f"  left out {report.data['left_out']:,}; the first: {report.data['left_out_first'][0]}"
    for condition in report.conditions:
        yield ""
        table = Table(box=SIMPLE_HEAD, title=condition.title, title_justify="left", title_style="bold", pad_edge=False)
        for column in ("k", "answer in the first k", "95%", "own passages in the first k", "95%"):
            table.add_column(column, justify="right")
        for k, recall in condition.answer_recall.items():
            own = _estimate(condition.passage_recall[k]) if condition.passage_recall else ("", "")
            table.add_row(f"{k:,}", *_estimate(recall), *own)
        yield table
        if condition.ndcg_10 is not None and condition.mrr is not None:
            (ndcg, ndcg_interval), (mrr, mrr_interval) = _estimate(condition.ndcg_10), _estimate(condition.mrr)
            yield f"  nDCG@10 {ndcg} ({ndcg_interval}), MRR {mrr} ({mrr_interval}), n {condition.n_own:,}"
        yield f"  {condition.n:,} questions, {condition.seconds.p50 * 1000:,.0f} ms a search (median)"
    if report.differences:
        yield ""
        yield _differences("differences between ways of searching", report.differences, report.differences[0].first)


def summary_line(result: Path, *, kept: bool) -> str:
    """One line of a result of a suite: F1 under each condition, or the recall of each way of searching."""
    values = json.loads(result.read_text(encoding="utf-8"))
    if "reader" in values:
        figures = ", ".join(f"{c['name']} {c['whole']['f1']['mean']:.1f}" for c in values["conditions"])
        said = f"{values['recipe']}, {short_name(values['reader']['name'])}: F1 {figures}"
    else:
        recalls = [(c["name"], c["answer_recall"] or c["passage_recall"] or {}) for c in values["conditions"]]
        figures = ", ".join(f"{name} {e['mean']:.1f} in {k}" for name, of in recalls for k, e in [*of.items()][-1:])
        said = f"{values['recipe']}: retrieved by {figures}"
    return f"  {said}{' (finished before)' if kept else ''}"


def comparison_lines(comparison: Comparison) -> Iterator[Any]:
    """The lines of a comparison, in order."""
    yield f"{comparison.recipe}, {comparison.date}"
    for role, reader in (("first", comparison.first), ("second", comparison.second)):
        yield f"  {role:<8} {reader['name']} ({reader['fingerprint'][:12]}), {reader['date']}"
    for name, differences in comparison.conditions.items():
        yield ""
        yield _differences(name, differences, None)
    if comparison.left_out:
        yield f"  only one has {', '.join(comparison.left_out)}"


def _differences(title: str, differences: Sequence[Difference], shared: str | None) -> Table:
    """``shared`` is not None where first and second are conditions, which then are named."""
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    if shared is not None:
        table.add_column("first")
        table.add_column("second")
    table.add_column("source")
    table.add_column("score")
    for column in ("n", "first", "second", "difference", "95%", "p", "Holm"):
        table.add_column(column, justify="right")
    table.add_column("better")
    for d in differences:
        low, high = d.difference.low, d.difference.high
        table.add_row(
            *((d.first, d.second) if shared is not None else ()),
            d.source,
            _measure(d.measure),
            f"{d.n:,}",
            f"{d.first_mean:.1f}",
            f"{d.second_mean:.1f}",
            f"{d.difference.mean:+.1f}",
            f"{low:+.1f} to {high:+.1f}",
            _p(d.p),
            _p(d.p if d.p_holm is None else d.p_holm),
            d.verdict,
        )
    return table


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _measure(name: str) -> str:
    """``em`` as people write it: ``EM``."""
    return {"ndcg_10": "nDCG@10"}.get(name, name.upper() if len(name) < 3 else name.replace("_", " "))


def _heading(report: Report) -> list[str]:
    reader, machine, data = report.reader, report.machine, report.data
    lines = [
        f"{report.recipe}, {report.date}",
        f"  reader   {reader['name']} ({reader['parameters'] / 1e6:.1f}M parameters, {reader['fingerprint'][:12]}), "
        f"{reader['dtype']} on {reader['device']}",
        f"  machine  {', '.join(machine['gpus']) or machine['processor']}, {machine['cores']} cores, "
        f"torch {machine['versions']['torch']}",
    ]
    if data["left_out"]:
        lines.append(f"  left out {data['left_out']:,} rows; the first: {data['left_out_first'][0]}")
    return lines


def _table(condition: ConditionReport) -> Table:
    table = Table(box=SIMPLE_HEAD, title=condition.title, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("source")
    for column in ("n", "EM", "95%", "F1", "95%"):
        table.add_column(column, justify="right")
    several = condition.sources if len(condition.sources) > 1 else ()
    for part in (*several, condition.whole):
        label = part.source if several or part.source != "all" else condition.sources[0].source
        table.add_row(label, f"{part.n:,}", *_estimate(part.em), *_estimate(part.f1))
    return table


def _estimate(value: Estimate) -> tuple[str, str]:
    return f"{value.mean:.1f}", f"{value.low:.1f}-{value.high:.1f}"


def _notes(condition: ConditionReport) -> list[str]:
    memory = "" if condition.peak_memory_gib is None else f", {condition.peak_memory_gib:.2f} GiB at most"
    if condition.peak_memory_gib is None and condition.peak_resident_gib is not None:
        memory = f", {condition.peak_resident_gib:.2f} GiB resident at most"
    lines = [
        f"{condition.tokens:,} tokens read in {condition.seconds:,.1f} s "
        f"({condition.tokens_per_second:,.0f} tokens/s{memory}), "
        f"{condition.passages:.1f} passages a context; answers "
        + ", ".join(f"{kind} {count:,}" for kind, count in sorted(condition.kinds.items()))
    ]
    if condition.latency is not None:
        lines.append(_latency(condition.latency))
    if condition.cost is not None:
        lines += _cost(condition.cost)
    if condition.own_first is not None:
        mean, interval = _estimate(condition.own_first)
        lines.append(f"the best passage is of the own context for {mean}% of the questions ({interval})")
    if condition.answer_packed is not None:
        mean, interval = _estimate(condition.answer_packed)
        lines.append(f"an answer stands in what is read for {mean}% of the questions ({interval})")
    if condition.own_packed is not None:
        mean, interval = _estimate(condition.own_packed)
        lines.append(f"a passage of the own context is among what is read for {mean}% of the questions ({interval})")
    if condition.unasked:
        lines.append(f"{condition.unasked:,} questions could not be asked (too long or empty) and count as wrong")
    if condition.abstention is not None:
        a = condition.abstention
        answered_em = "" if a.answered_em is None else f" with EM {a.answered_em:.1f}"
        lines += [
            f"confidence tells {a.answerable:,} answerable from {a.unanswerable:,} unanswerable questions with AUROC "
            f"{_figure(a.auroc)} (no-answer probability {_figure(a.auroc_no_answer)}), right answers from all else "
            f"with {_figure(a.auroc_right)}",
            f"at threshold {a.threshold:g}: {a.answered:.1%} of the answerable answered{answered_em}, "
            f"{a.withheld:.1%} of the unanswerable withheld",
        ]
    return lines


def _latency(latency: Latency) -> str:
    tails = "".join(
        f", {name} {value * 1000:,.0f} ms"
        for name, value in (("p95", latency.p95), ("p99", latency.p99))
        if value is not None
    )
    return (
        f"one context of {latency.tokens:,.0f} tokens read alone: {latency.p50 * 1000:,.0f} ms (median of "
        f"{latency.n:,}{tails})"
    )


def _cost(cost: Cost) -> Iterator[str]:
    parts = ", ".join(f"{PART_NAMES[part]} {duration(times.p50)}" for part, times in cost.parts.items())
    after = f", {duration(cost.per_token.p50)} for each token after it" if cost.per_token else ""
    yield f"of a question (medians): {parts}; first token after {duration(cost.first_token.p50)} of reading{after}"
    state = cost.state
    kept = f"{size(state.total)} to write an answer" if state.total else "nothing: it only extracts"
    energy = f"{cost.energy.joules:,.3g} J a question" if cost.energy else f"energy not measured: {cost.no_energy}"
    yield f"keeps {kept} (an attention reader alike would: {size(state.attention)}, computed); {energy}"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def document_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures of the task ``documents``: a line for each type of answer and each kind of document."""
    for name, condition in report["conditions"].items():
        yield f"{report['reader']['name']}, {name}: {condition['questions']:,} questions, in percent (95% interval)"
        columns = ("right", "f1", "withheld", "evidence_packed", "cited")
        yield f"  {'':18}{'n':>6}" + "".join(f"{column.replace('_', ' '):>20}" for column in columns)
        for group, figures in condition["groups"].items():
            shown = (figures.get(column) for column in columns)
            cells = ("-" if f is None else f"{f[0]:.1f} ({f[1]:.0f}-{f[2]:.0f})" for f in shown)
            yield f"  {group:18}{figures['n']:>6}" + "".join(f"{cell:>20}" for cell in cells)
        found = condition["confidence"]
        ranked = "-" if found["auroc"] is None else f"{found['auroc']:.3f}"
        yield f"  confidence: calibration error {found['calibration_error']:.3f}, AUROC of right answers {ranked}"
