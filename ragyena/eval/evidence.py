"""Evaluation of evidence: how often the place of an answer is among what the reader chooses from a context, beside what
retrieval ranks first.

All documents, or all passages of the split, are in one index. A place is held where it lies whole in the text chosen,
white space aside; of yes and no, whose evidence is a sentence, more than half of it must. Recall is the share of a
question's places held. ``passages@k`` is of the first k passages, ``filled@n`` of as many sentences of the ranked
passages, in their order, as n tokens hold, ``sentences@n`` of the sentences that the reader chooses within n tokens.

Measures are kept as they come: a stopped run is continued, and one of more questions asks only the further ones.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragyena import machine
from ragyena.config import EvalConfig, PipelineConfig
from ragyena.data.document_questions import load_documents, read_documents
from ragyena.data.loaded_tables import load_tables
from ragyena.data.qa_files import read_questions
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError
from ragyena.eval.freeze import in_parts, index_facts
from ragyena.eval.journal import Journal, digest_of, write_json
from ragyena.eval.metrics import estimate
from ragyena.eval.recipe import Setup
from ragyena.eval.retrieval import Ranking, rank_measures
from ragyena.eval.significance import Difference, corrected, paired
from ragyena.eval.timing import percentiles
from ragyena.index.index import Index
from ragyena.pipeline import Pipeline
from ragyena.reader.evidence import choose, ranked, sentences
from ragyena.types import Document, Passage, Progress, Silent

__all__ = ["EVIDENCE_SCHEMA", "evaluate_evidence", "filled", "held"]

EVIDENCE_SCHEMA: Final = "ragyena.eval.evidence/1"
_MODES = {"lexical": "lexical (BM25)", "dense": "dense (embeddings)", "hybrid": "hybrid (both, fused)"}
_HITS = 100  # of a way of searching: enough to fill the most tokens from
_MOST = 0.5  # of evidence that is no span

Piece = tuple[str, int, int]
"""A stretch of a document: its source, the first character, and the one after the last."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question and the places of its answer."""

    id: str
    source: str
    answer_type: str
    question: str
    document: str
    places: tuple[tuple[int, int], ...]

    @property
    def whole(self) -> bool:
        """The places are spans, which have to be held whole."""
        return self.answer_type not in ("yes", "no")


def evaluate_evidence(setup: Setup) -> tuple[dict[str, Any], Path]:
    """Ranks and chooses evidence for the questions of a recipe; the figures and the file they are written to.

    Raises DataError, PathNotFoundError, CheckpointError, IndexProblem, MissingDependencyError and StorageError.
    """
    began = time.perf_counter()
    config, progress = setup.files, setup.progress or Silent()
    asked, documents, problems = _collection(config)
    settings = _with_length(setup.settings, max(config.context_tokens))
    with Pipeline.open(_indexed(setup.index, documents, settings, progress), settings=settings) as pipeline:
        facts = {
            "reader": {"name": pipeline.reader.name, "fingerprint": pipeline.reader.fingerprint},
            "packer": settings.packer.model_dump(mode="json", exclude={"context_tokens"}),
            "retriever": settings.retriever.model_dump(mode="json", exclude={"rerank"}),
            "evidence": settings.evidence.model_dump(mode="json", include={"rank_weight"}),
            **index_facts(pipeline.index),
        }
        shaped_by = [{**facts, "index": facts["index"]["created"]}, config.recall_at, config.evidence_tokens]
        with Journal(setup.out / f"evidence-{digest_of(shaped_by)}.jsonl") as journal:
            texts = {key: document.text for key, document in documents.items()}
            rows = _measured(pipeline, asked, config, texts, journal, progress)
        facts["reader"] |= {"device": pipeline.reader.device, "dtype": pipeline.reader.dtype}
    date = time.strftime("%Y-%m-%d")
    report = {
        "schema": EVIDENCE_SCHEMA,
        "recipe": setup.name,
        "date": date,
        "questions": len(asked),
        "documents": len(documents),
        "conditions": {name: _condition(asked, rows[name], setup.drawn) for name in rows},
        "differences": [asdict(one) for one in corrected([*_differences(asked, rows, setup.drawn)])],
        "config": config.model_dump(mode="json", exclude_defaults=True, exclude={"questions", "documents", "passages"}),
        "settings": facts,
        "left_out": problems,
        "machine": machine.describe(),
        "seconds": round(time.perf_counter() - began, 1),
    }
    path = setup.out / f"{date}-{setup.name}.json"
    write_json(path, report)
    return report, path


