"""The use case of ``ragyena eval``: a recipe and data in, answers scored, a dated report out.

Everything a run makes is kept: the index of all passages, the retriever's hits, and each answer of the reader, so that
the same command again goes on where it stopped and other readers are shown the same contexts. Contexts can be frozen
in one file and read on a machine that has neither the data nor an index.
"""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ragyena import recipes
from ragyena.config import EvalConfig, PipelineConfig, parse
from ragyena.errors import ConfigError, StorageError, UsageError
from ragyena.eval import machine
from ragyena.eval.comparing import corrected, differences, spread
from ragyena.eval.conditions import Condition
from ragyena.eval.costing import CostTimer
from ragyena.eval.experiment import Prediction, predict
from ragyena.eval.freeze import freeze, frozen_for, making
from ragyena.eval.frozen import Frozen
from ragyena.eval.journal import Journal
from ragyena.eval.metrics import Score
from ragyena.eval.provenance import origin_digest
from ragyena.eval.report import (
    SCHEMA,
    AnswerRow,
    ConditionReport,
    Report,
    score_all,
    summarize,
    summarize_abstention,
)
from ragyena.eval.results import by_condition
from ragyena.eval.tasks import conditions, contrasts, sweeps
from ragyena.reader.reader import Reader
from ragyena.types import Progress

__all__ = ["evaluate", "freeze_to", "load_config", "place_of"]

_OPTIONS = {"questions": "data", "sources": "source"}  # settings whose option has another name
_PROBLEMS_KEPT = 20  # rows left out that the report names; it counts them all


def load_config(recipe: str | None, flags: Mapping[str, Any]) -> tuple[EvalConfig, str]:
    """The evaluation recipe with ``flags`` (None: not given) over it, and its name. Without a recipe, questions are
    asked on their own context; with ``context_tokens`` end to end at these lengths.

    Raises PathNotFoundError for an unknown recipe, ConfigError for a wrong key or value.
    """
    values: dict[str, Any] = {}
    source, name = "eval", "questions"
    if recipe is not None:
        values, path = recipes.load_recipe("configs/eval", recipe)
        source, name = str(path), path.stem
    given = {key: value for key, value in flags.items() if value is not None}
    if recipe is None and "context_tokens" in given:
        values["task"] = "open"
    try:
        return parse(EvalConfig, {**values, **given}, source=source), name
    except ConfigError as error:
        parse(EvalConfig, values, source=source)  # where the recipe is at fault, that is what is said
        options = ", ".join(f"--{_OPTIONS.get(key, key).replace('_', '-')}" for key in given)
        raise ConfigError(
            error.message.replace(source, f"{options} over {name}", 1), hint=f"`ragyena eval --help`; recipe: {source}"
        ) from error


def place_of(index: str, settings: PipelineConfig) -> Path:
    """The folder of an index that is there, called by name or path as everywhere, or the folder to build one under."""
    from ragyena.index.locate import locate
    from ragyena.index.manifest import is_index

    if not index.strip():
        raise UsageError("--index is empty", hint="give the name or the folder of an index")
    plain = Path(index).expanduser()
    if is_index(plain) or plain.parent != Path():
        return plain
    named = locate(index, settings)
    return named if is_index(named) else plain


def freeze_to(
    path: Path,
    config: EvalConfig,
    settings: PipelineConfig,
    *,
    data_root: Path,
    index_cache: Path,
    progress: Progress | None,
) -> Frozen:
    """Makes the contexts of an evaluation and writes them to ``path``; nothing is read by the reader, but its tokenizer
    cuts the passages. Raises as ``freeze`` does, and CheckpointError."""
    tokenizer = Reader.tokenizer_of(settings.reader)
    digest = origin_digest(config, settings, tokenizer, data_root=data_root, index=index_cache)
    frozen = freeze(config, settings, tokenizer, data_root=data_root, index=index_cache, progress=progress)
    cut_short = any(len(asked) >= config.limit for asked in (frozen.answerable, frozen.unanswerable))
    frozen = replace(frozen, origin={"digest": digest, "limit": config.limit if cut_short else 0})
    frozen.save(path)
    return frozen


