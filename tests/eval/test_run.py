"""Evaluations of a small reader from files to a report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Ragyena
from small_world import save_small_reader

from ragyena import recipes
from ragyena.cli.options import whole_numbers
from ragyena.config import EvalConfig, PipelineConfig, parse
from ragyena.errors import ConfigError, DataError, PathNotFoundError, UsageError
from ragyena.eval import targets
from ragyena.eval.layout import Report
from ragyena.eval.reading import evaluate_reader
from ragyena.eval.recipe import Evaluation, Part, Setup, load_evaluation
from ragyena.eval.run import evaluate
from ragyena.eval.targets import Target
from ragyena.reader.reader import Reader

COLOURS = ["red", "blue", "green", "white", "black", "yellow", "brown", "grey", "pink", "golden"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten houses of different colours, two questions each, one of them longer than a reader takes; ten questions that
    nothing answers."""
    folder = tmp_path_factory.mktemp("data")
    contexts = [f"House number {i} of Mill Street is {c}. Its door is open." for i, c in enumerate(COLOURS)]
    passages = [{"id": f"p{i}", "title": f"House {i}", "context": text} for i, text in enumerate(contexts)]
    questions: list[dict[str, Any]] = []
    for i, colour in enumerate(COLOURS):
        for kind, text in (("what", f"What is the colour of house number {i}?"), ("which", f"Which colour has {i}?")):
            row = {"id": f"{kind}{i}", "source": kind, "passage_id": f"p{i}", "question": text, "answers": [colour]}
            questions.append({**row, "answer_start": contexts[i].index(colour)})
    questions[-1]["question"] = "why " * 300
    nothing = [{"id": f"n{i}", "passage_id": f"p{i}", "question": f"Who lives in {i}?"} for i in range(10)]
    for name, rows in (("passages", passages), ("questions", questions), ("unanswerable", nothing)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


CONFIG = EvalConfig(
    questions=("questions.jsonl",),
    passages=("passages.jsonl",),
    unanswerable=("unanswerable.jsonl",),
    among=(1, 4),
    resamples=200,
)


def run(config: EvalConfig, settings: PipelineConfig, data: Path, out: Path) -> tuple[Report, Path]:
    return evaluate_reader(Setup(config, settings, "houses", data, out, out.parent / "index"))


def test_a_report(data: Path, small_config: PipelineConfig, tmp_path: Path) -> None:
    report, path = run(CONFIG, small_config, data, tmp_path / "out")
    alone, among = report.conditions
    assert (alone.name, among.name) == ("among-1", "among-4")
    assert (alone.whole.n, alone.unasked, alone.passages) == (20, 1, pytest.approx(19 / 20))
    assert 1 < among.passages <= 4 * 19 / 20
    assert alone.own_first is None and among.own_first is not None
    assert {source.source: source.n for source in alone.sources} == {"what": 10, "which": 10}
    assert alone.abstention is not None and among.abstention is None
    assert (alone.abstention.answerable, alone.abstention.unanswerable) == (20, 10)
    assert alone.tokens > 0 and alone.seconds > 0 and alone.peak_memory_gib is None
    for part in (*alone.sources, alone.whole, among.whole):
        assert 0 <= part.em.low <= part.em.mean <= part.em.high <= 100
        assert part.em.mean <= part.f1.mean
    written = json.loads(path.read_text(encoding="utf-8"))
    fingerprint = Reader.open(small_config.reader).fingerprint
    assert path.name == f"{report.date}-houses-{Path(small_config.reader.checkpoint).name}-{fingerprint[:8]}.json"
    assert written["reader"]["fingerprint"] == fingerprint
    assert written["machine"]["versions"]["torch"] and written["machine"]["cores"] >= 1
    assert written["data"]["answerable"] == 20 and written["data"]["left_out"] == 0
    assert written["conditions"][1]["whole"]["f1"]["mean"] == among.whole.f1.mean


def test_right_answers_in_the_journal_score_100_and_are_not_read_again(
    data: Path, small_config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers written into a run's journal are scored as the reader's: this covers the path from answer to score."""
    config = CONFIG.model_copy(update={"among": (1,), "sources": ("what",)})
    run(config, small_config, data, tmp_path / "out")
    (journal,) = (tmp_path / "out").glob("answers-*.jsonl")
    rows = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        known = row["question_id"].startswith("what")
        row["text"] = f"The {COLOURS[int(row['question_id'][-1])]}." if known else "somebody"
        row["confidence"] = 0.9 if known else 0.1
    journal.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def refuse(*_: object) -> None:
        raise AssertionError("a finished run reads nothing again")

    monkeypatch.setattr(Reader, "read_batch", lambda self, contexts: refuse() if contexts else [])
    report, _ = run(config, small_config, data, tmp_path / "out")
    (alone,) = report.conditions
    assert (alone.whole.em.mean, alone.whole.f1.mean) == (100.0, 100.0)
    assert alone.abstention is not None and alone.abstention.auroc == 1.0


def test_peak_memory_is_of_each_condition_and_outlasts_a_stop(
    data: Path, small_config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake GPU counter: its peak is the largest batch since it was reset."""
    counter = [0.0]
    read = Reader.read_batch

    def count(self: Reader, contexts: Any) -> Any:
        counter[0] = max(counter[0], float(sum(len(context.passages) for context in contexts)))
        return read(self, contexts)

    monkeypatch.setattr("ragyena.machine.forget_peak_memory", lambda _: counter.__setitem__(0, 0.0))
    monkeypatch.setattr("ragyena.machine.peak_memory_gib", lambda _: counter[0])
    monkeypatch.setattr(Reader, "read_batch", count)
    config = CONFIG.model_copy(update={"among": (4, 1), "unanswerable": ()})
    report, _ = run(config, small_config, data, tmp_path / "out")
    among, alone = (condition.peak_memory_gib for condition in report.conditions)
    assert among is not None and among > 19 and alone == 19
    monkeypatch.setattr(Reader, "read_batch", read)
    again, path = run(config, small_config, data, tmp_path / "out")
    assert [c.peak_memory_gib for c in again.conditions] == [among, alone]
    assert json.loads(path.read_text(encoding="utf-8"))["conditions"][1]["peak_memory_gib"] == 19


class StoppedError(Exception):
    """Stands for a killed process."""


def test_a_stopped_run_goes_on(
    data: Path, small_config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(CONFIG, small_config, data, tmp_path / "whole" / "out")
    read = Reader.read_batch
    calls: list[int] = []

    def stop_after_two(self: Reader, contexts: Any) -> Any:
        if len(calls) == 2:
            raise StoppedError
        calls.append(len(contexts))
        return read(self, contexts)

    monkeypatch.setattr("ragyena.eval.answers._MOST_QUESTIONS", 8)
    monkeypatch.setattr(Reader, "read_batch", stop_after_two)
    with pytest.raises(StoppedError):
        run(CONFIG, small_config, data, tmp_path / "out")
    (journal,) = (tmp_path / "out").glob("answers-*.jsonl")
    kept = journal.read_text(encoding="utf-8").splitlines()
    assert len(kept) == 16
    monkeypatch.setattr(Reader, "read_batch", read)
    resumed, _ = run(CONFIG, small_config, data, tmp_path / "out")
    assert journal.read_text(encoding="utf-8").splitlines()[:16] == kept
    assert [c.whole for c in resumed.conditions] == [c.whole for c in whole.conditions]
    assert [c.tokens for c in resumed.conditions] == [c.tokens for c in whole.conditions]


def test_another_reader_reads_the_same_contexts_and_shares_no_answers(
    data: Path, small_config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[str, ...]]] = []
    read = Reader.read_batch

    def watch(self: Reader, contexts: Any) -> Any:
        seen[-1] += [(c.question, *(p.passage.text for p in c.passages)) for c in contexts]
        return read(self, contexts)

    monkeypatch.setattr(Reader, "read_batch", watch)
    for seed in (0, 1):
        reader = small_config.reader.model_copy(
            update={"checkpoint": str(save_small_reader(tmp_path / f"reader{seed}", seed))}
        )
        seen.append([])
        run(CONFIG, small_config.model_copy(update={"reader": reader}), data, tmp_path / "out")
    assert sorted(seen[0]) == sorted(seen[1]) and len(seen[0]) == 19 + 10 + 19
    assert len(list((tmp_path / "out").glob("answers-*.jsonl"))) == 2
    for question, *passages in seen[0]:
        if question.startswith("What") and len(passages) > 1:
            assert len(passages) == len(set(passages)) == 4
            assert sum(f"number {question[-2]} " in text for text in passages) == 1


def test_rows_left_out_are_counted_and_named(data: Path, small_config: PipelineConfig, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text((data / "questions.jsonl").read_text(encoding="utf-8") + "{oops\n", encoding="utf-8")
    config = CONFIG.model_copy(update={"questions": (str(broken),), "among": (1,)})
    report, _ = run(config, small_config, data, tmp_path / "out")
    assert report.data["left_out"] == 1 and "line 21" in report.data["left_out_first"][0]


def test_missing_data_is_named(small_config: PipelineConfig, tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match=r"questions\.jsonl"):
        run(CONFIG, small_config, tmp_path, tmp_path / "out")
    with pytest.raises(DataError):
        run(EvalConfig(), small_config, tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", [name for name in recipes.names("configs/eval") if not load_evaluation(name).is_suite])
def test_every_recipe_is_valid(name: str) -> None:
    evaluation = load_evaluation(name, {"limit": 3})
    config = evaluation.parts[0].config
    assert (
        evaluation.name == name
        and config.description
        and (config.questions or config.masked or config.beir)
        and config.limit == 3
    )


def load_config(recipe: str | None, overrides: dict[str, Any]) -> tuple[EvalConfig, str]:
    evaluation = load_evaluation(recipe, overrides)
    (part,) = evaluation.parts
    assert part.name == evaluation.name and not evaluation.is_suite
    return part.config, part.name


def test_flags_lie_over_the_recipe(tmp_path: Path) -> None:
    config, name = load_config("squad-dev", {"among": [1, 8], "limit": None, "questions": ["mine.jsonl"]})
    assert (config.among, config.limit, config.questions, name) == ((1, 8), 0, ("mine.jsonl",), "squad-dev")
    assert load_config(None, {"questions": ["mine.jsonl"]})[0] == parse(
        EvalConfig, {"questions": ["mine.jsonl"]}, source="test"
    )
    with pytest.raises(PathNotFoundError, match="no-such-recipe"):
        load_config("no-such-recipe", {})
    with pytest.raises(ConfigError, match="among"):
        load_config("squad-dev", {"among": [0]})


def test_lengths_are_separated_by_commas_or_given_again() -> None:
    assert whole_numbers("--context-tokens", ["4096,8192", "131072"]) == [4096, 8192, 131072]
    assert whole_numbers("--context-tokens", None) is None
    for wrong in ("4096,", "4096, x", "4k", "", "-1", "4096;8192"):
        with pytest.raises(UsageError, match=r"--context-tokens .*is no whole number"):
            whole_numbers("--context-tokens", [wrong])
    config, _ = load_config(None, {"questions": ["mine.jsonl"], "context_tokens": [4096, 8192]})
    assert (config.task, config.context_tokens) == ("open", (4096, 8192))
    for wrong_numbers in ([4096, 4096], [100], [1 << 20]):
        with pytest.raises(ConfigError, match="context_tokens"):
            load_config(None, {"questions": ["mine.jsonl"], "context_tokens": wrong_numbers})


def test_errors_name_the_flag_or_the_recipe_at_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--context-tokens over quick: context_tokens needs one value or more"):
        load_config("quick", {"context_tokens": [4096, 4096]})
    with pytest.raises(ConfigError, match=r"^--data, --among over quick: among mean nothing to the task 'open'"):
        load_config("quick", {"questions": ["mine.jsonl"], "among": [8]})
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text("task: open\namong: [3]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"wrong\.yaml: among mean nothing to the task 'open'"):
        load_config(str(recipe), {"limit": 3})


def test_targets(data: Path, small_config: PipelineConfig, tmp_path: Path) -> None:
    assert targets.parse("em@32=60") == Target("em", None, "32", 60.0)
    assert targets.parse("auroc=0.9") == Target("auroc", None, None, 0.9)
    assert targets.parse("recall@10=0.8") == Target("recall", 10, None, 0.8)
    assert targets.parse("answer_recall@5@dense=1") == Target("answer_recall", 5, "dense", 1.0)
    assert targets.parse("ndcg@10@dense=0.5") == targets.parse("ndcg@dense=0.5") == Target("ndcg", None, "dense", 0.5)
    for wrong in ("em", "em=", "rouge=3", "em@=3", "em=70%", "recall=0.8", "recall@x=0.8", "mrr=60", "em@a@b=3"):
        with pytest.raises(UsageError):
            targets.parse(wrong)
    report, _ = run(CONFIG, small_config, data, tmp_path / "out")
    assert Target("em", None, None, 0.0).below(report) is None
    assert "em of among-4 is" in (Target("em", None, "4", 100.5).below(report) or "")
    assert "was not measured" in (Target("auroc", None, "among-4", 0.1).below(report) or "")
    houses = Evaluation("houses", "", (Part("houses", CONFIG),))
    targets.check([Target("em", None, "4", 0.0)], houses)
    for target in (Target("em", None, "32", 0.0), Target("recall", 1, None, 0.0)):
        with pytest.raises(UsageError):
            targets.check([target], houses)


def test_the_command(data: Path, small_config: PipelineConfig, tmp_path: Path) -> None:
    """A process of its own, without a recipe; a missed bar is exit code 1 and leaves the report."""
    command = ["eval", "--data-root", str(data), "--out", "out", "--quiet"]
    command += ["--data", "questions.jsonl", "--passages", "passages.jsonl", "--reader", small_config.reader.checkpoint]
    ragyena = Ragyena(tmp_path)
    done = ragyena(*command, "--fail-under", "em=0", "--fail-under", "f1=100.5")
    assert done.code == 1 and "below the target: f1 of among-1" in done.err and "Traceback" not in done.err
    assert "own context alone" in done.out and list((tmp_path / "out").glob("*-questions-*.json"))
    ragyena(*command, "--among", "1", "--fail-under", "em@32=60").fails(2, "no such condition")


def test_given_contexts_are_read_without_faiss(data: Path, small_config: PipelineConfig, tmp_path: Path) -> None:
    """Nothing is retrieved, so the contexts can be frozen without FAISS as well."""
    ragyena = Ragyena(tmp_path, without="faiss")
    command = ["eval", "--data-root", str(data), "--quiet", "--limit", "3"]
    command += ["--data", "questions.jsonl", "--passages", "passages.jsonl", "--reader", small_config.reader.checkpoint]
    for arguments, words in (
        (("--out", "out", "--timed", "1"), "own context alone"),
        (("--freeze-only",), "3 questions"),
    ):
        assert words in ragyena(*command, *arguments).succeeds().out
    assert list((tmp_path / "out").glob("*-questions-*.json")) and (tmp_path / "out" / "report.html").is_file()
    assert ragyena(*command, "--among", "4").code != 0


def test_the_use_case_is_a_function(data: Path, small_config: PipelineConfig, tmp_path: Path) -> None:
    """One call evaluates several readers and compares them, with the files that the command writes."""
    readers = [str(save_small_reader(tmp_path / name, seed)) for seed, name in enumerate(("one", "two"))]
    result = evaluate(
        None,
        readers,
        settings=small_config,
        overrides={"questions": ["questions.jsonl"], "passages": ["passages.jsonl"], "limit": 4, "resamples": 100},
        data_root=data,
        out=tmp_path / "out",
    )
    assert [one.reader for one in result.results] == readers and all(path.is_file() for path in result.paths)
    (comparison,) = result.comparisons
    (together,) = result.together
    assert comparison.conditions.keys() == {"among-1"} and together.name.endswith("-questions-2-readers.json")
    written = json.loads(together.read_text(encoding="utf-8"))
    assert written["results"] == [json.loads(path.read_text(encoding="utf-8")) for path in result.paths]


def test_contexts_are_timed_alone_once_and_kept(
    data: Path, small_config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each context is read once before it is timed; another run of the same command reads none again."""
    alone: list[str] = []
    read = Reader.read
    read_timed = Reader.read_timed
    monkeypatch.setattr(Reader, "read", lambda self, context: alone.append(context.question) or read(self, context))
    monkeypatch.setattr(
        Reader, "read_timed", lambda self, context: alone.append(context.question) or read_timed(self, context)
    )
    config = CONFIG.model_copy(update={"unanswerable": (), "timed": 5, "among": (1,)})
    report, path = run(config, small_config, data, tmp_path / "out")
    (latency,) = (condition.latency for condition in report.conditions)
    assert latency is not None and (latency.n, latency.p95, latency.p99) == (5, None, None)
    assert latency.p50 > 0 and latency.tokens > 16
    assert len(alone) == 10 and alone[::2] == alone[1::2] and len(set(alone)) == 5
    (cost,) = (condition.cost for condition in report.conditions)
    assert cost is not None and cost.n == 5 and cost.parts.keys() == {"inputs", "encode", "extract"}
    assert cost.first_token.p50 <= latency.p50 and cost.first_token.p50 >= cost.parts["encode"].p50
    assert cost.state.total == 0 and cost.state.attention == 2 * 2 * 32 * 4 * round(latency.tokens)
    assert cost.energy is None and "NVIDIA" in cost.no_energy and cost.per_token is None
    again, _ = run(config, small_config, data, tmp_path / "out")
    assert len(alone) == 10 and again.conditions[0].latency == latency
    assert json.loads(path.read_text(encoding="utf-8"))["conditions"][0]["latency"]["n"] == 5


def test_answers_are_kept_with_their_evidence_and_identified_by_a_hash(
    data: Path, small_config: PipelineConfig, tmp_path: Path
) -> None:
    report, path = run(CONFIG, small_config, data, tmp_path / "out")
    answers = path.parent / report.answers
    assert hashlib.sha256(answers.read_bytes()).hexdigest() == report.hashes["answers"]
    rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    answered = [row for row in rows if not row["problem"]]
    assert len(rows) - len(answered) == 2 and all(row["tokens"] == 0 for row in rows if row["problem"])
    assert all(row["answer"] in row["evidence"] and row["tokens"] > 0 for row in answered)
    assert sum(row["tokens"] for row in rows if row["condition"] == "among-1" and "em" in row) == (
        report.conditions[0].tokens
    )
