"""The use case of ``ragyena eval``: a recipe and data in, answers scored, a dated report out.

Everything a run makes is kept: the index of all passages (for distractors), the retriever's hits, and each answer of
the reader, so that the same command again goes on where it stopped and other readers are shown the same contexts.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ragyena import recipes
from ragyena.config import EvalConfig, PipelineConfig, parse
from ragyena.errors import DataError, StorageError
from ragyena.evaluation import machine
from ragyena.evaluation.contexts import Distractors
from ragyena.evaluation.datasets import ContextRow, EvalData, Question, cut, load
from ragyena.evaluation.experiment import Condition, Prediction, predict
from ragyena.evaluation.journal import Journal
from ragyena.evaluation.report import ConditionReport, Report, summarize, summarize_abstention
from ragyena.pipelines import index as index_use_cases
from ragyena.reader.reader import Reader
from ragyena.retrieval.index import Index
from ragyena.text.tokenizer import Tokenizer
from ragyena.types import Progress

__all__ = ["evaluate", "load_config"]

_PROBLEMS_KEPT = 20  # rows left out that the report names; it counts them all


def load_config(recipe: str | None, flags: Mapping[str, Any]) -> tuple[EvalConfig, str]:
    """The evaluation recipe with ``flags`` (None: not given) over it, and its name.

    Raises PathNotFoundError for an unknown recipe, ConfigError for a wrong key or value.
    """
    values: dict[str, Any] = {}
    source, name = "eval", "questions"
    if recipe is not None:
        values, path = recipes.load_recipe("configs/eval", recipe)
        source, name = str(path), path.stem
    given = {key: value for key, value in flags.items() if value is not None}
    return parse(EvalConfig, {**values, **given}, source=source), name


def evaluate(
    config: EvalConfig,
    settings: PipelineConfig,
    *,
    name: str,
    data_root: Path,
    out: Path,
    index_cache: Path,
    progress: Progress | None,
) -> tuple[Report, Path]:
    """Asks every question under every condition; the report and the file it was written to, under ``out``.

    ``settings`` say which reader reads, how passages are cut and headed, and how distractors are retrieved.
    ``index_cache`` is the folder of the index of all passages, built if it is not there; unused where no condition
    needs distractors. No answer is withheld: the threshold only enters the report's account of abstention.

    Raises DataError, PathNotFoundError, CheckpointError, IndexProblem, MissingDependencyError and StorageError.
    """
    began = time.perf_counter()
    data = load(config, data_root)
    reader = Reader.open(settings.reader.model_copy(update={"threshold": 0.0}))
    passage_tokens = settings.index.passage_tokens
    questions = [*data.answerable, *data.unanswerable]
    asked_on = {q.context_id: data.contexts[q.context_id] for q in questions if q.context_id is not None}
    own = cut(list(asked_on.values()), reader.tokenizer, passage_tokens)
    facts = {
        "name": reader.name,
        "fingerprint": reader.fingerprint,
        "parameters": reader.parameters,
        "device": reader.device,
        "dtype": reader.dtype,
    }
    with ExitStack() as stack:
        distractors = None
        if max(config.among) > 1:
            folder = index_cache / _fingerprint(data.contexts, settings, reader.tokenizer)
            index = stack.enter_context(_open_index(data.contexts, settings, folder, progress))
            distractors = Distractors(index, settings.retriever, folder)
            stack.callback(distractors.close)
        # answers are only gone on with where everything that shapes them is the same
        shaped_by = [facts, settings.index.model_dump(), settings.packer.header_tokens, settings.reader.model_dump()]
        shaped_by += [settings.retriever.model_dump(), config.seed]
        digest = hashlib.sha256(json.dumps(shaped_by, sort_keys=True, default=str).encode()).hexdigest()[:12]
        journal = stack.enter_context(Journal(out / f"answers-{digest}.jsonl"))
        conditions = []
        for among in config.among:
            condition = Condition(
                among=among,
                own=own,
                distractors=distractors,
                packer=settings.packer,
                max_question_tokens=settings.reader.max_question_tokens,
                seed=config.seed,
            )
            conditions.append(_condition(reader, data, condition, config, settings, journal, progress))
    report = Report(
        recipe=name,
        date=time.strftime("%Y-%m-%d"),
        conditions=tuple(conditions),
        reader=facts,
        config=config.model_dump(mode="json"),
        settings={
            "passage_tokens": passage_tokens,
            "header_tokens": settings.packer.header_tokens,
            "retriever": settings.retriever.model_dump(mode="json"),
            "embedder": settings.index.embedder,
        },
        data={
            "answerable": len(data.answerable),
            "unanswerable": len(data.unanswerable),
            "contexts": len(data.contexts),
            "left_out": len(data.problems),
            "left_out_first": list(data.problems[:_PROBLEMS_KEPT]),
        },
        machine=machine.describe(),
        seconds=round(time.perf_counter() - began, 1),
    )
    return report, _write(report, out)


def _condition(
    reader: Reader,
    data: EvalData,
    condition: Condition,
    config: EvalConfig,
    settings: PipelineConfig,
    journal: Journal,
    progress: Progress | None,
) -> ConditionReport:
    """Unanswerable questions are asked on their own context alone: among others their answer may be found after all."""
    unanswerable: tuple[Question, ...] = data.unanswerable if condition.among == 1 else ()
    predictions: dict[str, Prediction] = predict(
        reader, [*data.answerable, *unanswerable], condition, journal, progress
    )
    abstention = summarize_abstention(data.answerable, unanswerable, predictions, threshold=settings.reader.threshold)
    return summarize(
        condition.among,
        data.answerable,
        predictions,
        abstention=abstention,
        resamples=config.resamples,
        seed=config.seed,
    )


def _open_index(
    contexts: Mapping[str, ContextRow], settings: PipelineConfig, folder: Path, progress: Progress | None
) -> Index:
    """The index of all contexts in ``folder``, built by the same use case as anybody's."""
    rows = folder / "passages.jsonl"
    built = folder / "complete"
    if not built.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with rows.open("w", encoding="utf-8", errors="surrogatepass") as file:
                for row in contexts.values():
                    file.write(json.dumps({"id": row.id, "title": row.title, "text": row.text}) + "\n")
        except OSError as error:
            raise StorageError(f"{rows} cannot be written: {error.strerror}", hint="choose another --index") from error
        indexing = settings.model_copy(
            update={
                "index": settings.index.model_copy(
                    update={"text_fields": ("text",), "title_fields": ("title",), "max_file_mb": 1 << 20}
                )
            }
        )
        report = index_use_cases.add([rows], folder / "index", indexing, prune=True, progress=progress)
        for failure in report.failed:
            raise DataError(f"the passages cannot be indexed: {failure.message}", hint=failure.hint)
        built.touch()
    return Index.open(folder / "index")


def _fingerprint(contexts: Mapping[str, ContextRow], settings: PipelineConfig, tokenizer: Tokenizer) -> str:
    """Names the index of these contexts under these settings."""
    digest = hashlib.sha256(f"{settings.index.model_dump_json()} {tokenizer.fingerprint}".encode())
    for row in contexts.values():
        digest.update(json.dumps([row.id, row.title, row.text]).encode())
    return digest.hexdigest()[:12]


def _write(report: Report, out: Path) -> Path:
    path = out / f"{report.date}-{report.recipe}.json"
    values = asdict(report)
    for condition, written in zip(report.conditions, values["conditions"]):
        written["tokens_per_second"] = round(condition.tokens_per_second, 1)
    try:
        path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error
    return path
