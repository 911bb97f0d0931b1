"""Reports of small evaluations show every part of the results, and nothing that was not measured."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from command_line import Ragyena
from small_world import save_small_reader

from ragyena.config import EvalConfig, PipelineConfig, RetrieverConfig, parse
from ragyena.errors import DataError, PathNotFoundError
from ragyena.eval.compare import compare, write_together
from ragyena.eval.metrics import risk_coverage
from ragyena.eval.reading import evaluate_reader
from ragyena.eval.recipe import Setup
from ragyena.report.markdown import to_markdown
from ragyena.report.model import Bullets, Page, Section, Text
from ragyena.report.numbers import duration, p_value
from ragyena.report.write import report

pytestmark = pytest.mark.xdist_group("report")  # one worker makes the results
TOWNS = ["Oldtown", "Seaford", "Milbrook", "Ashby", "Dunmore", "Kelso", "Lorne", "Wexley", "Harrow", "Tynebridge"]
FILLER = "The weather was fine and the road was long, as it is in that part of the country. " * 3
TASKS: dict[str, dict[str, Any]] = {
    "open": {"task": "open", "context_tokens": [300, 700, 1500], "timed": 3},
    "positions": {"task": "positions", "context_tokens": [400, 900], "positions": [0, 1]},
    "alone": {"among": [1], "unanswerable": ["unanswerable.jsonl"]},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, small_config: PipelineConfig) -> Path:
    """A folder for each task with the results of two readers."""
    data = tmp_path_factory.mktemp("data")
    rows: dict[str, list[dict[str, Any]]] = {"passages": [], "questions": [], "unanswerable": []}
    for i, town in enumerate(TOWNS):
        text = f"{FILLER} The bridge of {town} was built in {1900 + i}. It has arches."
        rows["passages"].append({"id": f"p{i}", "title": f"Bridge {i}", "context": text})
        question = f"When was the <b>bridge</b> of {town} | built?"
        row = {"id": f"q{i}", "source": "bridges", "passage_id": f"p{i}", "question": question}
        rows["questions"].append({**row, "answers": [str(1900 + i)]})
        rows["unanswerable"].append({"id": f"u{i}", "passage_id": f"p{i}", "question": "Who paid for it?"})
    for name, lines in rows.items():
        (data / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    folder = tmp_path_factory.mktemp("results")
    for name, values in TASKS.items():
        config = parse(
            EvalConfig,
            {"questions": ["questions.jsonl"], "passages": ["passages.jsonl"], "resamples": 200, **values},
            source="test",
        )
        for seed, reader in enumerate(("one", "two")):
            checkpoint = str(save_small_reader(folder / reader, seed))
            settings = small_config.model_copy(
                update={
                    "retriever": RetrieverConfig(mode="dense"),
                    "reader": small_config.reader.model_copy(update={"checkpoint": checkpoint}),
                }
            )
            evaluate_reader(Setup(config, settings, name, data, folder / name, folder / "index"))
    return folder


@pytest.fixture(scope="module")
def written(results: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """The page and the Markdown of each task's results as they are."""
    return {task: report([results / task], tmp_path_factory.mktemp(task)) for task in TASKS}


@pytest.fixture
def folder(results: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the results of a task, to be changed."""

    def copy(task: str) -> Path:
        return Path(shutil.copytree(results / task, tmp_path / task))

    return copy


def changed(folder: Path, pattern: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Rewrites result files, or the rows of answers."""
    for path in folder.glob(pattern):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines()]
            for row in rows:
                change(row)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        else:
            values = json.loads(text)
            change(values)
            path.write_text(json.dumps(values), encoding="utf-8")


