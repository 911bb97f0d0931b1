"""Evaluations of every task on small data, from files, and from frozen contexts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Ragyena
from jsonschema import Draft202012Validator
from small_world import save_small_reader

from ragyena import recipes
from ragyena.config import EvalConfig, PipelineConfig, RetrieverConfig, parse
from ragyena.errors import ConfigError, DataError, IndexMismatchError, PathNotFoundError, UsageError
from ragyena.eval.compare import compare, write
from ragyena.eval.conditions import condition_names, contrasts, sweeps
from ragyena.eval.contexts import Frozen
from ragyena.eval.freeze import freeze_to
from ragyena.eval.layout import AnswerRow, Report, schema_of
from ragyena.eval.reading import evaluate_reader
from ragyena.eval.recipe import Setup, load_evaluation
from ragyena.pipeline import Pipeline
from ragyena.reader.reader import Reader

PEOPLE = ["Ada Stone", "Tom Marsh", "Eva Lind", "Max Korn", "Ida Vale", "Jan Hook", "Lea Moor", "Ben Wald"]
TOWNS = ["Oldtown", "Seaford", "Milbrook", "Ashby", "Dunmore", "Kelso", "Lorne", "Wexley"]
FILLER = "The weather was fine and the road was long, as it is in that part of the country. " * 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight builders and their bridges, a question on each; articles and tables about them."""
    folder = tmp_path_factory.mktemp("data")
    passages, questions, prose, documents, hybrid = [], [], [], [], []
    for i, (person, town) in enumerate(zip(PEOPLE, TOWNS)):
        text = f"{FILLER} The bridge of {town} was built in {1900 + i} by the engineer {person}. It has arches."
        passages.append({"id": f"p{i}", "title": f"Bridge {i}", "context": text, "split": "dev"})
        year = str(1900 + i)
        row = {"id": f"q{i}", "source": "bridges", "passage_id": f"p{i}", "answers": [year], "split": "dev"}
        row |= {"question": f"When was the bridge of {town} built by {person}?", "answer_start": text.index(year)}
        questions.append(row)
        prose.append({"id": f"w{i}", "title": person, "text": f"{person} was born in {town}. {FILLER}"})
    for i in range(2):
        names = PEOPLE[4 * i : 4 * i + 4]
        rows = [f"Builder: {name}; Bridges: {n + 2}" for n, name in enumerate(names)]
        document = {"id": f"d{i}", "title": "Builders", "section": "By bridges", "intro": "These built bridges."}
        documents.append({**document, "rows": rows, "passages": [f"w{4 * i + n}" for n in range(4)], "split": "dev"})
        for n, where in enumerate((["passage"], ["passage", "table"], ["table"])):
            question = {"id": f"h{i}{n}", "doc_id": f"d{i}", "question": f"Where was builder {n} born?", "split": "dev"}
            hybrid.append({**question, "answers": [TOWNS[4 * i + n]], "answer_in": where})
    hybrid[-1]["split"] = "train"
    files = {"passages": passages, "questions": questions, "prose": prose, "documents": documents, "hybrid": hybrid}
    for name, rows_of_file in files.items():
        text = "".join(json.dumps(row) + "\n" for row in rows_of_file)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


BASE: dict[str, Any] = {"questions": ["questions.jsonl"], "passages": ["passages.jsonl"], "resamples": 200}
TASKS: dict[str, dict[str, Any]] = {
    "among": {**BASE, "among": [1, 4]},
    "open": {**BASE, "task": "open", "prose": ["prose.jsonl"], "context_tokens": [300, 1500]},
    "positions": {**BASE, "task": "positions", "context_tokens": [700], "positions": [0, 0.5, 1]},
    "alias": {**BASE, "task": "alias", "among": [4, 6]},
    "hybrid": {
        "task": "hybrid",
        "questions": ["hybrid.jsonl"],
        "documents": ["documents.jsonl"],
        "prose": ["prose.jsonl"],
        "resamples": 200,
    },
}


def config_of(task: str, **changes: Any) -> EvalConfig:
    return parse(EvalConfig, {**TASKS[task], **changes}, source="test")


