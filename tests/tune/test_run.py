"""Questions and files in, a reader folder out, with a measurement that says what it gained."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from command_line import Ragyena

from ragyena.config import PipelineConfig, TuneConfig
from ragyena.errors import DataError, UsageError
from ragyena.eval.metrics import Estimate
from ragyena.pipeline import Pipeline
from ragyena.reader.reader import Reader
from ragyena.tune.fit import Fitted
from ragyena.tune.measure import Compared, Share
from ragyena.tune.places import Located
from ragyena.tune.questions import OwnQuestion
from ragyena.tune.run import Tuned, split_questions, tune
from ragyena.tune.sample import Sample, load_sample
from ragyena.types import Passage, Silent

TOWNS = ("Ashby", "Belmont", "Corwen", "Dunmore", "Elgin", "Fenwick", "Girvan", "Harlow")
QUICK = TuneConfig(epochs=1, rate=3e-3, averages=(0.5, 1.0), sample_tokens=256)


def write_world(folder: Path, *more: object) -> tuple[Path, Path]:
    """A folder of eight documents, and a file of 24 questions on them."""
    files = folder / "files"
    files.mkdir()
    rows: list[object] = []
    for number, town in enumerate(TOWNS):
        text = (
            f"# The bridge of {town}\n\nThe bridge of {town} was built in {1900 + number} by the engineer "
            f"{town[:3]}ina Stone.\n\nIt may {'not ' if number % 2 else ''}be crossed by lorries.\n"
        )
        (files / f"{town.lower()}.md").write_text(text, encoding="utf-8")
        rows += [
            {"question": f"When was the bridge of {town} built?", "answer": str(1900 + number)},
            {
                "question": f"Who built it in {town}?",
                "answer": f"{town[:3]}ina Stone",
                "document": f"{town.lower()}.md",
            },
            {"question": f"May lorries cross the bridge of {town}?", "answer": "no" if number % 2 else "yes"},
        ]
    questions = folder / "my.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row) for row in (*rows, *more))
    questions.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return files, questions


@pytest.fixture(scope="session")
def ragyena(tmp_path_factory: pytest.TempPathFactory) -> Ragyena:
    return Ragyena(tmp_path_factory.mktemp("home"))


@pytest.fixture
def third_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The questions of the shipped sample are most of what a run reads."""
    whole = load_sample()
    monkeypatch.setattr("ragyena.tune.run.load_sample", lambda: Sample(whole.train[::3], whole.dev[::3]))


@pytest.mark.usefixtures("third_of_the_sample")
def test_a_tuned_reader_is_a_reader_with_a_card(small_config: PipelineConfig, tmp_path: Path) -> None:
    files, questions = write_world(
        tmp_path, {"question": "Who painted the bridge of Elgin?", "answer": None}, "{no json",
        {"question": "When did it fall?", "answer": "in 1999"},
    )  # fmt: skip
    out = tmp_path / "out"
    tuned = tune(questions, out, index=None, documents=[files], settings=small_config, config=QUICK, progress=Silent())
    assert tuned.questions == 25 and [p.split(":")[0] for p in tuned.problems] == ["line 26", "line 27"]
    assert tuned.by_document and tuned.held_out and tuned.sample
    assert tuned.trained + tuned.validation + tuned.held_out.questions == 25 and tuned.held_out.questions >= 3
    assert 0 <= tuned.held_out.p <= 1 and tuned.held_out.gain.low <= tuned.held_out.gain.high
    card = (out / "README.md").read_text()
    assert "my.jsonl" in card and "the shipped sample" in card and str(tuned.held_out.questions) in card
    reader = Reader.open(small_config.reader.model_copy(update={"checkpoint": str(out)}))
    assert reader.fingerprint != Reader.open(small_config.reader).fingerprint
    from ragyena.index.index import Index

    settings = small_config.model_copy(update={"reader": reader.config})
    with Index.create(tmp_path / "index", settings=settings) as index:
        index.add([files])
        with Pipeline.open(index, settings=settings) as pipeline:
            assert pipeline.ask("When was the bridge of Elgin built?").citations
    with pytest.raises(UsageError, match="is there already"):
        tune(questions, out, index=None, documents=[files], settings=small_config, config=QUICK, progress=Silent())


def test_too_few_places_are_an_error_that_names_some(small_config: PipelineConfig, tmp_path: Path) -> None:
    files, _ = write_world(tmp_path)
    few = tmp_path / "few.jsonl"
    few.write_text('{"question": "When was the bridge of Elgin built?", "answer": "in 1777"}\n')
    with pytest.raises(DataError, match=r"0 of the questions .* 10 are needed; line 1: the answer 'in 1777'"):
        tune(few, tmp_path / "o", index=None, documents=[files], settings=small_config, config=QUICK, progress=Silent())
    assert not (tmp_path / "o").exists()


def located(number: int, document: str) -> Located:
    passage = Passage("text", 0, 4, 1, 1, None, "", (), document)
    return Located(OwnQuestion(number, f"q{number}", "span", ("text",)), (), passage, ((0, 4),))


def test_whole_documents_are_held_out_where_there_are_enough() -> None:
    config = TuneConfig()
    many = [located(n, f"/d/{n % 12}.md") for n in range(60)]
    split = split_questions(many, config, Path("my.jsonl"))
    parts = [{one.document for one in part} for part in (split.train, split.validation, split.held_out)]
    assert split.by_document and not parts[2] & (parts[0] | parts[1]) and not parts[0] & parts[1]
    assert len(split.train) + len(split.validation) + len(split.held_out) == 60 and 10 <= len(split.held_out) <= 15
    few = split_questions([located(n, f"/d/{n % 2}.md") for n in range(60)], config, Path("my.jsonl"))
    assert not few.by_document and len(few.held_out) == 12 and len(few.validation) == 7
    assert split_questions(many, config, Path("my.jsonl")) == split
    with pytest.raises(DataError, match="9 of the questions"):
        split_questions(many[:9], config, Path("my.jsonl"))