def _with_length(settings: PipelineConfig, context_tokens: int) -> PipelineConfig:
    packer = settings.packer.model_copy(update={"context_tokens": context_tokens})
    return settings.model_copy(update={"packer": packer})


# --- questions and index -----------------------------------------------------------------------------------------


def _collection(config: EvalConfig) -> tuple[list[_Asked], dict[str, Document], list[str]]:
    """Answerable questions, at most ``config.limit`` in an order drawn with the seed; the documents by id; problems."""
    if config.documents:
        data = read_documents(config.questions, config.documents, split=config.split)
        loaded = load_documents(data)
        documents = {key: replace(document, source=key) for key, document in loaded.documents.items()}
        asked = [
            _Asked(row.id, row.source, row.answer_type, row.question, row.document_id, row.spans or row.evidence)
            for row in loaded.questions
            if row.spans or row.evidence
        ]
        problems = [*data.problems, *loaded.problems]
    else:
        given = load_tables(read_questions(config.questions, config.passages, split=config.split))
        of_split = [row for row in given.contexts.values() if row.split in ("", config.split)]
        documents = {
            row.id: replace(given.documents.get(row.id) or Document(row.id, row.text, row.title), source=row.id)
            for row in of_split
        }
        asked = [
            _Asked(row.id, row.source, "span", row.question, row.context_id, ((start, start + len(row.answers[0])),))
            for row in given.questions
            if row.context_id in documents and row.answers and (start := row.answer_start) >= 0
        ]
        problems = [*given.problems]
    asked = [one for one in asked if not config.sources or one.source in config.sources]
    if not asked:
        raise DataError("no question has a place in the documents", hint="check split and sources of the recipe")
    random.Random(config.seed).shuffle(asked)
    return asked[: config.limit or None], documents, problems


def _indexed(place: Path, documents: Mapping[str, Document], settings: PipelineConfig, progress: Progress) -> Path:
    """The folder of an index of the documents, built where it is not there yet."""
    shaped_by = [settings.index.model_dump(mode="json"), [[d.source, d.title, d.text] for d in documents.values()]]
    folder = place / f"evidence-{digest_of(shaped_by)}"
    with Index.open(folder, create=True, lazy=True, settings=settings) as index:
        index.add([*documents.values()], progress=progress)
    return folder


# --- measures ----------------------------------------------------------------------------------------------------

Rows = dict[str, list[dict[str, Any]]]
"""By condition, a row for each question: its measures, and the seconds it took."""


def _measured(
    pipeline: Pipeline,
    asked: Sequence[_Asked],
    config: EvalConfig,
    texts: Mapping[str, str],
    journal: Journal,
    progress: Progress,
) -> Rows:
    names = [*_MODES, *(f"reader-{length}" for length in config.context_tokens)]
    known = {(row["question"], row["condition"]): row for row in journal.rows}
    passages: dict[str, list[Passage]] = {}
    for passage in in_parts(pipeline.index, pipeline.index.store.passage_ids().tolist()):
        passages.setdefault(passage.source, []).append(passage)
    progress.start("choosing evidence", len(asked), "questions")
    for one in asked:
        missing = [name for name in names if (one.id, name) not in known]
        relevant = {str(p.passage_id): 1 for p in passages[one.document] if _overlaps(p, one.places)}
        for name in missing:
            began = time.perf_counter()
            ranking, chosen = _choice(pipeline, one.question, name, config)
            seconds = round(time.perf_counter() - began, 6)
            measures = _measures(one, ranking, chosen, relevant, texts[one.document], pipeline.reader.tokenizer, config)
            known[one.id, name] = {"question": one.id, "condition": name, "seconds": seconds, "measures": measures}
            journal.append([known[one.id, name]])
        progress.advance(1)
    return {name: [known[one.id, name] for one in asked] for name in names}


def _choice(
    pipeline: Pipeline, question: str, name: str, config: EvalConfig
) -> tuple[list[Passage], dict[int, list[Piece]]]:
    """The passages under one condition, best first; of the reader also what it chooses for each number of tokens."""
    if name in _MODES:
        hits = pipeline.index.search(question, k=_HITS, settings={"retriever.mode": name})
        return [hit.passage for hit in hits], {}
    settings = {"packer.context_tokens": int(name.removeprefix("reader-"))}
    candidates = pipeline.retrieve(question, settings=settings)
    context = pipeline.pack(question, candidates, settings=settings)
    read = [*zip([context], pipeline.reader.token_scores([context]))]
    evidence = pipeline.config.evidence
    chosen = {
        tokens: choose(read, evidence.model_copy(update={"tokens": tokens}), pipeline.reader.tokenizer)
        for tokens in config.evidence_tokens
    }
    pieces = {tokens: [_place(piece.passage) for piece in some] for tokens, some in chosen.items()}
    return [scored.passage for scored in ranked(read, evidence)], pieces