@pytest.fixture(scope="module")
def dense_config(small_config: PipelineConfig) -> PipelineConfig:
    """Dense search: of so few passages keywords find the one alone."""
    return small_config.model_copy(update={"retriever": RetrieverConfig(mode="dense")})


@pytest.fixture
def run(
    data: Path, dense_config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Report, Path, list[Any]]]:
    """Evaluates; gives the report, its file and the contexts that were read."""

    def call(config: EvalConfig, frozen: Path | None = None, **places: Any) -> tuple[Report, Path, list[Any]]:
        seen: list[Any] = []
        read = Reader.read_batch

        def watch(self: Reader, contexts: Any) -> Any:
            seen.extend(contexts)
            return read(self, contexts)

        monkeypatch.setattr(Reader, "read_batch", watch)
        arguments: dict[str, Any] = {
            "name": "test",
            "data_root": data,
            "out": tmp_path / "out",
            "index": tmp_path / "index",
            "progress": None,
        }
        settings = places.pop("settings", dense_config)
        report, path = evaluate_reader(Setup(config, settings, **(arguments | places)), frozen)
        monkeypatch.setattr(Reader, "read_batch", read)
        return report, path, seen

    return call


def shown(contexts: list[Any]) -> list[Any]:
    return sorted((c.question, [p.passage.text for p in c.passages], c.token_ids.tolist()) for c in contexts)


@pytest.mark.parametrize("task", TASKS)
def test_frozen_contexts_equal_those_built_from_the_data(
    task: str, run: Any, data: Path, dense_config: PipelineConfig, tmp_path: Path
) -> None:
    """Neither data nor an index is present, and the figures are the same."""
    config = config_of(task)
    path = tmp_path / "contexts.jsonl.xz"
    setup = Setup(config, dense_config, data_root=data, index=tmp_path / "index")
    freeze_to(path, setup, Reader.tokenizer_of(dense_config.reader))
    nowhere = {"data_root": tmp_path / "no", "index": tmp_path / "no"}
    report, _, seen = run(config, path, **nowhere, out=tmp_path / "frozen")
    live, _, seen_live = run(config)
    assert shown(seen) == shown(seen_live) and seen
    assert [c.whole for c in report.conditions] == [c.whole for c in live.conditions]
    assert report.settings == live.settings


@pytest.mark.parametrize("task", TASKS)
def test_what_is_written_keeps_the_published_schemas(task: str, run: Any) -> None:
    """Every score of the results can be recomputed from the answers."""
    _, path, _ = run(config_of(task, timed=2))
    result = json.loads(path.read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in (path.parent / result["answers"]).read_text(encoding="utf-8").splitlines()]
    results, answers = Draft202012Validator(schema_of(Report)), Draft202012Validator(schema_of(AnswerRow))
    results.validate(result)
    assert result.keys() == results.schema["properties"].keys()
    assert result["conditions"][0].keys() == results.schema["$defs"]["ConditionReport"]["properties"].keys()
    for row in rows:
        answers.validate(row)
        assert row.keys() == answers.schema["properties"].keys()
    for condition in result["conditions"]:
        of_it = [row for row in rows if row["condition"] == condition["name"]]
        ranked = sorted(of_it, key=lambda row: -row["confidence"])
        assert condition["risk_coverage"]["points"][-1]["risk"] == pytest.approx(
            1 - sum(row["em"] for row in ranked) / len(ranked)
        )
        assert condition["tokens"] == sum(row["tokens"] for row in of_it)
        place = condition["parameters"].get("position", 0)
        assert (condition["latency"] or {"n": None})["n"] == (2 if place == 0 else None)  # a length is timed once
    del result["schema"], rows[0]["confidence"]
    assert not results.is_valid(result) and not answers.is_valid(rows[0])


