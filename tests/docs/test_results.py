"""The page of results says what the result files say, and nothing where there are none."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from fabricated import condition, write_benchmark, write_evaluation, write_log

from ragyena import recipes
from ragyena.config import TrainConfig, parse
from ragyena.errors import DataError, MissingDependencyError

DOCS = Path(__file__).resolve().parents[2] / "docs"
if not (DOCS / "results_page").is_dir():
    pytest.skip("runs in a checkout", allow_module_level=True)
sys.path.insert(0, str(DOCS))

from results_page import Page, page, summary, within  # noqa: E402
from results_page.boundary import VARIANTS  # noqa: E402
from results_page.language import TASKS  # noqa: E402
from results_page.twin import RECIPES  # noqa: E402

PAIR = {"student": 0.0, "twin": -3.5}
AMONG = [condition("among-8", 70.0, among=8), condition("among-32", 60.0, among=32)]


def headings(found: Page) -> list[str]:
    return re.findall(r"^## (.+)$", found.text, re.MULTILINE)


def rows(found: Page, start: str) -> list[list[str]]:
    """The cells of the rows that begin with a cell."""
    lines = [line for line in found.text.splitlines() if line.startswith(f"| {start} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def write_all(results: Path) -> None:
    """One of each kind of file."""
    twin = results / "2026-11-20-reader-twin"
    alone = condition("among-1", 80.0, among=1)
    write_evaluation(twin / "squad-dev.json", PAIR, [alone])
    write_evaluation(twin / "squad-dev-among-32.json", PAIR, [AMONG[1]])
    write_evaluation(twin / "qa-dev.json", PAIR, [condition("among-8", 55.0, sources=("boolq", "tatqa"), among=8)])
    lengths = [condition(f"open-{n}", 50.0, context_tokens=n) for n in (8192, 131072)]
    write_evaluation(twin / "squad-dev-open.json", PAIR, lengths, contrasts=[("open-131072", "open-8192")])
    places = [condition(f"position-{x}", 60 + x, context_tokens=4096, position=x) for x in (0.0, 0.5, 1.0)]
    write_evaluation(twin / "squad-dev-positions.json", PAIR, places, spread=True)
    hops = [condition(f"{name}-hop-8", 50.0 - hop, among=8, hops=hop) for hop, name in ((1, "one"), (2, "two"))]
    write_evaluation(twin / "alias.json", PAIR, hops, contrasts=[("two-hop-8", "one-hop-8")])
    kinds = [condition(name, 40.0, sources=("in a", "in b")) for name in ("joint", "independent")]
    write_evaluation(twin / "hybrid.json", PAIR, kinds, contrasts=[("joint", "independent")])
    for stage in ("cloze", "teacher", "student", "twin"):
        write_log(twin / f"{stage}.jsonl", **{"held-out span": 1.125})
    variants = {"reset": 0.0, "taps": -4.5, "attention-1": 3.0, "selected": 0.5}
    write_evaluation(results / "2026-11-20-boundary" / "among.json", variants, AMONG)
    write_evaluation(results / "2026-11-20-boundary" / "alias.json", variants, hops)
    write_evaluation(results / "2026-11-20-boundary" / "books.json", variants, [AMONG[1]])
    write_evaluation(results / "2026-11-20-boundary" / "hybrid.json", variants, kinds[:1])
    write_log(results / "2026-11-20-boundary" / "taps.jsonl", **{"held-out span": 1.25})
    for name, value in (("hyena", 20.5), ("transformer", 30.25)):
        log = results / "2026-11-20-lm" / f"lm-{name}-30m.jsonl"
        write_log(log, **{"held-out loss": 3.0, "held-out perplexity": value})
    write_benchmark(results / "2026-11-20-train-lm-hyena-125m-8192-h200.json", 123_456.0)
    for task in ("associative", "induction"):
        log = results / "2026-11-20-recall" / f"recall-hyena-{task}.jsonl"
        write_log(log, **{"held-out accuracy 8192": 0.975, "held-out accuracy 32768": 0.5})


def test_nothing_gives_no_page(tmp_path: Path) -> None:
    assert page(tmp_path) == page(tmp_path / "nowhere") == Page("", {})
    (tmp_path / "2026-11-20-squad-dev.json").write_text("{}", encoding="utf-8")
    (tmp_path / "2026-11-20-reader-twin").mkdir()
    assert page(tmp_path).text == ""


def test_sections_stand_where_their_files_do(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-20-reader-twin"
    write_evaluation(folder / "squad-dev.json", PAIR, [condition("among-1", 80.0, among=1)])
    assert headings(page(tmp_path)) == ["Reader and attention twin"] and not page(tmp_path).plots
    write_log(tmp_path / "2026-11-20-lm" / "lm-hyena-30m.jsonl", **{"held-out perplexity": 20.5})
    assert headings(page(tmp_path)) == ["Reader and attention twin", "Language models"]
    write_all(tmp_path)
    found = page(tmp_path)
    assert headings(found) == [
        "Reader and attention twin",
        "Accuracy and the length of the context",
        "Place of the own passage",
        "Two hops",
        "Hybrid documents",
        "Training of reader and twin",
        "Boundaries and mixers",
        "Language models",
        "Recall",
    ]
    assert set(re.findall(r"plots/([\w.]+)", found.text)) == found.plots.keys()


def test_figures_are_those_of_the_files(tmp_path: Path) -> None:
    write_all(tmp_path)
    found = page(tmp_path)
    em, f1, cost, *_ = rows(found, "`squad-dev`, title of among-1")
    assert em[1:] == ["1,234", "80.0 (78.8-81.2)", "76.5 (75.2-77.8)", "**+3.5** (+2.2 to +4.8)", "<0.001"]
    assert f1[2:4] == ["90.0 (88.8-91.2)", "86.5 (85.2-87.8)"]
    assert cost[1:] == ["5,000", "77,125", "80,654", "10.00", "9.56"]
    assert rows(found, "`squad-dev`, title of among-1 | Hyena")[0][2:] == (
        ["1,234", "99", "0.876", "0.500", "75.0%", "81.5", "62.5%"]
    )
    assert rows(found, "... tatqa")[0][2] == "56.0 (54.8-57.2)"
    assert rows(found, "8,192")[0][3:5] == ["50.0 (48.8-51.2)", "46.5 (45.2-47.8)"]
    assert rows(found, "twin | 4,096")[0][2:] == ["3", "2.5 (1.2-3.8)", "1.5 (0.2-2.8)"]
    assert rows(found, "8 | twin | all")[0][3:] == ["-0.5 (-1.8 to +0.8)", "0.432"] * 2
    assert rows(found, "8 | Hyena | 1,234")[0][3:5] == ["49.0 (47.8-50.2)", "48.0 (46.8-49.2)"]
    assert rows(found, "Hyena | in b")[0][2:5] == ["1,234", "41.0 (39.8-42.2)", "41.0 (39.8-42.2)"]
    assert rows(found, "student")[0][1:] == ["3.0M", "3", "30", "100,020", "25.0%", "1.125"]


def test_boundary_scores_of_several_seeds_are_averaged(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-20-boundary"
    write_evaluation(folder / "among.json", {"reset": 0.0, "taps": -4.0}, AMONG)
    assert "seeds" not in page(tmp_path).text
    write_evaluation(folder / "seed-1" / "among.json", {"reset": 0.0, "taps": -1.0}, AMONG[:1])
    text = page(tmp_path).text
    after = text[text.index("F1 over 2 seeds") :]
    (reset,), (taps,) = (re.findall(rf"^\| `{name}` \|(.+)\|$", after, re.MULTILINE)[:1] for name in ("reset", "taps"))
    assert reset.count("(") == taps.count("(") == 1  # the condition that both files have
    mean, low, high = map(float, re.findall(r"[\d.]+", taps))
    assert low < mean < high and high - low == pytest.approx(3.0, abs=0.11)


def test_boundary_marks_are_of_paired_differences(tmp_path: Path) -> None:
    write_all(tmp_path)
    found = page(tmp_path)
    shown = {name: rows(found, f"`{name}`") for name in ("reset", "taps", "attention-1", "selected")}
    assert shown["reset"][0][1:6] == [VARIANTS["reset"], "25.00M", "70.0 / 80.0", "60.0 / 70.0", "58.0"]
    assert shown["reset"][0][6:8] == ["70.0", "50.0"]  # books, then hybrid documents
    assert shown["taps"][0][3:] == ["65.5▼ / 75.5▼", "55.5▼ / 65.5▼", "53.5▼", "65.5▼", "45.5▼", "111,171", "6.94"]
    assert shown["attention-1"][0][3:6] == ["73.0▲ / 83.0▲", "63.0▲ / 73.0▲", "61.0▲"]
    assert shown["selected"][0][3:6] == ["70.5 / 80.5", "60.5 / 70.5", "58.5"]
    assert shown["reset"][1][1] == "80.0 (78.8-81.2)"
    assert shown["taps"][1][1] == "**-4.5** (-5.8 to -3.2), p <0.001"
    assert rows(found, "taps")[0][-1] == "1.250"


TRIO = {"student": 0.0, "twin": -3.5, "local-twin": 1.0}


def write_lengths(path: Path, readers: Mapping[str, float] = TRIO) -> None:
    """Hyena takes a microsecond a token, the twin grows with the square, the local twin takes twice as long."""
    lengths = [condition(f"open-{n}", 50.0, context_tokens=n) for n in (4096, 16384, 131072)]
    takes = [lambda n: n / 1e6, lambda n: n * n / 8192e6, lambda n: 2 * n / 1e6]
    write_evaluation(path, readers, lengths, seconds=lambda reader, n: takes[reader](n))


def test_a_third_reader_has_its_columns(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-20-reader-twin"
    write_evaluation(folder / "squad-dev.json", TRIO, [condition("among-1", 80.0, among=1)])
    write_evaluation(folder / "qa-dev.json", PAIR, [condition("among-8", 55.0, sources=("boolq", "tatqa"), among=8)])
    write_evaluation(folder / "squad-dev-among.json", TRIO, AMONG)
    write_lengths(folder / "squad-dev-lengths.json")
    found = page(tmp_path)
    assert "| questions | n | Hyena EM | twin EM | local twin EM | less twin | p | less local twin | p |" in found.text
    em, _, cost, *_ = rows(found, "`squad-dev`, title of among-1")
    assert em[2:5] == ["80.0 (78.8-81.2)", "76.5 (75.2-77.8)", "81.0 (79.8-82.2)"]
    assert em[5:] == ["**+3.5** (+2.2 to +4.8)", "<0.001", "-1.0 (-2.2 to +0.2)", "0.432"]
    assert cost[2:] == ["77,125", "80,654", "76,173", "10.00", "9.56", "10.12"]
    two = rows(found, "`qa-dev`, title of among-8")[0]
    assert two[2:5] == ["55.0 (53.8-56.2)", "51.5 (50.2-52.8)", ""] and two[7:] == ["", ""]
    assert len(rows(found, "... tatqa")) == 2
    assert rows(found, "16,384")[0][3:6] == ["50.0 (48.8-51.2)", "46.5 (45.2-47.8)", "51.0 (49.8-52.2)"]
    assert "lengths.svg" in found.plots and [one[1] for one in rows(found, "local twin | `local-twin`")] == [
        "`local-twin`"
    ]


def test_what_a_question_costs_at_each_length(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-20-reader-twin"
    write_lengths(folder / "squad-dev-lengths.json")
    found = page(tmp_path)
    assert headings(found)[-1] == "What a question costs"
    assert rows(found, "4,096 | Hyena")[0][2:] == (
        ["20", "4.1 ms", "4.51 ms", "1,000,000", "0.12", "2 MiB", "4 MiB", "4.10"]
    )
    assert rows(found, "131,072 | local twin")[0][3] == "262 ms"
    text = " ".join(found.text.split())
    assert "The twin takes 0.50 times as long as Hyena to the first token at 4,096 tokens, 16.00 times at" in text
    assert "they cross at about 8,192 tokens (between the measured 4,096 and 16,384), beyond which Hyena is" in text
    assert "The local twin takes 2.00 times" in text and text.count("they cross") == 1
    found.plots["cost.svg"](tmp_path / "cost.svg")
    assert "8,192" in (tmp_path / "cost.svg").read_text(encoding="utf-8")
    values = json.loads((folder / "squad-dev-lengths.json").read_text(encoding="utf-8"))
    values["results"][1]["machine"]["gpus"] = ["Another GPU"]
    (folder / "squad-dev-lengths.json").write_text(json.dumps(values), encoding="utf-8")
    text = page(tmp_path).text
    assert "machines that differ" in text and "they cross" not in text and "16.00 times" not in text


def test_the_readme_shows_the_newest_results(tmp_path: Path) -> None:
    assert summary(tmp_path) == ("", {})
    write_all(tmp_path)
    folder = tmp_path / "2026-11-20-reader-twin"

    def shown(start: str) -> list[list[str]]:
        return rows(Page(summary(tmp_path)[0], {}), start)

    own = shown("SQuAD dev: title of among-1")[0]
    assert own[1:] == ["1,234", "80.0 / 90.0", "76.5 / 86.5 (p < 0.001)", "`ragyena eval squad-dev`"]
    assert shown("... unanswerable questions told from answerable ones, AUROC")[0][1:4] == ["1,333", "0.50", "0.50"]
    assert shown("an alias that another passage explains: title of two-hop-8")[0][2] == "48.0 / 58.0"
    assert shown("SQuAD dev, the own passage at 3 places of 4,096 tokens, greatest less least")[0][2] == "2.5 / 1.5"
    assert not shown("an alias that another passage explains: title of one-hop-8")
    write_lengths(folder / "squad-dev-lengths.json")
    text, plots = summary(tmp_path)
    assert "local twin EM / F1" in text and "squad-dev-open" not in text  # which asks less
    assert shown("131,072")[0][1:] == ["131 ms / 144 ms", "2.1 s / 2.31 s", "262 ms / 288 ms"]
    assert "crosses" not in text and "beyond which Hyena" in " ".join(text.split())
    assert set(re.findall(r"plots/([\w.]+)", text)) == plots.keys() == {"summary.svg"}
    plots["summary.svg"](tmp_path / "summary.svg")
    readme = "before\n<!-- results: made by `make docs`, not by hand -->\nof before\n<!-- end of results -->\nafter\n"
    new = within(readme, text)
    assert "of before" not in new and text in new and new.startswith("before\n") and new.endswith("\nafter\n")
    assert within(new, text) == new
    with pytest.raises(DataError, match="not by hand"):
        within("no marks", text)


def test_models_without_questions(tmp_path: Path) -> None:
    write_all(tmp_path)
    found = page(tmp_path)
    assert rows(found, "lm-transformer-30m")[0][-2:] == ["3.0000", "30.25"]
    assert rows(found, "`lm-hyena-125m`")[0][1:] == ["A GPU", "8,192", "125.4M", "123,461", "123,456"]
    assert rows(found, "induction")[0][1:] == ["hyena", "3M", "97.5", "50.0"]


def test_the_newest_counts(tmp_path: Path) -> None:
    write_all(tmp_path)
    write_evaluation(
        tmp_path / "2026-12-01-reader-twin" / "squad-dev.json", PAIR, [condition("among-1", 20.0, among=1)]
    )
    write_benchmark(tmp_path / "2026-12-01-train-lm-hyena-125m-8192-h200.json", 999_999.0)
    found = page(tmp_path)
    assert "`2026-12-01-reader-twin`" in found.text and "`2026-11-20-reader-twin`" not in found.text
    assert "Two hops" not in headings(found) and "Boundaries and mixers" in headings(found)
    assert [cells[-1] for cells in rows(found, "`lm-hyena-125m`")] == ["999,999"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    write_all(tmp_path)
    first, second = page(tmp_path), page(tmp_path)
    assert first.text == second.text
    for name, draw in first.plots.items():
        draw(tmp_path / "first" / name)
        second.plots[name](tmp_path / "second" / name)
        drawn = (tmp_path / "first" / name).read_bytes()
        assert drawn.startswith(b"<?xml") and drawn == (tmp_path / "second" / name).read_bytes(), name


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-20-reader-twin"
    write_evaluation(folder / "alias.json", {"alone": 0.0}, [])
    with pytest.raises(DataError, match=r"alias\.json is not the result of 2 or 3 readers"):
        page(tmp_path)
    (folder / "alias.json").unlink()
    write_log(folder / "student.jsonl", **{"held-out span": 1.0})
    text = (folder / "student.jsonl").read_text(encoding="utf-8")
    (folder / "student.jsonl").write_text(text + text, encoding="utf-8")
    with pytest.raises(DataError, match="logs of several stages"):
        page(tmp_path)


def test_without_matplotlib_the_plots_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = page(tmp_path)
    with pytest.raises(MissingDependencyError, match="matplotlib"):
        found.plots["boundary.svg"](tmp_path / "boundary.svg")


def test_what_the_page_names_is_in_the_recipes() -> None:
    # no reader, or data of whoever runs them
    elsewhere = {"beir", "quick", "squad-dev-retrieval", "your-index", "masked-among"}
    elsewhere |= {"paper"}  # its recipes have their own
    assert {*RECIPES} | elsewhere == {*recipes.names("configs/eval")} and not {*RECIPES} & elsewhere
    values, path = recipes.load_recipe("configs/train", "boundary")
    stages = [stage.name for stage in parse(TrainConfig, values, source=str(path)).stages]
    assert stages[2:] == list(VARIANTS)
    for mixer in ("hyena", "attention", "hybrid"):
        values, _ = recipes.load_recipe("configs/train", f"recall-{mixer}")
        assert tuple(stage["name"] for stage in values["stages"]) == TASKS