def evaluate(
    config: EvalConfig,
    settings: PipelineConfig,
    *,
    name: str,
    data_root: Path,
    out: Path,
    index_cache: Path,
    frozen: Path | None = None,
    progress: Progress | None,
) -> tuple[Report, Path]:
    """Asks every question under every condition; the report and the file it was written to, under ``out``.

    ``settings`` say which reader reads, how passages are cut and headed, and how passages are retrieved.
    ``index_cache`` is an index of all passages, or the folder in which it is built if it is not there; unused where no
    condition retrieves. With ``frozen``, a file of ``freeze_to``, neither data nor index are touched. No answer is
    withheld: the threshold only enters the report's account of abstention.

    Raises DataError, PathNotFoundError, CheckpointError, IndexProblem, MissingDependencyError, StorageError, and
    UsageError where ``frozen`` does not hold what is asked for.
    """
    began = time.perf_counter()
    gc.collect()  # an earlier reader of this process would count as this one's memory
    reader = Reader.open(settings.reader.model_copy(update={"threshold": 0.0}))
    timer = CostTimer(config, settings, out, progress)
    if frozen is None:
        contexts = freeze(
            config,
            settings,
            reader.tokenizer,
            data_root=data_root,
            index=index_cache,
            progress=progress,
            at_index=timer.at_index(reader.tokenizer),
        )
    else:
        contexts = frozen_for(config, settings, reader.tokenizer, frozen)
    facts = {
        "name": reader.name,
        "fingerprint": reader.fingerprint,
        "parameters": reader.parameters,
        "device": reader.device,
        "dtype": reader.dtype,
    }
    # answers are only gone on with where everything that shapes them is the same
    shaped_by = [facts, contexts.digest(), settings.reader.model_dump(), config.seed]
    digest = hashlib.sha256(json.dumps(shaped_by, sort_keys=True, default=str).encode()).hexdigest()[:12]
    reports, rows = [], []
    with (
        Journal(out / f"answers-{digest}.jsonl") as journal,
        Journal(out / f"timings-{digest}.jsonl") as timings,
    ):
        for condition in conditions(config, contexts, making(config, settings, reader.tokenizer)):
            report, answers = _condition(reader, contexts, condition, timer, journal, timings)
            reports.append(report)
            rows += answers
    date = time.strftime("%Y-%m-%d")
    stem = f"{date}-{name}-{_slug(facts)}"
    scored = by_condition(rows)
    drawn = {"resamples": config.resamples, "seed": config.seed}
    answers_file = out / f"{stem}.answers.jsonl"
    whole = Report(
        schema=SCHEMA,
        recipe=name,
        date=date,
        answers=answers_file.name,
        conditions=tuple(reports),
        differences=tuple(
            corrected(
                [
                    found
                    for first, second in contrasts(config)
                    for found in differences(scored[first], scored[second], (first, second), **drawn)
                ]
            )
        ),
        spreads=tuple(spread({name: scored[name] for name in sweep}, **drawn) for sweep in sweeps(config)),
        reader=facts,
        reading=settings.reader.model_dump(mode="json"),
        config=config.model_dump(mode="json"),
        settings=contexts.facts,
        data={
            "answerable": len(contexts.answerable),
            "unanswerable": len(contexts.unanswerable),
            "left_out": len(contexts.problems),
            "left_out_first": list(contexts.problems[:_PROBLEMS_KEPT]),
        },
        hashes={"answers": _write_rows(rows, answers_file), "contexts": contexts.digest()},
        machine=machine.describe(),
        seconds=round(time.perf_counter() - began, 1),
    )
    return whole, _write(whole, out / f"{stem}.json")


def _condition(
    reader: Reader,
    frozen: Frozen,
    condition: Condition,
    timer: CostTimer,
    journal: Journal,
    timings: Journal,
) -> tuple[ConditionReport, list[AnswerRow]]:
    """The figures of a condition, and a row for each answer."""
    unanswerable = frozen.unanswerable if condition.asks_unanswerable else ()
    asked = condition.questions
    predictions = predict(reader, [*asked, *unanswerable], condition, journal, timer.progress)
    scores = score_all(asked, predictions)
    latency, cost = timer.measure(reader, condition, timings)
    threshold = timer.settings.reader.threshold
    report = summarize(
        condition,
        asked,
        predictions,
        scores,
        unanswerable=unanswerable,
        latency=latency,
        cost=cost,
        abstention=summarize_abstention(asked, unanswerable, predictions, scores, threshold=threshold),
        resamples=timer.config.resamples,
        seed=timer.config.seed,
    )
    return report, _rows(frozen, condition, predictions, scores)


def _rows(
    frozen: Frozen, condition: Condition, predictions: Mapping[str, Prediction], scores: Mapping[str, Score]
) -> list[AnswerRow]:
    """What was answered to each question and how it scored: what comparisons and the report page are made from."""
    questions = {q.id: q for q in (*frozen.answerable, *frozen.unanswerable)}
    rows = []
    for question_id, prediction in predictions.items():
        question = questions[question_id]
        row = AnswerRow(
            condition=condition.name,
            question_id=question_id,
            source=question.source,
            context_id=question.context_id or "",
            question=question.question,
            answers=list(question.answers),
            answer=prediction.text,
            evidence=prediction.evidence,
            kind=prediction.kind,
            confidence=round(prediction.confidence, 6),
            no_answer_probability=round(prediction.no_answer_probability, 6),
            passages=prediction.passages,
            tokens=prediction.tokens,
            seconds=round(prediction.seconds, 6),
            own_first=prediction.own_first,
            own_packed=prediction.own_packed,
            answer_packed=prediction.answer_packed,
            problem=prediction.problem,
        )
        if question_id in scores:
            row["em"], row["f1"] = scores[question_id].em, round(scores[question_id].f1, 6)
        rows.append(row)
    return rows


def _slug(reader: Mapping[str, Any]) -> str:
    """Names a reader in a file name: its folder, and enough of its fingerprint to tell two of one name apart."""
    base = Path(reader["name"]).name
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in base) + f"-{reader['fingerprint'][:8]}"


def _write_rows(rows: Sequence[AnswerRow], path: Path) -> str:
    """Writes the answers; the sha256 of their file."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    content = text.encode("utf-8", errors="surrogatepass")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise _unwritable(path, error) from error
    return hashlib.sha256(content).hexdigest()


def _write(report: Report, path: Path) -> Path:
    try:
        path.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another --out")