def test_open_contexts_are_those_of_ask(run: Any, dense_config: PipelineConfig, tmp_path: Path) -> None:
    """The longest context is packed as the pipeline packs it; shorter ones hold its first passages."""
    report, path, seen = run(config_of("open"))
    (index,) = (tmp_path / "index").glob("*/index")
    with Pipeline.open(index, settings=dense_config) as pipeline:
        for context in seen:
            if context.log.context_tokens == 1500:
                budget = {"packer.context_tokens": 1500}
                candidates = pipeline.retrieve(context.question, settings=budget)
                wanted = pipeline.pack(context.question, candidates, settings=budget)
                assert [p.passage.text for p in context.passages] == [p.passage.text for p in wanted.passages]
                assert context.token_ids.tolist() == wanted.token_ids.tolist()
                assert pipeline.reader.read(context).text == pipeline.reader.read(wanted).text
    short, long = report.conditions
    assert (short.name, long.name) == ("open-300", "open-1500") and short.passages < long.passages
    assert all(c.length <= c.log.context_tokens for c in seen)
    assert long.answer_packed is not None and long.own_packed is not None
    assert long.own_packed.mean == 100.0 and long.answer_packed.mean == 100.0  # all eight bridges fit
    assert short.own_packed is not None and short.own_packed.mean <= 100.0
    assert {(d.first, d.second, d.measure) for d in report.differences} == {
        ("open-1500", "open-300", "em"),
        ("open-1500", "open-300", "f1"),
    }
    rows = [json.loads(line) for line in (path.parent / report.answers).read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 16 and {row["condition"] for row in rows} == {"open-300", "open-1500"}
    for condition in report.conditions:
        ems = [row["em"] for row in rows if row["condition"] == condition.name]
        assert condition.whole.em.mean == pytest.approx(100 * sum(ems) / len(ems))


def test_only_the_gold_passage_changes_its_position(run: Any) -> None:
    report, _, seen = run(config_of("positions"))
    assert [c.name for c in report.conditions] == [f"position-{p}-of-700" for p in ("0", "0.5", "1")]
    by_question: dict[str, list[Any]] = {}
    for context in seen:
        by_question.setdefault(context.question, []).append([p.passage.text for p in context.passages])
    for question, (first, middle, last) in by_question.items():
        (place,) = [i for i, text in enumerate(first) if question.split()[5] in text]
        own = first[place]
        assert len(first) > 3 and (first[0], last[-1]) == (own, own) and middle.index(own) == len(middle) // 2
        for order in (middle, last):
            assert [t for t in order if t != own] == first[1:]
    (spread,) = report.spreads
    assert len(spread.conditions) == 3 and 0 <= spread.em.low <= spread.em.mean <= spread.em.high


def test_two_hops_differ_from_one_by_two_sentences_and_a_name(run: Any) -> None:
    report, _, seen = run(config_of("alias"))
    assert [c.name for c in report.conditions] == ["one-hop-4", "two-hop-4", "one-hop-6", "two-hop-6"]
    assert {c.whole.n for c in report.conditions} == {8}
    assert [(d.first, d.second) for d in report.differences if d.measure == "em"] == [
        ("two-hop-4", "one-hop-4"),
        ("two-hop-6", "one-hop-6"),
    ]
    two = [c for c in seen if any("is another name for" in p.passage.text for p in c.passages)]
    one = {(len(c.passages), c.question): c for c in seen if c not in two}
    assert len(two) == len(one) == 16
    for context in two:
        sentences = {}
        for slot, scored in enumerate(context.passages):
            if "is another name for" in scored.passage.text:
                alias, _, rest = scored.passage.text.partition(" is another name for ")
                sentences[alias.split()[-1]] = (rest.split(".")[0], slot)
        assert len(sentences) == 2
        (alias,) = [word for word in sentences if word in context.question]
        name, slot = sentences.pop(alias)
        (decoy, (decoy_name, decoy_slot)) = sentences.popitem()
        assert decoy not in context.question and decoy_name != name and decoy_slot != slot
        plain = one[len(context.passages), context.question.replace(alias, name)]
        for number, (scored, before) in enumerate(zip(context.passages, plain.passages, strict=True)):
            changed = scored.passage.text != before.passage.text
            assert changed == (number in (slot, decoy_slot))
            assert not (changed and name in before.passage.text)  # the definition is not in the own passage


def test_hybrid_documents_whole_and_by_passage(run: Any) -> None:
    report, _, seen = run(config_of("hybrid"))
    whole = [c for c in seen if len(c.passages) > 1]
    alone = [c for c in seen if len(c.passages) == 1]
    assert len(whole) == 5 and len(alone) == sum(len(c.passages) for c in whole)
    texts = {p.passage.text for p in whole[0].passages}
    assert any("Builder: " in text for text in texts) and "These built bridges." in texts
    headers = {p.passage.header for p in whole[0].passages}
    assert {"Builders", "Builders > By bridges"} < headers and len(headers & set(PEOPLE)) == 4
    joint, independent = report.conditions
    assert {s.source for s in joint.sources} == {"answer in passage", "answer in passage and table", "answer in table"}
    assert joint.answer_packed is not None and joint.answer_packed.mean == 100.0
    assert joint.passages == independent.passages
    assert {(d.first, d.second) for d in report.differences} == {("joint", "independent")}
    assert len(report.differences) == 8  # two measures, of all and of three sources


def test_a_reader_of_passages_alone_answers_a_document_by_its_best_passage(
    run: Any, dense_config: PipelineConfig, tmp_path: Path
) -> None:
    """If every layer sees one passage only, reading a document whole and by passage give the same answer."""
    reader = save_small_reader(tmp_path / "alone", context_channels=(0, 0))
    settings = dense_config.model_copy(
        update={"reader": dense_config.reader.model_copy(update={"checkpoint": str(reader)})}
    )
    report, path, _ = run(config_of("hybrid"), settings=settings)
    rows = [json.loads(line) for line in (path.parent / report.answers).read_text(encoding="utf-8").splitlines()]
    answers: dict[str, set[str]] = {}
    for row in rows:
        answers.setdefault(row["question_id"], set()).add(row["answer"])
    assert len(rows) == 10 and all(len(found) == 1 for found in answers.values())


def test_a_frozen_file_names_what_it_lacks(run: Any, data: Path, dense_config: PipelineConfig, tmp_path: Path) -> None:
    path = tmp_path / "contexts.jsonl.xz"
    config = config_of("among")
    setup = Setup(config, dense_config, data_root=data, index=tmp_path / "index")
    freeze_to(path, setup, Reader.tokenizer_of(dense_config.reader))
    report, _, seen = run(config_of("among", among=[1, 2, 3], limit=3), path)
    assert [c.whole.n for c in report.conditions] == [3] * 3 and {len(c.passages) for c in seen} == {1, 2, 3}
    with pytest.raises(UsageError, match="among 4, not 5"):
        run(config_of("among", among=[5]), path)
    with pytest.raises(UsageError, match="another kind"):
        run(config_of("open"), path)
    with pytest.raises(DataError, match="sources none"):
        run(config_of("among", sources=["none"]), path)
    with pytest.raises(PathNotFoundError, match="nothing"):
        run(config, tmp_path / "nothing")
    other = dense_config.packer.model_copy(update={"header_tokens": 3})
    with pytest.raises(UsageError, match="header_tokens 32, not 3"):
        run(config, path, settings=dense_config.model_copy(update={"packer": other}))
    frozen = Frozen.load(path)
    object.__setattr__(frozen, "facts", {**frozen.facts, "tokenizer": "another"})
    frozen.save(path)
    with pytest.raises(IndexMismatchError, match="another tokenizer"):
        run(config, path)


def test_an_index_that_is_there_is_used(run: Any, data: Path, dense_config: PipelineConfig, tmp_path: Path) -> None:
    run(config_of("open"))
    (index,) = (tmp_path / "index").glob("*/index")
    report, _, _ = run(config_of("open"), index=index, out=tmp_path / "again")
    assert report.settings["index"]["documents"] == 16
    assert report.conditions[1].own_packed is not None and report.conditions[1].own_packed.mean == 100.0
    assert list((tmp_path / "index").glob("*/index-hits/hits-*.jsonl"))


def test_hybrid_rows_that_cannot_be_used_are_named(run: Any, data: Path, tmp_path: Path) -> None:
    rows = (data / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    second = {**json.loads(rows[1]), "passages": ["nowhere"]}
    documents = tmp_path / "documents.jsonl"
    documents.write_text("\n".join([rows[0], json.dumps(second), "[]", '{"id": ""}']), encoding="utf-8")
    report, _, _ = run(config_of("hybrid", documents=[str(documents)]))
    assert report.data["answerable"] == 3 and report.data["left_out"] == 5
    assert "nowhere" in " ".join(report.data["left_out_first"])
    with pytest.raises(DataError, match="split 'test'"):
        run(config_of("hybrid", split="test"))


def test_settings_of_another_task_are_refused() -> None:
    for task, changes in (
        ("among", {"positions": [0.5]}),
        ("open", {"among": [4]}),
        ("hybrid", {"context_tokens": [512]}),
        ("alias", {"among": [1, 8]}),
        ("positions", {"positions": [0.5, 0.5]}),
        ("open", {"context_tokens": []}),
    ):
        with pytest.raises(ConfigError):
            config_of(task, **changes)


def test_questions_without_a_name_to_alias_are_an_error(run: Any, data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (data / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["question"] = "when was it built?"
    nameless = tmp_path / "nameless.jsonl"
    nameless.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DataError, match="none of 8 questions"):
        run(config_of("alias", questions=[str(nameless)]))


def test_two_readers_through_the_commands(data: Path, tmp_path: Path) -> None:
    """Frozen by one command, read by two readers in another, compared by a third."""
    pipeline = tmp_path / "lexical.yaml"
    pipeline.write_text("retriever: {mode: dense}\nreader: {dtype: float32}\n", encoding="utf-8")
    recipe = tmp_path / "bridges.yaml"
    recipe.write_text(json.dumps(TASKS["among"]), encoding="utf-8")
    first, second = (str(save_small_reader(tmp_path / name, seed)) for seed, name in enumerate(("one", "two")))
    ragyena = Ragyena(tmp_path)
    common = ("eval", recipe, "--pipeline", pipeline, "--quiet", "--frozen", "f.xz", "--reader", first)
    done = ragyena(*common, "--data-root", data, "--freeze-only").succeeds()
    assert "f.xz: 8 questions" in done.out
    done = ragyena(*common, "--reader", second, "--out", "out").succeeds()
    assert "F1 difference" in done.out and "Holm" in done.out
    assert len(list((tmp_path / "out").glob("*-vs-*.json"))) == 1
    (together,) = (tmp_path / "out").glob("*-bridges-2-readers.json")
    reports = {p for p in (tmp_path / "out").glob("*-bridges-*.json") if "-vs-" not in p.name} - {together}
    one, two = sorted(reports)
    write(compare(one, two), tmp_path / "comparison.json")
    written = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert written["conditions"].keys() == {"among-1", "among-4"} and written["left_out"] == []
    found = written["conditions"]["among-4"][0]
    assert found["n"] == 8 and found["verdict"] in ("first", "second", "neither")
    assert found["first_mean"] - found["second_mean"] == pytest.approx(found["difference"]["mean"])
    joined = json.loads(together.read_text(encoding="utf-8"))
    assert joined["results"] == [json.loads(path.read_text(encoding="utf-8")) for path in (one, two)]
    (comparison,) = joined["comparisons"]
    assert comparison == {**written, "date": comparison["date"]} and joined["recipe"] == "bridges"
    (tmp_path / json.loads(two.read_text(encoding="utf-8"))["answers"]).unlink(missing_ok=True)
    (tmp_path / "out" / json.loads(two.read_text(encoding="utf-8"))["answers"]).unlink()
    with pytest.raises(PathNotFoundError, match="not beside it"):
        compare(one, two)
    with pytest.raises(PathNotFoundError):
        compare(one, tmp_path / "none.json")
    with pytest.raises(DataError, match="no result"):
        compare(one, recipe)


def test_recipes_name_conditions() -> None:
    for name in recipes.names("configs/eval"):
        for part in load_evaluation(name).parts:
            if part.config.task in ("documents", "evidence"):  # asked and reported by kind, not under conditions
                continue
            names = condition_names(part.config)
            assert names and len(set(names)) == len(names)
            assert {n for pair in contrasts(part.config) for n in pair} <= set(names)
            assert {n for sweep in sweeps(part.config) for n in sweep} <= set(names)