class Outline(HTMLParser):
    """Headings, text, and everything that a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.text: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self._heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._heading = tag in ("h2", "h3") and "article" not in self.tags[-2:]
        self.fetched += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "data", "onload")]

    def handle_data(self, data: str) -> None:
        if self._heading:
            self.headings.append(data)
            self._heading = False
        self.text.append(data)


def read(path: Path) -> tuple[Outline, str]:
    html = path.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(html)
    return outline, html


def unwrapped(markdown: str) -> str:
    """Each paragraph on one line."""
    return " ".join(markdown.split())


def test_the_page_is_one_file_that_fetches_and_runs_nothing(written: dict[str, tuple[Path, Path]]) -> None:
    for page, _ in written.values():
        outline, html = read(page)
        assert outline.fetched == [] and not {"script", "link", "iframe", "img"} & set(outline.tags)
        assert "url(" not in html and "@import" not in html and "http" not in html
        assert 'name="viewport"' in html and "prefers-color-scheme: dark" in html and "@media print" in html


def test_sections_have_a_fixed_order_and_appear_only_with_data(written: dict[str, tuple[Path, Path]]) -> None:
    measured = "How it was measured"
    wanted = {
        "open": [
            *("Verdict", "Accuracy and the length of the context", "Conditions compared", "Cost", "Confidence"),
            *("What was read", "Examples", measured),
        ],
        "positions": [
            *("Verdict", "Cost", "The position of the own passage", "Position and length", "Confidence"),
            *("What was read", "Examples", measured),
        ],
        "alone": ["Verdict", "Cost", "Confidence", "Examples", measured],
    }
    for task, headings in wanted.items():
        page, markdown = written[task]
        outline, _ = read(page)
        assert [
            heading for heading in outline.headings if "bridge" not in heading and "paid" not in heading
        ] == headings
        lines = markdown.read_text(encoding="utf-8").splitlines()
        assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == headings


def test_figures_are_those_of_the_results(results: Path, written: dict[str, tuple[Path, Path]]) -> None:
    page, markdown = written["open"]
    text, plain = " ".join(read(page)[0].text), markdown.read_text(encoding="utf-8")
    for path in (results / "open").glob("*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        assert result["reader"]["fingerprint"][:16] in text and result["hashes"]["answers"][:16] in text
        for condition in result["conditions"]:
            f1, latency = condition["whole"]["f1"], condition["latency"]
            assert f"{f1['mean']:.1f}" in text and f"{f1['low']:.1f}–{f1['high']:.1f}" in text
            assert f"{f1['mean']:.1f} ({f1['low']:.1f}–{f1['high']:.1f})" in plain
            assert duration(latency["p50"]) in plain and latency["p95"] is None
            assert f"{condition['risk_coverage']['aurc']:.3f}" in plain


def test_the_parts_of_a_question_are_shown_where_they_were_timed(
    results: Path, written: dict[str, tuple[Path, Path]]
) -> None:
    text = written["open"][1].read_text(encoding="utf-8")
    assert "| reader | retrieve | pack | inputs | encode | extract | first token p50 | tokens/s alone |" in text
    assert "attention would keep" in text
    assert "Energy was not measured: energy is read from NVIDIA GPUs alone" in unwrapped(text)
    (path,) = (results / "open").glob("*-one-*.json")
    for condition in json.loads(path.read_text(encoding="utf-8"))["conditions"]:
        parts, first = condition["cost"]["parts"], condition["cost"]["first_token"]
        assert list(parts) == ["retrieve", "pack", "inputs", "encode", "extract"] and parts["pack"]["n"] == 3
        assert first["mean"] == pytest.approx(sum(parts[p]["mean"] for p in ("inputs", "encode", "extract")))
        assert first["mean"] <= condition["latency"]["mean"]
    assert "retrieve" not in written["alone"][1].read_text(encoding="utf-8").split("## Examples")[0]


def test_measures_that_were_not_taken_have_no_column(written: dict[str, tuple[Path, Path]]) -> None:
    """Only the recipe "open" times readings, and too few for a p95."""
    for task, (page, markdown) in written.items():
        for text in (markdown.read_text(encoding="utf-8"), " ".join(read(page)[0].text)):
            assert ("p50" in text) == (task == "open") and "p99 |" not in text and "GPU GiB" not in text
        tables = re.findall(r"(?:^\|.*\n)+", markdown.read_text(encoding="utf-8"), re.MULTILINE)
        for table in tables:
            lines = [line.strip("|").split("|") for line in table.splitlines()]
            body = [cells for cells in lines[2:] if any(cell.strip() for cell in cells[1:])]
            assert all(any(cells[place].strip() for cells in body) for place in range(len(lines[0]))), table


def test_prose_of_the_markdown_is_wrapped() -> None:
    prose = "a paragraph with a [link](https://example.org) and `code` " * 5
    page = Page("t", "", [Section("s", [Text(prose), Bullets([prose])])])
    lines = to_markdown(page).splitlines()
    assert max(map(len, lines)) <= 120 and " ".join(" ".join(lines).split()).count(prose.strip()) == 2
    assert len([line for line in lines if line.startswith("- ")]) == 1 and lines[-1].startswith("  ")


def test_p_values_are_short() -> None:
    assert [p_value(p) for p in (0.0, 0.0014, 0.05, 0.9994, 0.9996, 1.0)] == [
        *("< 0.001", "0.001", "0.050", "0.999", "1", "1"),
    ]


def test_questions_and_answers_are_text(written: dict[str, tuple[Path, Path]]) -> None:
    page, markdown = written["open"]
    _, html = read(page)
    assert "<b>bridge</b>" not in html and "&lt;b&gt;bridge&lt;/b&gt;" in html
    assert r"\<b\>bridge\</b\>" in markdown.read_text(encoding="utf-8")


def test_a_significantly_better_reader_is_marked(folder: Any, tmp_path: Path) -> None:
    place = folder("open")
    first, second = sorted(place.glob("*.answers.jsonl"), key=lambda path: "-one-" not in path.name)
    for path, em in ((first, 0.0), (second, 1.0)):
        changed(place, path.name, lambda row, em=em: row.update(em=em, f1=em))
    page, markdown = report([place], tmp_path / "out")
    text = markdown.read_text(encoding="utf-8")
    assert "`two` against `one`, by F1 under 3 conditions: better in 3, worse in 0" in text
    assert (
        text.count("+100.0▲ (+100.0 to +100.0, p 0.002, Holm 0.012)") == 6
        and "▼" not in text.partition("Scores are percent")[0]
    )
    assert "two right" in text and "all right" not in text
    assert 'class="up"' in read(page)[1]
    only_two = next(place.glob("*-two-*.json"))
    other = next(path for path in place.glob("*-one-*.json"))
    _, markdown = report([only_two, other], tmp_path / "turned")
    assert "`one` against `two`, by F1 under 3 conditions: better in 0, worse in 3" in markdown.read_text("utf-8")


def test_the_length_at_which_a_reader_becomes_the_faster_is_shown(folder: Any, tmp_path: Path) -> None:
    """Constructed times, one linear and one quadratic in the length; equal at 1,000 tokens."""
    place = folder("open")
    for reader, power in (("one", 2), ("two", 1)):

        def slow(result: dict[str, Any], power: int = power) -> None:
            for condition, tokens in zip(result["conditions"], (500.0, 800.0, 1250.0), strict=True):
                seconds = (tokens / 1000) ** power
                condition["latency"] |= {"tokens": tokens, "p50": seconds, "p95": None}

        changed(place, f"*-{reader}-*.json", slow)
    page, markdown = report([place], tmp_path / "out")
    said = (
        "`two` takes 2.00 times as long as `one` for a context of 500 tokens, 0.80 times as long for one of 1,250 "
        "(medians); the two cross at about 1,000 tokens (measured between 800 and 1,250), beyond which `two` is faster."
    )
    assert said in unwrapped(markdown.read_text(encoding="utf-8")) and "cross at 1,000" in read(page)[1]
    changed(place, "*-two-*.json", lambda result: result["machine"].update(processor="Another one"))
    page, markdown = report([place], tmp_path / "out")
    text = unwrapped(markdown.read_text(encoding="utf-8"))
    assert "ran on machines that differ" in text and "cross at" not in text + read(page)[1]


def test_several_readers_in_one_file_are_all_shown_in_their_order(folder: Any, tmp_path: Path) -> None:
    place = folder("alone")
    one, two = next(place.glob("*-one-*.json")), next(place.glob("*-two-*.json"))
    write_together([two, one], [compare(two, one)], place / "both-2-readers.json")
    for paths in ([place / "both-2-readers.json"], [place]):
        text = report(paths, tmp_path / "out")[1].read_text(encoding="utf-8")
        assert "two and one; " in text and "`one` is not shown to differ from `two`" in text


def test_files_from_before_the_schema_are_read(folder: Any, tmp_path: Path) -> None:
    place = folder("alone")

    def age(values: dict[str, Any]) -> None:
        for name in ("schema", "hashes", "reading"):
            del values[name]
        for condition in values["conditions"]:
            for name in ("latency", "risk_coverage", "peak_resident_gib"):
                del condition[name]

    changed(place, "*.json", age)
    changed(place, "*.answers.jsonl", lambda row: row.update(em=1.0) if row["question_id"] in ("q1", "q2") else None)
    with_evidence = report([place], tmp_path / "new")[1].read_text(encoding="utf-8")
    new = ("evidence", "passages", "tokens", "seconds", "own_first", "own_packed", "answer_packed", "problem")
    changed(place, "*.answers.jsonl", lambda row: [row.pop(name) for name in new])
    text = report([place], tmp_path / "old")[1].read_text(encoding="utf-8")
    assert "## Confidence" in text and "## Examples" in text and "“" in with_evidence and "“" not in text
    for reader in ("one", "two"):
        (path,) = place.glob(f"*-{reader}-*.answers.jsonl")
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        curve = risk_coverage([row["confidence"] for row in rows], [row.get("em", 0.0) for row in rows])
        assert f"| {reader} | 20 | {curve.aurc:.3f} |" in text and curve.aurc < 1


def test_without_answers_beside_it_a_result_has_its_figures_alone(folder: Any, tmp_path: Path) -> None:
    place = folder("open")
    for path in place.glob("*.answers.jsonl"):
        path.unlink()
    outline, html = read(report([place], tmp_path / "out")[0])
    assert "Examples" not in outline.headings and "Verdict" in outline.headings and 'class="up"' not in html
    assert "two: no differences: there are no answers" in html


def test_two_runs_of_one_reader_have_distinct_names_and_recipes_share_a_page(
    results: Path, folder: Any, tmp_path: Path
) -> None:
    again = folder("open")
    for path in again.glob("*-two-*"):
        path.unlink()
    (tmp_path / "again").mkdir()
    again = again.rename(tmp_path / "again" / "later")
    _, markdown = report([results / "open", again, results / "alone"], tmp_path / "out")
    text = markdown.read_text(encoding="utf-8")
    assert re.search(r"\| one \([0-9a-f]{8}\) \(later\)", text) and re.search(r"\| one \([0-9a-f]{8}\) \(open\)", text)
    assert "## open: Verdict" in text and "## alone: Verdict" in text


def test_of_one_readers_runs_the_newest_counts(folder: Any, tmp_path: Path) -> None:
    place = folder("alone")
    newest = next(place.glob("*-one-*.json"))
    old = json.loads(newest.read_text(encoding="utf-8")) | {"date": "2001-01-01"}
    (place / "zz-old.json").write_text(json.dumps(old), encoding="utf-8")
    text = report([place], tmp_path / "out")[1].read_text(encoding="utf-8")
    assert "2001-01-01" not in text and newest.name in text.replace("\\", "")


def test_a_file_that_is_no_result_is_named(results: Path, tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match=r"none\.json"):
        report([tmp_path / "none.json"], tmp_path)
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(DataError, match="holds no result"):
        report([tmp_path], tmp_path)
    with pytest.raises(DataError, match="no JSON object"):
        report([tmp_path / "list.json"], tmp_path)
    (tmp_path / "x.json").write_text('{"recipe": "r"}', encoding="utf-8")
    with pytest.raises(DataError, match="it lacks answers"):
        report([tmp_path / "x.json"], tmp_path)
    old = json.loads(next((results / "alone").glob("*-one-*.json")).read_text(encoding="utf-8"))
    del old["conditions"][0]["title"]
    (tmp_path / "x.json").write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(DataError, match="a condition lacks title"):
        report([tmp_path / "x.json"], tmp_path)


def test_the_command(folder: Any, tmp_path: Path) -> None:
    place = folder("alone")
    ragyena = Ragyena(tmp_path)
    done = ragyena("report", "alone").succeeds()
    assert done.out.splitlines() == ["alone/report.html", "alone/report.md"] and (place / "report.html").is_file()
    first, second = sorted(map(str, place.glob("*-alone-*.json")))
    compared = ragyena("report", first, second)
    assert compared.code == 0 and not (tmp_path / "report.md").exists()
    assert re.search(r"\| two \| .*[+-]\d\S* \(\S+ to \S+, p \S+, Holm \S+\)", compared.out)
    summary = ragyena("report", first, "--summary", "small")
    assert summary.code == 0 and summary.out.strip() == f"small/{Path(first).name}"
    unclear = ragyena("report", "alone", "alone")
    assert unclear.code == 2 and "--out" in unclear.err
    for old, new in (("eval-compare", "report A.json B.json"), ("plot-training", "report RUN_FOLDER")):
        gone = ragyena(old, first)
        assert gone.code == 2 and new in gone.err
    ragyena("report", "nowhere").fails(3, "nowhere")