def _measures(
    one: _Asked,
    ranking: Sequence[Passage],
    chosen: Mapping[int, Sequence[Piece]],
    relevant: Mapping[str, int],
    text: str,
    tokenizer: Tokenizer,
    config: EvalConfig,
) -> dict[str, float]:
    """Each between 0 and 1."""

    def recall(pieces: Iterable[Piece]) -> float:
        own = [(start, end) for document, start, end in pieces if document == one.document]
        return float(np.mean([held(text, place, own, whole=one.whole) for place in one.places]))

    places = [_place(passage) for passage in ranking]
    measures = {f"passages@{k}": recall(places[:k]) for k in config.recall_at}
    measures |= {f"filled@{n}": recall(filled(ranking, n, tokenizer)) for n in config.evidence_tokens}
    measures |= {f"sentences@{n}": recall(pieces) for n, pieces in chosen.items()}
    ids = tuple(str(passage.passage_id) for passage in ranking[:_HITS])
    found = rank_measures([Ranking(one.id, ids, relevant)], config.recall_at)[one.id]
    return {**measures, "ndcg_10": found["ndcg_10"], "rr": found["rr"]}


def _place(passage: Passage) -> Piece:
    return passage.source, passage.start, passage.end


def _overlaps(passage: Passage, places: Iterable[tuple[int, int]]) -> bool:
    return any(passage.start < end and start < passage.end for start, end in places)


def held(text: str, place: tuple[int, int], pieces: Iterable[tuple[int, int]], *, whole: bool) -> bool:
    """True where the visible characters of a place of a document lie in pieces of it, all of them or more than half."""
    visible = {offset for offset in range(*place) if not text[offset].isspace()}
    left = set(visible)
    for start, end in pieces:
        left.difference_update(range(max(start, place[0]), min(end, place[1])))
    return not left if whole else len(left) < (1 - _MOST) * len(visible)


def filled(ranking: Iterable[Passage], tokens: int, tokenizer: Tokenizer) -> list[Piece]:
    """The sentences of ranked passages, in order, as many as ``tokens`` hold."""
    pieces: list[Piece] = []
    for passage in ranking:
        places = sentences(passage.text)
        counts = tokenizer.count_batch([passage.text[start:end] for start, end in places])
        for (start, end), count in zip(places, counts):
            if count > tokens:
                return pieces
            tokens -= count
            pieces.append((passage.source, passage.start + start, passage.start + end))
    return pieces


# --- figures -----------------------------------------------------------------------------------------------------


def _condition(asked: Sequence[_Asked], rows: Sequence[Mapping[str, Any]], drawn: Mapping[str, int]) -> dict[str, Any]:
    """Figures of all questions, by type of answer and by source, in percent with 95% intervals over documents."""
    groups: dict[str, list[int]] = {"all": list(range(len(asked)))}
    for name in ("answer_type", "source"):
        for place, one in enumerate(asked):
            groups.setdefault(f"{name.removeprefix('answer_')} {getattr(one, name)}", []).append(place)
    figures: dict[str, Any] = {}
    for group, places in groups.items():
        documents = [asked[place].document for place in places]
        figures[group] = {"n": len(places)}
        for measure in rows[0]["measures"]:
            values = [rows[place]["measures"][measure] for place in places]
            interval = estimate(values, documents, bounds=(0.0, 1.0), **drawn)
            figures[group][measure] = [round(100 * v, 1) for v in (interval.mean, interval.low, interval.high)]
    return {"groups": figures, "seconds": asdict(percentiles([row["seconds"] for row in rows]))}


def _differences(asked: Sequence[_Asked], rows: Rows, drawn: Mapping[str, int]) -> Iterator[Difference]:
    """Differences of the reader from hybrid search, on the same questions; its sentences against filled passages."""
    documents = [one.document for one in asked]
    for name in rows:
        if name in _MODES:
            continue
        for measure in rows[name][0]["measures"]:
            other = measure.replace("sentences@", "filled@")
            pair = [[row["measures"][m] for row in rows[c]] for c, m in ((name, measure), ("hybrid", other))]
            yield paired(pair[0], pair[1], documents, (name, "hybrid"), "all", measure, **drawn)