def test_the_command(ragyena: Ragyena, small_reader: Path, tmp_path: Path) -> None:
    """Lines of progress where stderr is no terminal, JSON, and errors of its own."""
    files, questions = write_world(tmp_path)
    words = ("train", "tune", "--questions", questions, "--reader", small_reader, "--set", "sample_tokens=256")
    words = (*words, "--set", "epochs=1")
    lexical = {"RAGYENA_RETRIEVER__MODE": "lexical"}
    done = ragyena(*words, "--documents", files, "--out", tmp_path / "out", "--json", environment=lexical).succeeds()
    assert "questions to train on" in done.err and "epoch 1 of 1" in done.err
    values = done.json
    assert values["questions"]["usable"] == 24 and values["training"]["tokens_per_second"] > 0
    assert values["held_out"]["right"].keys() == {"before", "after"} and values["sample"]["questions"] > 90
    assert (tmp_path / "out" / "model.safetensors").is_file()
    ragyena(*words[:-1], "epoch=1", "--documents", files).fails(2, "unknown setting 'epoch'")
    ragyena("train", "tune", "--questions", "absent.jsonl", "--index", "x").fails(3, "no questions file")
    ragyena("train", "--quiet", "nowhere").fails(3, "no recipe 'nowhere'")  # of any other word: a recipe


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_or_a_whole_reader(ragyena: Ragyena, small_reader: Path, tmp_path: Path) -> None:
    import signal

    files, questions = write_world(tmp_path)
    out = tmp_path / "out"
    command = ragyena.command(
        "train", "tune", "--questions", questions, "--documents", files, "--reader", small_reader, "--out", out,
        "--set", "epochs=500",
    )  # fmt: skip
    environment = ragyena.environment(RAGYENA_RETRIEVER__MODE="lexical")
    for wanted in ("questions to train on", "epoch 2 of 500"):
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
        )  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if wanted in line:
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 130 and "Traceback" not in err
        assert out.exists() == (wanted == "epoch 2 of 500")
    assert "interrupted" in (out / "README.md").read_text()
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "calibration.json", "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("third_of_the_sample")
def test_the_shipped_reader_gains_or_a_warning_says_that_it_does_not(tmp_path: Path) -> None:
    """Thirty questions on documents of data/real that the reader was not trained on."""
    from ragyena.data.document_questions import read_documents, write_files

    data = Path(__file__).resolve().parents[2] / "data" / "real"
    given = read_documents([str(data / "questions.jsonl.xz")], [str(data / "documents.jsonl.xz")], split="dev")
    asked = [row for row in given.questions if row.source == "software" and row.answer_type == "span"]
    chosen = list(dict.fromkeys(row.document_id for row in asked))[:6]
    files = tmp_path / "files"
    files.mkdir()
    names = {key: path.name for path, key in write_files([given.documents[key] for key in chosen], files).items()}
    rows = [row for key in chosen for row in [one for one in asked if one.document_id == key][:6]][:30]
    questions = tmp_path / "my.jsonl"
    values = ({"question": r.question, "answers": r.answers, "document": names[r.document_id]} for r in rows)
    questions.write_text("".join(json.dumps(value) + "\n" for value in values))
    settings = PipelineConfig.model_validate({"retriever": {"mode": "lexical"}, "packer": {"context_tokens": 1024}})
    tuned = tune(
        questions, tmp_path / "out", index=None, documents=[files], settings=settings, config=TuneConfig(epochs=2),
        progress=Silent(),
    )  # fmt: skip
    assert tuned.questions >= 25 and tuned.held_out and tuned.sample
    assert tuned.fitted.loss_after < tuned.fitted.loss_before or any("gained nothing" in w for w in tuned.warnings)
    gained = tuned.held_out.right.after >= tuned.held_out.right.before
    assert gained or any("held-out" in warning for warning in tuned.warnings)
    assert tuned.sample.right.after > 0.8 * tuned.sample.right.before


def test_warnings_say_what_got_worse() -> None:
    def compared(right: Share, withheld: Share) -> Compared:
        return Compared(20, 5, right, right, withheld, Estimate(0.0, -1.0, 1.0), 1.0, grouped=True)

    def warnings(held_out: Compared, sample: Compared, loss_after: float = 1.0) -> tuple[str, ...]:
        fitted = Fitted(1.0, 2.0, loss_after, 100, 1.0, interrupted=False)
        return Tuned(
            Path("out"), "small", 30, (), 20, 5, True, TuneConfig(), fitted, 1.0, held_out, sample
        ).warnings  # fmt: skip

    fine = compared(Share(0.4, 0.5), Share(0.3, 0.25))
    assert warnings(fine, fine) == ()
    assert "gained nothing" in warnings(fine, fine, loss_after=2.5)[0]
    assert "keep the reader you have" in warnings(compared(Share(0.5, 0.4), Share(0.3, 0.3)), fine)[0]
    assert "worse on other documents" in warnings(fine, compared(Share(0.5, 0.4), Share(0.3, 0.3)))[0]
    (less,) = warnings(fine, compared(Share(0.5, 0.5), Share(0.31, 0.07)))
    assert "31%" in less and "7%" in less and "--threshold" in less
