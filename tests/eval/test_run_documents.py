"""Evaluations on documents: a corpus, a given index, masked questions, retrieval."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Ragyena
from jsonschema import Draft202012Validator

from ragyena.config import EvalConfig, PipelineConfig, RetrieverConfig, parse
from ragyena.errors import ConfigError, DataError, PathNotFoundError, UsageError
from ragyena.eval import targets
from ragyena.eval.freeze import index_place
from ragyena.eval.layout import schema_of
from ragyena.eval.masked import make_masked
from ragyena.eval.metrics import Estimate, normalize
from ragyena.eval.reading import evaluate_reader
from ragyena.eval.recipe import Setup
from ragyena.eval.retrieval import RetrievalCondition, RetrievalReport, evaluate_retrieval
from ragyena.eval.timing import percentiles
from ragyena.index.embedder import Reranker, embedding_text
from ragyena.index.index import Index
from ragyena.pipeline import Pipeline
from ragyena.reader.reader import Reader
from ragyena.report.write import report
from ragyena.types import Passage

TOWNS = ["Oldtown", "Seaford", "Milbrook", "Ashby", "Dunmore", "Kelso"]
NAMES = ["Ada Stone", "Tom Marsh", "Eva Lind", "Max Korn", "Ida Vale", "Jan Hook"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six engineers, a document each; every fact is stated twice, in different passages."""
    folder = tmp_path_factory.mktemp("corpus")
    for i, name in enumerate(NAMES):
        filler = (
            f"Nothing of note happened in the {i}th long winter of those quiet years, as everybody there knows. " * 9
        )
        text = (
            f"# Engineer number {i}\n\nThe iron bridge of {TOWNS[i]} over the northern river was built in {1900 + i} "
            f"by {name}. {filler}\n\nYears later people of {TOWNS[i]} said that the iron bridge over the river, built "
            f"by {name}, still stood firm.\n\n{filler}"
        )
        (folder / f"{i}.md").write_text(text, encoding="utf-8")
    rows = [
        {"id": f"q{i}", "question": f"Who built the iron bridge in {1900 + i}?", "answers": [n]}
        for i, n in enumerate(NAMES)
    ]
    (folder.parent / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(small_config: PipelineConfig) -> PipelineConfig:
    return small_config.model_copy(
        update={
            "retriever": RetrieverConfig(mode="dense"),
            "index": small_config.index.model_copy(update={"passage_tokens": 80}),
        }
    )


@pytest.fixture(scope="module")
def own_index(corpus: Path, settings: PipelineConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "index"
    with Index.open(folder, create=True, settings=settings) as index:
        index.add([corpus])
    return folder


def config_of(**values: Any) -> EvalConfig:
    return parse(EvalConfig, {"resamples": 200, **values}, source="test")


def run(
    config: EvalConfig, settings: PipelineConfig, tmp_path: Path, **places: Any
) -> tuple[Any, list[dict[str, Any]], list[Any]]:
    seen: list[Any] = []
    read = Reader.read_batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "read_batch", lambda self, contexts: seen.extend(contexts) or read(self, contexts))
        arguments = {"data_root": tmp_path, "out": tmp_path / "out", "index": tmp_path / "index", **places}
        result, path = evaluate_reader(Setup(config, settings, "docs", **arguments))
    rows = [json.loads(line) for line in (path.parent / result.answers).read_text(encoding="utf-8").splitlines()]
    return result, rows, seen


def test_a_masked_question_is_a_sentence_whose_span_another_passage_holds(own_index: Path) -> None:
    with Index.open(own_index) as index:
        made = make_masked(index, 100, 0, None)
        assert [one.question for one in make_masked(index, 100, 0, None)] == [one.question for one in made]
        assert len({one.own.passage_id for one in made}) == len(made) >= 4
        assert len(make_masked(index, 2, 0, None)) == 2
        for one in made:
            (answer,) = one.question.answers
            (source,) = index.passages([one.taken_from])
            assert answer in one.own.text and answer in source.text and one.own.passage_id != one.taken_from
            assert answer not in one.question.question and one.own.document_id == source.document_id
            before, blank, after = one.question.question.partition(" what")
            flat = " ".join(source.text.split())
            assert not blank or f"{before} {answer}{after}" in flat
        assert {one.question.answers[0] for one in made} <= {*NAMES, *TOWNS}


def test_documents_in_which_no_span_recurs_are_an_error(small_index: Path) -> None:
    with Index.open(small_index) as index, pytest.raises(DataError, match="recurs near"):
        make_masked(index, 5, 0, None)


def test_positions_on_an_index_of_ones_own(own_index: Path, settings: PipelineConfig, tmp_path: Path) -> None:
    """The passage that the question was taken from is left out, and exactly one passage holds the answer."""
    config = config_of(task="positions", masked=4, context_tokens=[500], positions=[0, 1])
    result, rows, seen = run(config, settings, tmp_path, index=own_index)
    assert result.settings["masked"] == len(rows) / 2 >= 3 and result.settings["index"]["documents"] == 6
    with Index.open(own_index) as index:
        made = {one.question.question: one for one in make_masked(index, 4, 0, None)}
        for context in seen:
            one = made[context.question]
            texts = [p.passage.text for p in context.passages]
            (source,) = index.passages([one.taken_from])
            answer = normalize(one.question.answers[0])
            assert source.text not in texts and len(texts) > 2
            assert [f" {answer} " in f" {normalize(text)} " for text in texts].count(True) == 1
            assert one.own.text in (texts[0], texts[-1])
    markdown = report([tmp_path / "out"], tmp_path)[1].read_text(encoding="utf-8")
    assert "The position of the own passage" in markdown


def test_a_corpus_is_indexed_and_queried_with_and_without_contexts(
    corpus: Path, settings: PipelineConfig, tmp_path: Path
) -> None:
    config = config_of(
        task="open",
        corpus=[str(corpus)],
        questions=[str(corpus.parent / "labelled.jsonl")],
        masked=3,
        context_tokens=[400],
    )
    result, rows, seen = run(config, settings, tmp_path)
    (condition,) = result.conditions
    assert {part.source: part.n for part in condition.sources} == {"labelled": 6, "masked spans": 3}
    assert condition.own_packed is not None and condition.answer_packed is not None
    assert len(rows) == len(seen) == 9 and all(context.passages for context in seen)
    asked_alone = config.model_copy(update={"masked": 0})
    result, _, _ = run(asked_alone, settings, tmp_path, out=tmp_path / "alone")
    assert result.conditions[0].own_packed is None  # of no question it is known which passage answers
    # each question is resampled for itself: the interval is not that of one group, 0 to 100
    packed = result.conditions[0].answer_packed
    assert packed.mean in (0.0, 100.0) or (packed.low, packed.high) != (0.0, 100.0)


def test_settings_that_do_not_fit_documents_are_refused(corpus: Path, settings: PipelineConfig, tmp_path: Path) -> None:
    questions = [str(corpus.parent / "labelled.jsonl")]
    with pytest.raises(DataError, match="no question can be asked by the task 'positions'"):
        run(config_of(task="positions", corpus=[str(corpus)], questions=questions), settings, tmp_path)
    with pytest.raises(UsageError, match="no index of documents"):
        run(config_of(task="open", masked=3), settings, tmp_path)
    for wrong in (
        {"corpus": ["c"], "passages": ["p.jsonl"]},
        {"masked": 3, "passages": ["p.jsonl"]},
        {"masked": 3},  # among 1
        {"task": "retrieval", "timed": 3},
        {"task": "retrieval", "beir": "b", "masked": 3},
        {"task": "open", "modes": ["dense"]},
        {"task": "retrieval", "recall_at": []},
    ):
        with pytest.raises(ConfigError):
            config_of(**wrong)


def test_an_index_is_called_by_name_or_path(own_index: Path, settings: PipelineConfig, tmp_path: Path) -> None:
    named = settings.model_copy(update={"index_root": own_index.parent})
    assert index_place("index", named) == own_index == index_place(str(own_index), settings)
    assert index_place("runs/eval/index", named) == Path("runs/eval/index")
    assert index_place("nothing", named) == Path("nothing")
    with pytest.raises(UsageError):
        index_place(" ", settings)


@pytest.fixture(scope="module")
def retrieval_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retrieval")
    passages, questions = [], []
    for i, name in enumerate(NAMES):
        text = f"The iron bridge of the town was built in {1900 + i} by {name}. It has {i + 2} wide stone arches."
        passages.append({"id": f"p{i}", "title": f"Bridge {i}", "context": text})
        row = {
            "id": f"q{i}",
            "passage_id": f"p{i}",
            "question": f"Who built the bridge of {1900 + i}?",
            "answers": [name],
        }
        questions.append(row)
    for name, rows in (("passages", passages), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


RETRIEVAL = {
    "task": "retrieval",
    "questions": ["questions.jsonl"],
    "passages": ["passages.jsonl"],
    "recall_at": [1, 2, 5],
}


def test_retrieval_results(
    retrieval_data: Path, small_config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"name": "r", "data_root": retrieval_data, "out": tmp_path / "out", "progress": None}
    arguments["index"] = tmp_path / "index"
    result, path = evaluate_retrieval(Setup(config_of(**RETRIEVAL), small_config, **arguments))
    assert [condition.name for condition in result.conditions] == ["hybrid", "dense", "lexical"]
    lexical = result.conditions[2]
    assert lexical.answer_recall[1].mean == 100.0 and lexical.mrr is not None and lexical.mrr.mean == 100.0  # the year
    rows = [json.loads(line) for line in (tmp_path / "out" / result.answers).read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 18
    for condition in result.conditions:
        of_it = [row for row in rows if row["mode"] == condition.name]
        assert condition.passage_recall is not None and condition.ndcg_10 is not None
        for k in (1, 2, 5):
            by_answer = [bool(row["answer_ranks"]) and row["answer_ranks"][0] <= k for row in of_it]
            by_passage = [len({*row["ranked"][:k]} & row["relevant"].keys()) / len(row["relevant"]) for row in of_it]
            assert condition.answer_recall[k].mean == pytest.approx(100 * sum(by_answer) / 6)
            assert condition.passage_recall[k].mean == pytest.approx(100 * sum(by_passage) / 6)
        assert condition.n == condition.n_own == 6 and condition.seconds.n == 6
    written = json.loads(path.read_text(encoding="utf-8"))
    schema = Draft202012Validator(schema_of(RetrievalReport))
    schema.validate(written)
    assert written.keys() == schema.schema["properties"].keys()
    monkeypatch.setattr(Index, "search", lambda *_, **__: pytest.fail("a finished run searches nothing again"))
    again, _ = evaluate_retrieval(Setup(config_of(**RETRIEVAL), small_config, **arguments))
    assert again.conditions == result.conditions and again.differences == result.differences
    markdown = report([tmp_path / "out"], tmp_path)[1].read_text(encoding="utf-8")
    assert "## Retrieval" in markdown and f"{result.conditions[0].ndcg_10.mean:.1f}" in markdown


def test_retrieval_of_masked_spans_leaves_out_the_sentence_itself(
    own_index: Path, settings: PipelineConfig, tmp_path: Path
) -> None:
    config = config_of(task="retrieval", masked=4, modes=["lexical"], recall_at=[1, 10])
    arguments: dict[str, Any] = {"name": "r", "data_root": tmp_path, "out": tmp_path, "progress": None}
    result, _ = evaluate_retrieval(Setup(config, settings, index=own_index, **arguments))
    rows = [json.loads(line) for line in (tmp_path / result.answers).read_text(encoding="utf-8").splitlines()]
    with Index.open(own_index) as index:
        by_id = {one.question.id: one for one in make_masked(index, 4, 0, None)}
    assert len(rows) == result.conditions[0].n_own >= 3
    for row in rows:
        one = by_id[row["question_id"]]
        assert (
            one.taken_from not in row["passages"]
            and row["relevant"] == {str(one.own.passage_id): 1}
            and len(row["passages"]) <= 10
        )
    assert result.conditions[0].passage_recall is not None and result.conditions[0].passage_recall[10].mean > 50


def test_a_folder_of_beir(small_config: PipelineConfig, tmp_path: Path) -> None:
    """Documents are ranked, each by its best passage; rows that cannot be used are named."""
    folder = tmp_path / "bridges"
    (folder / "qrels").mkdir(parents=True)
    long = "Nothing of note happened there in all the long years. " * 30
    corpus = [
        {"_id": f"d{i}", "title": name, "text": f"{name} built bridge {i}. {long} {name} slept."}
        for i, name in enumerate(NAMES)
    ]
    queries = [{"_id": i, "text": f"What did {name} build?"} for i, name in enumerate(NAMES)]
    for name, rows in (("corpus", [*corpus, {"_id": "x"}]), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judged = ["query-id\tcorpus-id\tscore", *(f"{i}\td{i}\t2" for i in range(5)), "0\td1\t0", "9\td1\t1", "oops"]
    (folder / "qrels" / "test.tsv").write_text("\n".join(judged), encoding="utf-8")
    config = config_of(task="retrieval", beir="bridges", split="test", modes=["lexical", "dense"], recall_at=[1, 3])
    arguments: dict[str, Any] = {"name": "r", "out": tmp_path / "out", "index": tmp_path / "i", "progress": None}
    result, _ = evaluate_retrieval(Setup(config, small_config, data_root=tmp_path, **arguments))
    lexical = result.conditions[0]
    assert (lexical.n, lexical.n_own, lexical.answer_recall) == (5, 5, {})
    assert lexical.ndcg_10 is not None and lexical.ndcg_10.mean == 100.0  # the names
    assert result.settings["index"]["passages"] == 12
    rows = [json.loads(line) for line in (tmp_path / "out" / result.answers).read_text(encoding="utf-8").splitlines()]
    assert all(len(row["ranked"]) == len(set(row["ranked"])) <= 3 < len(row["passages"]) for row in rows[5:])
    assert result.data["left_out"] == 3 and {d.measure for d in result.differences} == {"ndcg_10"}
    assert "nDCG@10" in report([tmp_path / "out"], tmp_path)[1].read_text(encoding="utf-8")
    with (folder / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"_id": "blank", "text": " "}) + "\n")
    (folder / "qrels" / "blank.tsv").write_text("blank\td0\t1", encoding="utf-8")
    blank = config.model_copy(update={"split": "blank"})
    result, _ = evaluate_retrieval(Setup(blank, small_config, data_root=tmp_path, **arguments))
    for condition in result.conditions:  # nothing is searched, nothing is retrieved
        assert condition.n == 1 and condition.ndcg_10 is not None and condition.ndcg_10.mean == 0.0
    with pytest.raises(PathNotFoundError, match="dev"):
        evaluate_retrieval(
            Setup(config.model_copy(update={"split": "dev"}), small_config, data_root=tmp_path, **arguments)
        )


def test_retrieval_by_command(retrieval_data: Path, small_config: PipelineConfig, tmp_path: Path) -> None:
    recipe = tmp_path / "search.yaml"
    recipe.write_text(json.dumps({**RETRIEVAL, "modes": ["lexical"]}), encoding="utf-8")
    command = ("eval", "search.yaml", "--data-root", retrieval_data, "--out", "out")
    ragyena = Ragyena(tmp_path)
    done = ragyena(*command, "--reader", small_config.reader.checkpoint).succeeds()
    assert "lexical (BM25)" in done.out and (tmp_path / "out" / "report.html").is_file()
    for arguments, words in (
        (("--fail-under", "em=3"), "does not measure it"),
        (("--fail-under", "recall@3=0.5"), "recall_at of the recipe: 1, 2, 5"),
        (("--fail-under", "recall@1@dense=0.5"), "conditions: lexical"),
        (("--freeze-only",), "reads nothing"),
        (("--set", "reranker=no-such-folder/model"), "no reranker 'no-such-folder/model'"),
    ):
        wrong = ragyena(*command, *arguments)
        assert wrong.code == 2 and words in wrong.err and "Traceback" not in wrong.err, wrong.err
    bars = ["--fail-under", "recall@1=0.5", "--fail-under", "mrr=0.99", "--fail-under", "ndcg@10=0.5"]
    ragyena(*command, "--reader", small_config.reader.checkpoint, *bars).succeeds()


def test_a_search_below_its_target_is_reported() -> None:
    def estimate(value: float) -> Estimate:
        return Estimate(value, value, value)

    known = RetrievalCondition(
        "dense", "", 9, {5: estimate(90.0)}, 9, {5: estimate(40.0)}, estimate(30.0), estimate(20.0), percentiles([1.0])
    )
    report: Any = SimpleNamespace(conditions=[known])
    assert targets.parse("recall@5=0.4").below(report) is None
    assert targets.parse("recall@5=0.41").below(report) == "recall@5 of dense is 0.4, the target is 0.41"
    assert targets.parse("answer_recall@5=0.9").below(report) is None
    assert "mrr of dense is 0.2" in (targets.parse("mrr=0.21").below(report) or "")
    assert "ndcg of dense is 0.3" in (targets.parse("ndcg@10=0.31").below(report) or "")
    report.conditions = [replace(known, passage_recall=None)]
    said = targets.parse("recall@5=0.4").below(report)
    assert said is not None and "was not measured" in said and "answer_recall@5 was measured" in said


class _Encoder(torch.nn.Module):
    """Stands for a cross-encoder: the more words of the question a passage has, the better."""

    num_labels = 1

    def predict(self, pairs: list[tuple[str, str]], **_: Any) -> Any:
        return np.array([len(set(question.lower().split()) & set(text.lower().split())) for question, text in pairs])


def test_hits_are_reranked(
    retrieval_data: Path, small_config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reranker, "open", lambda name: Reranker(name, _Encoder()))
    config = config_of(**RETRIEVAL, modes=["dense"], reranker="words", rerank=3)
    arguments: dict[str, Any] = {"name": "r", "data_root": retrieval_data, "out": tmp_path / "out", "progress": None}
    result, path = evaluate_retrieval(Setup(config, small_config, index=tmp_path / "index", **arguments))
    assert [condition.name for condition in result.conditions] == ["dense", "reranked"]
    assert {(one.first, one.second) for one in result.differences} == {("reranked", "dense")}
    assert result.settings["reranker"]["name"] == "words" and result.settings["reranker"]["hits"] == 3
    rows = [json.loads(line) for line in (path.parent / result.answers).read_text(encoding="utf-8").splitlines()]
    hits = {(row["mode"], row["question_id"]): row["passages"] for row in rows}
    moved = 0
    with Index.open(next((tmp_path / "index").glob("*/index"))) as index:
        for (mode, question_id), dense in hits.items():
            if mode == "dense":
                reranked = hits["reranked", question_id]
                question = next(row["question"] for row in rows if row["question_id"] == question_id)
                passages = index.passages(dense[:3])
                scores = dict(zip(dense[:3], _Encoder().predict([(question, embedding_text(p)) for p in passages])))
                assert reranked[:3] == sorted(dense[:3], key=lambda i: (-scores[i], i)) and reranked[3:] == dense[3:]
                moved += reranked != dense
    assert moved


def test_a_real_cross_encoder_is_loaded_and_one_of_more_scores_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "bread", "?"]
    tokenizer = BertTokenizerFast(vocab={word: number for number, word in enumerate(words)})
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    for name, labels in (("ranker", 1), ("classes", 3)):
        torch.manual_seed(0)
        model = BertForSequenceClassification(BertConfig(vocab_size=len(words), num_labels=labels, **sizes)).eval()
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        if labels == 1:
            with torch.no_grad():
                pairs = tokenizer(["tea ?"] * 2, ["tea", "bread"], return_tensors="pt")
                tea, bread = model(**pairs).logits[:, 0].tolist()
    reranker = Reranker.open(str(tmp_path / "ranker"))
    passages = [
        Passage(text, 0, len(text), 1, 1, None, "", (), "", passage_id=i)
        for i, text in enumerate(("tea", "bread", "tea"))
    ]
    ordered = [passage.passage_id for passage in reranker.order("tea ?", passages)]
    assert ordered == ([0, 2, 1] if tea > bread else [1, 0, 2]) and tea != bread
    assert len(reranker.fingerprint) == 64 and reranker.order("tea", []) == []
    with pytest.raises(ConfigError, match="gives 3 scores"):
        Reranker.open(str(tmp_path / "classes"))


def test_misspelt_questions_and_ranking_by_the_reader(
    retrieval_data: Path, small_config: PipelineConfig, tmp_path: Path
) -> None:
    config = config_of(**RETRIEVAL, modes=["hybrid", "rrf", "reader", "misspelt", "uncorrected"])
    arguments: dict[str, Any] = {"name": "r", "data_root": retrieval_data, "out": tmp_path / "out", "progress": None}
    result, path = evaluate_retrieval(Setup(config, small_config, index=tmp_path / "index", **arguments))
    assert [condition.name for condition in result.conditions] == list(config.modes)
    rows = [json.loads(line) for line in (path.parent / result.answers).read_text(encoding="utf-8").splitlines()]
    hits = {(row["mode"], row["question_id"]): row["passages"] for row in rows}
    texts, hybrid = {row["question_id"]: row["question"] for row in rows}, {"retriever.mode": "hybrid"}
    with Pipeline.open(next((tmp_path / "index").glob("*/index")), settings=small_config) as pipeline:
        for mode, given in (("rrf", {"retriever.fusion": "rrf"}), ("reader", {"retriever.rerank": "reader"})):
            for question_id, text in texts.items():
                found = [hit.passage.passage_id for hit in pipeline.search(text, k=6, settings=hybrid | given)]
                assert hits[mode, question_id] == found[: len(hits[mode, question_id])], (mode, text)
    right = {condition.name: condition.mrr.mean for condition in result.conditions if condition.mrr}
    assert right["uncorrected"] <= right["misspelt"] <= 100.0
