"""ragyena as parts of LangChain: the standard retriever suite, and Runnables that compose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_tests.integration_tests import RetrieversIntegrationTests
from small_world import FACTS

from ragyena.config import PackerConfig, PipelineConfig
from ragyena.errors import EmptyQuestionError, IndexNotFoundError, QuestionTooLongError
from ragyena.integrations.langchain import RagyenaPipeline, RagyenaReader, RagyenaRetriever, answer_chain
from ragyena.pipeline import Pipeline
from ragyena.types import Answer

QUESTION = "When was the iron bridge built?"


@pytest.mark.parametrize("mode", ["hybrid"], scope="class")
class TestStandardSuite(RetrieversIntegrationTests):
    """LangChain's own tests of a retriever, on a real index with the bundled embedder."""

    @pytest.fixture(autouse=True)
    def _index(self, mode: str, small_index: Path, small_config: PipelineConfig) -> None:
        retriever = small_config.retriever.model_copy(update={"mode": mode})
        self.params = {"index": small_index, "settings": small_config.model_copy(update={"retriever": retriever})}

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return RagyenaRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return self.params

    @property
    def retriever_query_example(self) -> str:
        return "What happened to the bridge, the lamp and the tea?"


@pytest.fixture
def retriever(small_index: Path, small_config: PipelineConfig) -> Iterator[RagyenaRetriever]:
    result = RagyenaRetriever(index=str(small_index), settings=small_config)
    yield result
    result.close()


@pytest.fixture(scope="module")
def reader(small_config: PipelineConfig) -> RagyenaReader:
    return RagyenaReader(small_config)


@pytest.fixture(scope="module")
def pipeline(small_index: Path, small_config: PipelineConfig) -> Iterator[RagyenaPipeline]:
    with Pipeline.open(small_index, settings=small_config) as opened:
        yield RagyenaPipeline(opened)


def test_documents_say_where_they_stand(retriever: RagyenaRetriever, small_index: Path) -> None:
    best = retriever.invoke(QUESTION)[0]
    where = best.metadata
    assert where["source"].endswith("bridge.md")
    text = FACTS["bridge.md"]
    assert text[where["start"] : where["end"]] == best.page_content
    assert text.splitlines()[where["line_start"] - 1] in best.page_content
    assert where["title"] == "The bridges of Oldtown" and where["page"] is None
    assert where["score"] > 0 and where["lexical_score"] is not None and where["dense_score"] is None


def test_filters_and_k(small_index: Path, small_config: PipelineConfig) -> None:
    only = RagyenaRetriever(index=small_index, settings=small_config, k=5, filters={"title": "The bridges*"})
    assert {Path(d.metadata["source"]).name for d in only.invoke("the bridge lamp tea museum")} == {"bridge.md"}
    only.close()


def test_searches_of_many_threads(retriever: RagyenaRetriever) -> None:
    questions = [QUESTION, "Who keeps the lamp?", "How is green tea brewed?"] * 8
    result = retriever.batch(questions, config={"max_concurrency": 8})
    assert result == [retriever.invoke(question) for question in questions]


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError):
        RagyenaRetriever(index=tmp_path / "none").invoke("anything")


def test_a_chain_of_retriever_and_reader(retriever: RagyenaRetriever, reader: RagyenaReader) -> None:
    chain = {"question": RunnablePassthrough(), "documents": retriever} | reader
    answer = chain.invoke(QUESTION)
    assert isinstance(answer, Answer) and answer.kind == "extracted" and answer.text
    assert answer.passages and answer.passages[0].passage.passage_id >= 0
    for citation in answer.citations:
        text = FACTS[Path(citation.source).name]
        assert text[citation.start : citation.end] == citation.quote
        assert text.count("\n", 0, citation.start) + 1 == citation.line_start
    cited = answer.citations[0]
    assert cited.quote[cited.answer_start : cited.answer_end] == answer.text
    for span in answer.alternatives:
        assert span.text in {FACTS[name][span.start : span.end] for name in FACTS}


def test_documents_of_another_retriever(reader: RagyenaReader) -> None:
    documents = [
        Document("Filler. " * 700 + "The dam was finished in 1957.", metadata={"source": "dam.txt", "page": 3}),
        Document("Nothing is known about it."),
    ]
    answer = reader.invoke({"question": "When was the dam finished?", "documents": documents})
    texts = {"dam.txt": documents[0].page_content, "document 2": documents[1].page_content}
    assert len(answer.passages) > 2  # the long one was cut
    for citation in answer.citations:
        assert texts[citation.source][citation.start : citation.end] == citation.quote
        assert citation.page == (3 if citation.source == "dam.txt" else None)
        assert (citation.document_id, citation.passage_id) == (-1, -1)


def test_no_documents_is_an_abstention(reader: RagyenaReader) -> None:
    answer = reader.invoke({"question": "Anything?", "documents": []})
    assert answer.kind == "withheld" and not answer.text and not answer.passages


def test_the_pipeline_answers_as_ask_does(pipeline: RagyenaPipeline) -> None:
    direct = pipeline.pipeline.ask(QUESTION)
    answer = pipeline.invoke(QUESTION)
    assert (answer.text, answer.citations) == (direct.text, direct.citations)
    assert answer.confidence == pytest.approx(direct.confidence, abs=1e-5)
    assert set(answer.timings) == set(direct.timings)


