"""The pipeline in Python: single questions, batches, async calls, and settings of one call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from ragyena import Index, Pipeline
from ragyena.config import PipelineConfig
from ragyena.errors import ConfigError, EmptyQuestionError, IndexCorruptError, QuestionTooLongError, UsageError
from ragyena.reader.reader import Reading
from ragyena.settings import Overrides
from ragyena.types import Answer, Context, Document, Span

QUESTIONS = ["When was the iron bridge built?", "Who was the keeper of the lamp?"]


@pytest.fixture(scope="module")
def pipeline(small_index: Path, small_config: PipelineConfig) -> Iterator[Pipeline]:
    with Pipeline.open(small_index, settings=small_config) as opened:
        yield opened


def places(answer: Answer) -> list[tuple[str, str]]:
    """The places cited; scores of contexts read together differ in their last digits."""
    return [(citation.source, citation.quote) for citation in answer.citations]


def test_single_batch_and_async_calls_agree(pipeline: Pipeline) -> None:
    single = [pipeline.ask(question) for question in QUESTIONS]

    async def together() -> list[Answer]:
        return await asyncio.gather(*(pipeline.aask(question) for question in QUESTIONS))

    for answers in (pipeline.ask_batch(QUESTIONS), asyncio.run(together())):
        assert [answer.text for answer in answers] == [answer.text for answer in single]
        assert list(map(places, answers)) == list(map(places, single))
        assert all(set(answer.timings) == {"retrieve", "pack", "read", "total"} for answer in answers)


def test_a_batch_stops_at_a_question_that_cannot_be_asked_and_answers_names_it(pipeline: Pipeline) -> None:
    questions = [QUESTIONS[0], " ", "why " * 1000]
    with pytest.raises(EmptyQuestionError):
        pipeline.ask_batch(questions)
    kinds = [type(result) for result in pipeline.answers(questions)]
    assert kinds == [Answer, EmptyQuestionError, QuestionTooLongError]


def test_answers_keep_the_others_where_one_cannot_be_cited(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    cite = Pipeline.answer

    def damaged(self: Pipeline, context: Context, reading: Reading, *, settings: Overrides = None) -> Answer:
        if context.question == QUESTIONS[0]:
            raise IndexCorruptError("the document is gone", hint="add it again")
        return cite(self, context, reading, settings=settings)

    monkeypatch.setattr(Pipeline, "answer", damaged)
    first, second = pipeline.answers(QUESTIONS)
    assert isinstance(first, IndexCorruptError) and isinstance(second, Answer)


def test_settings_of_one_call(pipeline: Pipeline) -> None:
    usual = pipeline.ask(QUESTIONS[0])
    short = pipeline.ask(QUESTIONS[0], settings={"packer.context_tokens": 256, "retriever.top_k": 3})
    assert usual.log is not None and short.log is not None
    assert (usual.log.context_tokens, short.log.context_tokens) == (8192, 256)
    assert len(short.log.entries) <= 3
    assert pipeline.ask(QUESTIONS[0], settings={"reader.threshold": 1.0}).kind == "withheld"
    assert len(pipeline.ask(QUESTIONS[0], settings={"reader.citations": 1}).citations) <= 1
    assert pipeline.ask(QUESTIONS[0]).kind == usual.kind, "the next call has the pipeline's own settings again"
    with pytest.raises(ConfigError, match="over the 128"):
        pipeline.ask(QUESTIONS[0], settings={"reader.max_question_tokens": 512})


@pytest.mark.parametrize("name", ["reader.device", "reader.checkpoint", "index.passage_tokens"])
def test_what_is_fixed_once_a_pipeline_is_open(pipeline: Pipeline, name: str) -> None:
    value = 99 if name.startswith("index") else "cpu"
    with pytest.raises(ConfigError, match=name.partition(".")[0]):
        pipeline.ask(QUESTIONS[0], settings={name: value})


def test_an_unknown_setting_is_named_with_the_nearest(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match=r"packer\.context_token'") as caught:
        pipeline.ask(QUESTIONS[0], settings={"packer.context_token": 4096})
    assert "packer.context_tokens" in caught.value.hint


def test_an_open_index_stays_open(small_index: Path, small_config: PipelineConfig) -> None:
    with Index.open(small_index, settings=small_config) as index:
        with Pipeline.open(index, settings={"retriever.top_k": 2}) as pipeline:
            assert pipeline.index is index
            assert pipeline.config.retriever.mode == "lexical", "the settings of the index are the base"
            assert len(pipeline.retrieve(QUESTIONS[0])) <= 2
        assert index.search("bridge")


# --- evidence


def test_evidence_is_the_text_of_its_document(pipeline: Pipeline) -> None:
    for evidence in (pipeline.select(QUESTIONS[0], passages=2), pipeline.select(QUESTIONS[0], tokens=40)):
        assert evidence.question == QUESTIONS[0] and evidence.pieces
        assert set(evidence.timings) == {"retrieve", "pack", "read", "total"} and evidence.log is not None
        for piece in evidence.pieces:
            text = Path(piece.passage.source).read_text(encoding="utf-8")
            assert text[piece.passage.start : piece.passage.end] == piece.text
            assert piece.file_state == "unchanged"
        shares = [piece.score for piece in evidence.pieces]
        assert shares == sorted(shares, reverse=True)
    assert evidence.tokens <= 40


def test_evidence_by_settings_and_by_arguments(pipeline: Pipeline) -> None:
    assert len(pipeline.select(QUESTIONS[0], settings={"evidence.passages": 1}).pieces) == 1
    by_tokens = pipeline.select(QUESTIONS[0], settings={"evidence.tokens": 30})
    assert by_tokens.tokens <= 30
    whole = pipeline.select(QUESTIONS[0], passages=1, settings={"evidence.tokens": 30})
    assert whole.pieces[0].text in Path(whole.pieces[0].passage.source).read_text(encoding="utf-8")
    assert len(whole.pieces) == 1
    with pytest.raises(UsageError, match="both"):
        pipeline.select(QUESTIONS[0], passages=1, tokens=30)
    with pytest.raises(EmptyQuestionError):
        pipeline.select("  ")
    with pytest.raises(ConfigError, match=r"evidence\.passages"):
        pipeline.select(QUESTIONS[0], passages=0)


def test_evidence_that_the_index_no_longer_holds_is_refused(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = Index.document

    def changed(self: Index, document_id: int) -> Document:
        found = document(self, document_id)
        return replace(found, text=found.text.upper())

    monkeypatch.setattr(Index, "document", changed)
    with pytest.raises(IndexCorruptError, match="no longer holds"):
        pipeline.select(QUESTIONS[0])


def test_a_search_ranked_by_the_reader(pipeline: Pipeline) -> None:
    query = "the bridge, the lamp and the tea"
    plain = pipeline.search(query, k=5)
    assert plain == pipeline.index.search(query, k=5)
    ranked = pipeline.search(query, k=5, settings={"retriever.rerank": "reader", "evidence.rank_weight": 0})
    assert {p.passage.passage_id for p in ranked} == {p.passage.passage_id for p in plain}
    assert [p.score for p in ranked] == sorted({p.score for p in ranked}, reverse=True)
    assert all(p.lexical_score is not None for p in ranked)
    assert len(pipeline.search(query, k=1, settings={"retriever.rerank": "reader"})) == 1
    assert pipeline.ask(query, settings={"retriever.rerank": "reader"}).log == pipeline.ask(query).log


def test_an_index_alone_does_not_pretend_to_rerank(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="no reader"):
        pipeline.index.search("bridge", settings={"retriever.rerank": "reader"})


def test_a_cross_encoder_by_its_folder_ranks_the_passages(pipeline: Pipeline, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "iron", "bridge", "was", "built", "in", "when", "?"]
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForSequenceClassification(BertConfig(vocab_size=len(words), num_labels=1, **sizes)).eval()
    model.save_pretrained(tmp_path / "ranker")
    BertTokenizerFast(vocab={word: n for n, word in enumerate(words)}).save_pretrained(tmp_path / "ranker")
    query = "When was the bridge built?"
    settings = {"retriever.rerank": str(tmp_path / "ranker")}
    plain = pipeline.search(query, k=20)
    ranked = pipeline.search(query, k=20, settings=settings)
    assert {m.passage.passage_id for m in ranked} == {m.passage.passage_id for m in plain}
    assert all(a.score > b.score for a, b in pairwise(ranked))
    assert pipeline.search(query, k=1, settings=settings) == ranked[:1]
    first = pipeline.search(query, k=20, settings={**settings, "retriever.rerank_passages": 1})
    assert [m.passage for m in first] == [m.passage for m in plain], "those after the first keep their places"
    with pytest.raises(ConfigError, match="no reranker"):
        pipeline.search(query, settings={"retriever.rerank": str(tmp_path / "nothing" / "here")})


def test_all_rows_of_a_table_are_compared_where_one_passage_was_packed(
    tmp_path: Path, small_config: PipelineConfig
) -> None:
    rows = "".join(f"P{n} pump,{100 + 7 * n},{12 if n == 31 else 900 - 11 * n}\n" for n in range(40))
    (tmp_path / "prices.csv").write_text(f"Pump,Flow,Price\n{rows}")
    with Index.create(tmp_path / "index", settings=small_config) as index:
        index.add([tmp_path / "prices.csv"])
    question = "Which pump is the cheapest?"
    with Pipeline.open(tmp_path / "index", settings=small_config) as pipeline:
        candidates = sorted(pipeline.retrieve(question), key=lambda scored: scored.passage.start)
        context = pipeline.pack(question, candidates[:1])
        passage = context.passages[0].passage
        assert "P31 pump" not in passage.text
        start = passage.start + passage.text.index("P3 pump")
        span = Span(0, 0, 1, start, start + 7, "P3 pump", 0.4)
        reading = Reading("extracted", "P3 pump", 0.5, 0.3, (span,), np.zeros(1, np.float32))
        answer = pipeline.answer(context, reading)
        read = pipeline.answer(context, reading, settings={"reader.table_chars": 0})
    assert (answer.text, answer.computed) == ("P31 pump", "lowest Price of 40 rows")
    assert answer.citations[0].quote == "Pump: P31 pump; Flow: 317; Price: 12"
    holding = next(scored.passage for scored in candidates if "P31 pump" in scored.passage.text)
    assert answer.citations[0].passage_id == holding.passage_id != passage.passage_id
    assert (read.text, read.computed) == ("P3 pump", "")
