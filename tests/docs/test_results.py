"""The page of results shows the figures of the result files, and no section without files."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from fabricated import condition, write_benchmark, write_evaluation, write_log

from ragyena import recipes
from ragyena.config import TrainConfig, parse
from ragyena.errors import DataError
from ragyena.report.described import Description, load, make_described, make_summary
from ragyena.report.draw import to_svg
from ragyena.report.markdown import blocks_to_markdown, to_markdown
from ragyena.report.model import Page
from ragyena.report.write import load_page

DOCS = Path(__file__).resolve().parents[2] / "docs"
if not (DOCS / "results.yaml").is_file():
    pytest.skip("runs in a checkout", allow_module_level=True)

TRIO = {"student": 0.0, "attention": -3.5, "fid": 1.0}
AMONG = [condition("among-8", 70.0, among=8), condition("among-32", 60.0, among=32)]
VARIANTS = {"reset": 0.0, "taps": -4.5, "attention-1": 3.0, "selected": 0.5}


def description() -> Description:
    return load(DOCS / "results.yaml")


def page(results: Path) -> Page:
    return make_described(description(), results)


def text_of(made: Page) -> str:
    return to_markdown(made, pictures="plots")


def headings(made: Page) -> list[str]:
    return [section.title for section in made.sections if section.title]


def rows(text: str, start: str, after: str = "") -> list[list[str]]:
    """The cells of the rows that begin with a cell, behind a piece of text."""
    lines = [line for line in text[text.index(after) :].splitlines() if line.startswith(f"| {start} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def write_all(results: Path) -> None:
    """One of each kind of file."""
    folder = results / "2026-11-20-baselines"
    write_evaluation(folder / "squad-dev.json", TRIO, [condition("among-1", 80.0, among=1)])
    write_evaluation(folder / "squad-dev-among.json", TRIO, AMONG)
    write_evaluation(folder / "qa-dev.json", TRIO, [condition("among-8", 55.0, sources=("boolq", "tatqa"), among=8)])
    lengths = [condition(f"open-{n}", 50.0, context_tokens=n) for n in (8192, 131072)]
    write_evaluation(folder / "squad-dev-lengths.json", TRIO, lengths, contrasts=[("open-131072", "open-8192")])
    hops = [condition(f"{name}-hop-8", 50.0 - hop, among=8, hops=hop) for hop, name in ((1, "one"), (2, "two"))]
    write_evaluation(folder / "alias.json", TRIO, hops, contrasts=[("two-hop-8", "one-hop-8")])
    kinds = [condition(name, 40.0, sources=("in a", "in b")) for name in ("joint", "independent")]
    write_evaluation(folder / "hybrid.json", TRIO, kinds, contrasts=[("joint", "independent")])
    for stage in ("cloze", "teacher", "student", "reader-attention"):
        write_log(folder / f"{stage}.jsonl", **{"held-out span": 1.125})
    write_evaluation(results / "2026-11-20-boundary" / "among.json", VARIANTS, AMONG)
    write_evaluation(results / "2026-11-20-boundary" / "alias.json", VARIANTS, hops)
    write_log(results / "2026-11-20-boundary" / "taps.jsonl", **{"held-out span": 1.25})
    for name, value in (("hyena", 20.5), ("transformer", 30.25)):
        log = results / "2026-11-20-lm" / f"lm-{name}-30m.jsonl"
        write_log(log, **{"held-out loss": 3.0, "held-out perplexity": value})
    write_benchmark(results / "2026-11-20-train-lm-hyena-125m-8192-h200.json", 123_456.0)
    lengths_of_recall = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 32768, 131072)
    for task in ("associative", "induction"):
        log = results / "2026-11-20-recall-hyena" / f"recall-hyena-{task}.jsonl"
        write_log(log, **{f"held-out accuracy {n}": 0.5 if n == 32768 else 0.975 for n in lengths_of_recall})


def test_nothing_gives_no_section(tmp_path: Path) -> None:
    assert headings(page(tmp_path)) == headings(page(tmp_path / "nowhere")) == []
    (tmp_path / "2026-11-20-squad-dev.json").write_text("{}", encoding="utf-8")
    (tmp_path / "2026-11-20-baselines").mkdir()
    assert headings(page(tmp_path)) == [] and make_summary(description().summary, tmp_path / "nowhere") == []


def test_sections_stand_where_their_files_do(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-20-baselines"
    write_evaluation(folder / "squad-dev.json", TRIO, [condition("among-1", 80.0, among=1)])
    assert headings(page(tmp_path)) == ["Hyena against attention", "Speed and memory"]
    write_log(tmp_path / "2026-11-20-lm" / "lm-hyena-30m.jsonl", **{"held-out loss": 3.0, "held-out perplexity": 20.5})
    assert headings(page(tmp_path))[2:] == ["Language models"]
    write_all(tmp_path)
    made = page(tmp_path)
    assert headings(made) == [section.title for section in description().sections]
    linked = re.findall(r"plots/([\w]+)\.svg", text_of(made))
    assert set(linked) == {figures.name for figures in made.pictures()}
    assert len(linked) == len(set(linked)) == 4


def test_figures_are_those_of_the_files(tmp_path: Path) -> None:
    write_all(tmp_path)
    text = text_of(page(tmp_path))
    alone = "squad-dev, title of among-1; n 1,234"
    assert rows(text, "Hyena", alone)[0][1:] == ["80.0 (78.8–81.2)", "90.0 (88.8–91.2)", "", ""]
    assert rows(text, "attention baseline", alone)[0][1:] == [
        *("76.5▼ (75.2–77.8)", "86.5▼ (85.2–87.8)"),
        *["-3.5▼ (-4.8 to -2.2, p < 0.001)"] * 2,
    ]
    assert rows(text, "FiD baseline", alone)[0][3] == "+1.0 (-0.2 to +2.2, p 0.432)"
    cost = text[text.index("Reading in batches") :]
    assert rows(cost, "Hyena", "squad-dev, title of among-1")[0][1:] == ["5,000", "77,125", "10.00"]
    assert rows(cost, "attention baseline")[0][1:] == ["5,000", "80,654", "9.56"]
    counts = "1,234 / 99"
    assert next(row for row in rows(text, "Hyena") if counts in row)[1:] == (
        [counts, "0.876", "0.500", "0.3", "75.0%", "81.5", "62.5%"]
    )
    assert rows(text, "tatqa")[0][1:5] == ["Hyena", "1,234", "56.0 (54.8–57.2)", "66.0 (64.8–67.2)"]
    assert rows(text, "tatqa")[1][5] == "-3.5▼ (-4.8 to -2.2, p < 0.001)"
    assert rows(text, "Hyena", "Percent of the questions for which")[0][1] == "93.5 (92.2–94.8)"
    hops = "alias, title of two-hop-8 less title of one-hop-8"
    assert rows(text, "attention baseline", hops)[0][1:4] == [
        "all",
        "1,234",
        "-0.5 (-1.8 to +0.8, p 0.432)",
    ]
    whole = "hybrid, title of joint less title of independent"
    assert [row[1] for row in rows(text, "Hyena", whole)[:3]] == ["all", "in a", "in b"]
    assert rows(text, "student")[0][1:] == ["3.0M", "3", "30", "100,020", "25.0%", "1.125"]


def test_variants_are_described_and_compared_with_the_first(tmp_path: Path) -> None:
    write_all(tmp_path)
    text = text_of(page(tmp_path))
    about = {section.title: section.about for section in description().sections}[
        "Filters, passage boundaries, attention"
    ]
    assert rows(text, "taps")[0][1:3] == [about["taps"], "25.00M"]
    f1 = rows(text, "title of among-8", "| condition | n | reset | taps | attention-1 | selected |")[0]
    assert f1[2:] == ["80.0 (78.8–81.2)", "75.5▼ (74.2–76.8)", "83.0▲ (81.8–84.2)", "80.5 (79.2–81.8)"]
    assert rows(text, "taps", "**among, title of among-8; n")[0][3] == "-4.5▼ (-5.8 to -3.2, p < 0.001)"
    assert rows(text, "taps")[-1][-1] == "1.250"


def test_scores_of_several_seeds_are_averaged(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-20-boundary"
    write_evaluation(folder / "among.json", {"reset": 0.0, "taps": -4.0}, AMONG)
    assert "seeds" not in text_of(page(tmp_path))
    write_evaluation(folder / "seed-1" / "among.json", {"reset": 0.0, "taps": -1.0}, AMONG[:1])
    text = text_of(page(tmp_path))
    (reset,), (taps,) = (rows(text, name, "F1 over 2 training seeds") for name in ("reset", "taps"))
    assert len(reset) == len(taps) == 2  # the condition that both files have
    mean, low, high = map(float, re.findall(r"[\d.]+", taps[1]))
    assert low < mean < high and high - low == pytest.approx(3.0, abs=0.11)


def write_lengths(path: Path, readers: Mapping[str, float] = TRIO) -> None:
    """Hyena takes a microsecond a token, attention the square of that, FiD twice as long."""
    lengths = [condition(f"open-{n}", 50.0, context_tokens=n) for n in (4096, 16384, 131072)]
    takes = [lambda n: n / 1e6, lambda n: n * n / 8192e6, lambda n: 2 * n / 1e6]
    write_evaluation(path, readers, lengths, seconds=lambda reader, n: takes[reader](n))


def test_the_cost_of_a_question_at_each_length(tmp_path: Path) -> None:
    path = tmp_path / "squad-dev-lengths.json"
    write_lengths(path)
    made = load_page([path])
    text = to_markdown(made)
    assert rows(text, "student", "first token p50")[0][1:6] == ["4.1 ms", "4.1 ms", "4.51 ms", "1,000,000"]
    assert rows(text, "student", "kept to write")[0][1:] == ["0.12", "1.00", "2 MiB", "1 MiB", "4 MiB", "4.1"]
    text = " ".join(text.split())  # prose is wrapped
    assert "`attention` takes 0.50 times as long as `student` for a context of 4,096 tokens, 16.00 times" in text
    assert "the two cross at about 8,192 tokens (measured between 4,096 and 16,384), beyond which `student`" in text
    assert "`fid` takes 2.00 times" in text and text.count("the two cross") == 1
    (times, *_) = [chart for section in made.sections for block in section.blocks for chart in _charts(block)][2:]
    assert "cross at 8,192" in to_svg([times])
    values = json.loads(path.read_text(encoding="utf-8"))
    values["results"][1]["machine"]["gpus"] = ["Another GPU"]
    path.write_text(json.dumps(values), encoding="utf-8")
    text = " ".join(to_markdown(load_page([path])).split())
    assert "machines that differ" in text and "the two cross" not in text and "16.00 times" not in text


def _charts(block: object) -> tuple[object, ...]:
    return tuple(getattr(block, "charts", ()))


def test_the_readme_shows_the_newest_results(tmp_path: Path) -> None:
    write_all(tmp_path)
    shipped = tmp_path / "2026-11-20-reader-joins"
    write_evaluation(shipped / "squad-dev-cpu.json", {"shipped": 1.0}, [condition("among-1", 80.0, among=1)])
    summary = description().summary
    wanted = [row for row in summary.rows if row.condition in ("among-1", "open-131072") or row.benchmark]
    rest = {"shipped": ""}
    kept = [row if row.condition == "among-1" else row.model_copy(update=rest) for row in wanted]
    summary = summary.model_copy(update={"rows": tuple(kept)})
    figures = [
        {"name": f"{name}, {tokens:,} tokens: prefill", "value": tokens / 1000}
        for name in summary.benchmarked
        for tokens in (4096, 131072)
    ]
    (tmp_path / "2026-11-20-reader-h100.json").write_text(json.dumps({"figures": figures}), encoding="utf-8")
    blocks = make_summary(summary, tmp_path)
    text = "\n".join(blocks_to_markdown(blocks, "docs/plots"))
    own = rows(text, "SQuAD dev, own passage")[0]
    assert own[1:] == [
        *("1,234", "80.0 / 90.0", "76.5 / 86.5 (p < 0.001)", "81.0 / 91.0 (p 0.432)", "81.0 / 91.0"),
    ]
    assert rows(text, "time to read 131,072 tokens (H100)")[0][2:5] == ["131 ms"] * 3
    assert "docs/plots/summary.svg" in text
    assert len(blocks[-1].charts) == 2  # type: ignore[union-attr]
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec and spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    readme = f"before\n{generate.BEGIN}\nof before\n{generate.END}\nafter\n"
    new = generate.between_marks(readme, [text])
    assert "of before" not in new and text in new and new.startswith("before\n") and new.endswith("\nafter\n")
    assert generate.between_marks(new, [text]) == new
    with pytest.raises(DataError, match="not by hand"):
        generate.between_marks("no marks", [text])


def test_the_readme_has_at_most_eight_rows() -> None:
    values = description().summary.model_dump()
    with pytest.raises(ValueError, match="at most 8"):
        type(description().summary).model_validate({**values, "rows": [*values["rows"], values["rows"][0]]})


def test_models_without_questions(tmp_path: Path) -> None:
    write_all(tmp_path)
    text = text_of(page(tmp_path))
    assert rows(text, "lm-transformer-30m")[0][-2:] == ["3.0000", "30.25"]
    assert rows(text, "lm-hyena-125m")[0][1:] == ["A GPU", "8,192", "125.4M", "123,461", "123,456"]
    assert rows(text, "recall-hyena-induction")[0][-3:] == ["97.5%", "50.0%", "97.5%"]


def test_the_newest_result_is_shown(tmp_path: Path) -> None:
    write_all(tmp_path)
    newer = tmp_path / "2026-12-01-baselines"
    write_evaluation(newer / "squad-dev.json", TRIO, [condition("among-1", 20.0, among=1)])
    write_benchmark(tmp_path / "2026-12-01-train-lm-hyena-125m-8192-h200.json", 999_999.0)
    made = page(tmp_path)
    text = text_of(made)
    assert "20.0 (18.8–21.2)" in text and "Context length" not in headings(made)
    assert "Filters, passage boundaries, attention" in headings(made)
    assert [cells[-1] for cells in rows(text, "lm-hyena-125m")] == ["999,999"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    write_all(tmp_path)
    first, second = page(tmp_path), page(tmp_path)
    assert text_of(first) == text_of(second)
    for one, other in zip(first.pictures(), second.pictures(), strict=True):
        assert to_svg(one.charts) == to_svg(other.charts)


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-20-baselines"
    write_evaluation(folder / "alias.json", {**TRIO, "fourth": 0.0}, [condition("among-1", 80.0, among=1)])
    with pytest.raises(DataError, match=r"alias\.json has 4 readers, 3 labels"):
        page(tmp_path)
    (tmp_path / "page.yaml").write_text("title: T\nintroduction: x\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"page\.yaml is no description"):
        load(tmp_path / "page.yaml")


def test_names_on_the_page_are_those_of_recipes() -> None:
    # no reader, or data of whoever runs them
    elsewhere = {"beir", "quick", "squad-dev-retrieval", "your-index", "masked-among"}
    elsewhere |= {"paper"}  # its recipes have their own
    elsewhere |= {"evidence", "squad-dev-evidence", "squad2-dev", "retrieval"}  # on pages of their own
    elsewhere |= {"real", "invented", "wikitablequestions"}  # compare one reader before and after training
    sections = {section.title: section for section in description().sections}
    shown = set(sections["Hyena against attention"].recipes)
    assert shown | elsewhere == {*recipes.names("configs/eval")} and not shown & elsewhere
    values, path = recipes.load_recipe("configs/train", "boundary")
    stages = [stage.name for stage in parse(TrainConfig, values, source=str(path)).stages]
    assert stages[2:] == list(sections["Filters, passage boundaries, attention"].about)
    tasks = [name.removeprefix("*-") for name in sections["Recall"].training.logs]  # type: ignore[union-attr]
    for mixer in ("hyena", "attention", "hybrid"):
        values, _ = recipes.load_recipe("configs/train", f"recall-{mixer}")
        assert [stage["name"] for stage in values["stages"]] == tasks