def test_invoke_batch_stream_and_their_async_forms_agree(pipeline: RagyenaPipeline) -> None:
    questions = [QUESTION, "Who was the keeper of the lamp?"]
    expected = [pipeline.invoke(question).text for question in questions]

    async def asynchronous() -> list[list[str]]:
        streamed = [chunk async for chunk in pipeline.astream(questions[0])]
        return [
            [(await pipeline.ainvoke(question)).text for question in questions],
            [answer.text for answer in await pipeline.abatch(questions)],
            [streamed[0].text, expected[1]],
        ]

    assert [answer.text for answer in pipeline.batch(questions)] == expected
    assert [chunk.text for chunk in pipeline.stream(questions[0])] == expected[:1]
    assert asyncio.run(asynchronous()) == [expected] * 3


def test_one_bad_question_of_a_batch(pipeline: RagyenaPipeline) -> None:
    questions = [QUESTION, "  ", "why " * 1000, QUESTION]
    result: list[Any] = pipeline.batch(questions, return_exceptions=True)
    assert [type(item) for item in result] == [Answer, EmptyQuestionError, QuestionTooLongError, Answer]
    with pytest.raises(EmptyQuestionError):
        pipeline.batch(questions)
    with pytest.raises(EmptyQuestionError):
        pipeline.invoke("")


def test_callbacks_hear_of_a_run(pipeline: RagyenaPipeline) -> None:
    from langchain_core.tracers.base import BaseTracer

    class Names(BaseTracer):
        def __init__(self) -> None:
            super().__init__()
            self.names: list[str] = []

        def _persist_run(self, run: Any) -> None:
            self.names.append(run.name)

    tracer = Names()
    (pipeline | RunnableLambda(lambda answer: answer.text)).invoke(QUESTION, config={"callbacks": [tracer]})
    pipeline.batch([QUESTION], config={"callbacks": [tracer]})
    assert tracer.names == ["RunnableSequence", "RagyenaPipeline"]


def test_the_chain_streams_what_it_has_and_its_callbacks_hear_of_each_part(
    retriever: RagyenaRetriever, reader: RagyenaReader
) -> None:
    from langchain_core.callbacks import BaseCallbackHandler

    class Heard(BaseCallbackHandler):
        def __init__(self) -> None:
            self.events: list[str] = []

        def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
            self.events.append(f"asked: {query}")

        def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
            self.events.append(f"found: {len(documents)}")

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            self.events.append(f"began: {kwargs.get('name')}")

    chain = answer_chain(retriever, reader)
    whole = chain.invoke(QUESTION)
    heard = Heard()
    chunks = list(chain.stream(QUESTION, config={"callbacks": [heard]}))
    assert [key for chunk in chunks for key in chunk] == ["question", "documents", "answer"]
    assert [chunk["answer"].text for chunk in chunks if "answer" in chunk] == [whole["answer"].text]
    assert heard.events[0] == "began: ragyena" and "began: RagyenaReader" in heard.events
    assert f"asked: {QUESTION}" in heard.events and f"found: {len(whole['documents'])}" in heard.events

    async def asynchronous() -> list[Any]:
        streamed = [chunk async for chunk in chain.astream(QUESTION)]
        kinds = {event["event"] async for event in chain.astream_events(QUESTION, version="v2")}
        assert {"on_retriever_start", "on_retriever_end", "on_chain_stream"} <= kinds
        return [streamed[-1]["answer"].text, *(each["answer"].text for each in await chain.abatch([QUESTION] * 2))]

    assert asyncio.run(asynchronous()) == [whole["answer"].text] * 3
    assert [each["answer"].text for each in chain.batch([QUESTION])] == [whole["answer"].text]


def test_filters_of_a_call(pipeline: RagyenaPipeline, retriever: RagyenaRetriever) -> None:
    bridges = {"title": "The bridges*"}
    for answer in (
        pipeline.invoke("the bridge lamp tea museum", filters=bridges),
        pipeline.bind(filters=bridges).invoke("the bridge lamp tea museum"),
        pipeline.batch(["the bridge lamp tea museum"], filters=bridges)[0],
    ):
        assert {Path(scored.passage.source).name for scored in answer.passages} == {"bridge.md"}
    found = retriever.invoke("the bridge lamp tea museum", filters=bridges)
    assert {Path(document.metadata["source"]).name for document in found} == {"bridge.md"}


def test_an_unknown_option_is_refused(pipeline: RagyenaPipeline) -> None:
    with pytest.raises(TypeError):
        pipeline.invoke(QUESTION, context_token=4096)


def test_schemas_name_the_types(pipeline: RagyenaPipeline, reader: RagyenaReader) -> None:
    assert pipeline.get_input_jsonschema()["type"] == "string"
    schema = reader.get_input_jsonschema()
    assert set(schema["$defs"]["ReaderInput"]["properties"]) == {"question", "documents"}
    assert pipeline.OutputType is Answer


def test_the_budget_is_kept(small_index: Path, small_config: PipelineConfig, reader: RagyenaReader) -> None:
    config = small_config.model_copy(update={"packer": PackerConfig(context_tokens=256)})
    answer = RagyenaReader(config, reader=reader.reader).invoke(
        {"question": QUESTION, "documents": [Document(text) for text in FACTS.values()]}
    )
    assert answer.log is not None and answer.log.used_tokens <= 256
    assert any(entry.outcome == "over budget" for entry in answer.log.entries)
