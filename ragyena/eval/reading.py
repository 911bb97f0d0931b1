"""Evaluation of one reader on one recipe: questions read under every condition, answers scored, a dated report."""

from __future__ import annotations

import gc
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ragyena import machine
from ragyena.eval.answers import predict
from ragyena.eval.conditions import Condition, ContextBuilder, conditions, contrasts, sweeps
from ragyena.eval.contexts import Frozen, load_frozen
from ragyena.eval.cost import CostTimer
from ragyena.eval.freeze import freeze
from ragyena.eval.journal import Journal, digest_of, json_lines, write_json, write_text
from ragyena.eval.layout import (
    SCHEMA,
    AnswerRow,
    ConditionReport,
    Report,
    answer_row,
    left_out,
    summarize,
    summarize_abstention,
)
from ragyena.eval.metrics import score
from ragyena.eval.recipe import Setup
from ragyena.eval.results import by_condition
from ragyena.eval.significance import corrected, differences, spread
from ragyena.eval.whole_documents import OwnContexts, RowAnswers
from ragyena.reader.reader import Reader

__all__ = ["evaluate_reader"]


def evaluate_reader(setup: Setup, frozen: Path | None = None) -> tuple[Report, Path]:
    """Asks every question under every condition; the report and its file, under ``out``. ``frozen`` is a file of
    contexts. No answer is withheld: the threshold only enters the report's account of abstention.

    Raises DataError, PathNotFoundError, CheckpointError, IndexProblem, MissingDependencyError, StorageError, and
    UsageError where ``frozen`` does not hold what the recipe needs.
    """
    began = time.perf_counter()
    gc.collect()  # an earlier reader of this process would count as this one's memory
    config, settings, out, drawn = setup.config, setup.settings, setup.out, setup.drawn
    reader = Reader.open(settings.reader.model_copy(update={"threshold": 0.0}))
    timer = CostTimer(setup)
    if frozen is None:
        contexts = freeze(setup, reader.tokenizer, partial(timer.prepare, reader.tokenizer))
    else:
        contexts = load_frozen(config, settings, reader.tokenizer, frozen)
    facts = {key: getattr(reader, key) for key in ("name", "fingerprint", "parameters", "device", "dtype")}
    # answers are only continued where everything that shapes them is the same
    digest = digest_of([facts, contexts.digest(), settings.reader.model_dump(), config.seed])
    builder = ContextBuilder.of(config, settings, reader.tokenizer)
    reports: list[ConditionReport] = []
    rows: list[AnswerRow] = []
    with Journal(out / f"answers-{digest}.jsonl") as journal, Journal(out / f"timings-{digest}.jsonl") as timings:
        for condition in conditions(config, contexts, builder):
            report, answers = _ask(reader, contexts, condition, timer, journal, timings)
            reports.append(report)
            rows += answers
    date = time.strftime("%Y-%m-%d")
    reader_name = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(reader.name).name)
    stem = f"{date}-{setup.name}-{reader_name}-{reader.fingerprint[:8]}"
    answers_file = out / f"{stem}.answers.jsonl"
    scored = by_condition(rows)
    pairs = [differences(scored[a], scored[b], (a, b), **drawn) for a, b in contrasts(config)]
    whole = Report(
        schema=SCHEMA,
        recipe=setup.name,
        date=date,
        answers=answers_file.name,
        conditions=tuple(reports),
        differences=tuple(corrected([test for tests in pairs for test in tests])),
        spreads=tuple(spread({name: scored[name] for name in sweep}, **drawn) for sweep in sweeps(config)),
        reader=facts,
        reading=settings.reader.model_dump(mode="json"),
        config=config.model_dump(mode="json"),
        settings=contexts.facts,
        data={
            "answerable": len(contexts.answerable),
            "unanswerable": len(contexts.unanswerable),
            **left_out(contexts.problems),
        },
        hashes={"answers": write_text(answers_file, json_lines(rows)), "contexts": contexts.digest()},
        machine=machine.describe(),
        seconds=round(time.perf_counter() - began, 1),
    )
    path = out / f"{stem}.json"
    write_json(path, asdict(whole))
    return whole, path


def _ask(
    reader: Reader,
    frozen: Frozen,
    condition: Condition,
    timer: CostTimer,
    journal: Journal,
    timings: Journal,
) -> tuple[ConditionReport, list[AnswerRow]]:
    """The measures of a condition, and a row for each answer."""
    answerable = condition.questions
    unanswerable = frozen.unanswerable if condition.asks_unanswerable else ()
    by_rows = RowAnswers(OwnContexts(frozen), timer.setup.settings.reader.table_chars)
    predictions = predict(reader, [*answerable, *unanswerable], condition, journal, timer.setup.progress, by_rows)
    scores = {q.id: score(predictions[q.id].text, q.answers) for q in answerable}
    latency, cost = timer.measure(reader, condition, timings)
    withholding = reader.withholding(timer.setup.settings.reader)
    report = summarize(
        condition,
        answerable,
        predictions,
        scores,
        unanswerable=unanswerable,
        latency=latency,
        cost=cost,
        abstention=summarize_abstention(answerable, unanswerable, predictions, scores, withholding),
        **timer.setup.drawn,
    )
    questions = {q.id: q for q in (*answerable, *unanswerable)}
    return report, [answer_row(questions[i], prediction, scores.get(i)) for i, prediction in predictions.items()]
