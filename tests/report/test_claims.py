"""The page of claims: its tables recomputed from logs, with seeds and intervals; what no log shows is not measured."""

from __future__ import annotations

import json
import math
import re
import statistics
from dataclasses import asdict
from pathlib import Path

import pytest
from fabricated import condition, write_evaluation, write_log

from ragyena import recipes
from ragyena.bench.figures import Benchmark, Figure
from ragyena.errors import DataError
from ragyena.report.claims import Claims, load_claims, make_claims
from ragyena.report.markdown import to_markdown
from ragyena.report.summary import summarize

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "docs" / "claims.yaml").is_file():
    pytest.skip("runs in a checkout", allow_module_level=True)
COMMITTED = ROOT / "benchmarks" / "results"
VARIANTS = {"paper-attention": 4.0, "paper-hyena": 4.1, "muon-hyena": 3.9}


def claims() -> Claims:
    return load_claims(ROOT / "docs" / "claims.yaml")


def page(results: Path) -> str:
    return to_markdown(make_claims(claims(), results))


def rows(text: str, start: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"[+-]?\d+\.\d+", cell)]


def test_without_results_every_table_says_so(tmp_path: Path) -> None:
    text = page(tmp_path)
    tables = sum(len(claim.tables) for claim in claims().claims)
    assert text.count("Not measured yet:") == tables and "\n|" not in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {claim.title}" for claim in claims().claims
    ]


def write_sweep(results: Path, seeds: int) -> None:
    for seed in range(seeds):
        folder = results / "2026-12-01-claims-lm" / (f"seed-{seed}" if seed else "")
        for number, (name, loss) in enumerate(VARIANTS.items()):
            loss += 0.01 * seed + 0.002 * number * seed
            write_log(folder / f"{name}.jsonl", **{"held-out loss": loss, "held-out perplexity": math.exp(loss)})


def test_a_sweep_over_seeds(tmp_path: Path) -> None:
    write_sweep(tmp_path, 3)
    summary = {"date": "2026-12-01", "machine": "NVIDIA H200", "stages": []}
    (tmp_path / "2026-12-01-claims-lm" / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    text = page(tmp_path)
    assert "Measured on NVIDIA H200." in text
    (own,) = rows(text, "paper-hyena")
    losses = [4.1 + 0.012 * seed for seed in range(3)]
    mean, low, high = numbers(own[5])
    perplexities = [math.exp(loss) for loss in losses]
    assert own[2:5] == ["3", "3.0M", "3"] and mean == pytest.approx(statistics.mean(perplexities), abs=0.005)
    half = 4.303 * statistics.stdev(perplexities) / math.sqrt(3)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.011)
    assert numbers(own[6])[0] == pytest.approx(0.1 + 0.002, abs=5e-5)  # paired: the part that seeds share is gone
    assert numbers(own[6])[2] - numbers(own[6])[1] == pytest.approx(2 * 4.303 * 0.002 / math.sqrt(3), abs=2e-4)
    assert rows(text, "paper-attention")[0][6] == ""
    assert rows(text, "paper-hyena-order-3")[0][5] == "not measured yet"
    assert len(rows(text, "muon-hyena")) == 2  # of (a) and of the hybrids of (e)
    assert rows(text, "muon-one-attention")[0][5] == "not measured yet"


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    write_sweep(tmp_path, 1)
    (own,) = rows(page(tmp_path), "paper-hyena")
    assert own[2] == "1" and own[5] == f"{math.exp(4.1):.2f}" and own[6] == "+0.1000"


def test_a_trained_sweep_becomes_results(tmp_path: Path) -> None:
    """The folder of a run with seeds, as ``ragyena train --seeds`` writes it, through ``report --summary``."""
    run = tmp_path / "run"
    for place in (run, run / "seed-1"):
        write_log(place / "paper-hyena" / "log.jsonl", **{"held-out loss": 4.0, "held-out perplexity": 54.6})
        (place / "summary.json").write_text(json.dumps({"machine": "NVIDIA H200", "stages": []}), encoding="utf-8")
    summarize([run], tmp_path / "2026-12-01-claims-lm")
    text = page(tmp_path)
    assert rows(text, "paper-hyena")[0][2] == "2" and "Measured on NVIDIA H200." in text


def test_curves_at_equal_tokens_and_flops() -> None:
    """The committed training of 30 million parameters, read here anew."""
    own, other = (
        [row for row in map(json.loads, (COMMITTED / "2026-11-27-lm" / f"{name}.jsonl").open()) if "held_out" in row]
        for name in ("lm-hyena-30m", "lm-transformer-30m")
    )
    text = page(COMMITTED)
    table = text[text.index("**lm-hyena-30m, baseline lm-transformer-30m**") :]
    for row, same in zip(own, other, strict=True):
        (cells, *_) = rows(table, f"{row['tokens'] / 1e6:,.1f}M")
        perplexity, baseline = (each["held_out"]["held-out perplexity"] for each in (row, same))
        assert numbers(cells[1]) == [pytest.approx(perplexity, abs=0.005)]
        assert numbers(cells[2]) == [pytest.approx(baseline, abs=0.005)]
        assert numbers(cells[3]) == [pytest.approx(perplexity / baseline, abs=0.0005)]
        before = [each for each in other if each["flops"] <= row["flops"]]
        if before:
            left, right = before[-1], other[len(before)]
            share = math.log(row["flops"] / left["flops"]) / math.log(right["flops"] / left["flops"])
            ends = [each["held_out"]["held-out loss"] for each in (left, right)]
            assert numbers(cells[4]) == [pytest.approx(math.exp(ends[0] + share * (ends[1] - ends[0])), abs=0.005)]
        else:
            assert cells[4] == cells[5] == ""


def test_the_committed_page_is_that_of_the_committed_results() -> None:
    assert page(COMMITTED) == (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")


def test_times_against_the_fastest_attention(tmp_path: Path) -> None:
    size = "causal, 8,192 x 768, batch 1"
    times = {"forward": 0.5, "cudnn-64 forward": 3.0, "flash-128 forward": 2.0, "forward + backward": 2.0}
    figures = tuple(Figure(f"{size}: {name}", value, "ms") for name, value in times.items())
    figures += (Figure("causal, 8,192 x 256, batch 1: forward", 0.1, "ms"), Figure("copy bandwidth", 4.1, "TB/s"))
    result = Benchmark("operator-h200", "2026-12-01", figures, {"device": "NVIDIA H200"}, {})
    (tmp_path / "2026-12-01-operator-h200.json").write_text(json.dumps(asdict(result)), encoding="utf-8")
    text = page(tmp_path)
    assert "**causal, NVIDIA H200, 2026-12-01**" in text and "Measured on NVIDIA H200." in text
    (row,) = rows(text, "8,192")
    assert row[1:6] == ["768", "0.500", "2.000 (flash, heads of 128)", "4.0", "2.000"]


def test_recall_by_length_and_seed(tmp_path: Path) -> None:
    folder = tmp_path / "2026-12-01-recall-hyena"
    write_log(folder / "recall-hyena-induction.jsonl", **{"held-out accuracy 64": 1.0, "held-out accuracy 4096": 0.5})
    write_log(folder / "seed-1" / "induction.jsonl", **{"held-out accuracy 64": 1.0, "held-out accuracy 4096": 0.7})
    text = page(tmp_path)
    induction = rows(text[text.index("**induction, long sequences**") :], "recall-hyena")[0]
    assert induction[1] == "2" and numbers(induction[3])[0] == 60.0
    assert "not measured yet" in rows(text, "recall-hyena")[0]


def test_recall_at_the_best_of_the_rates_tried(tmp_path: Path) -> None:
    folder = tmp_path / "2026-12-01-claims-recall"
    for place in (folder, folder / "seed-1"):
        for rate, right in (("3e-3", 0.5), ("1e-2", 0.75)):
            for mixer in ("hyena", "attention"):
                accuracy = right if mixer == "hyena" else 1.2 - right
                write_log(place / f"{mixer}-{rate}-induction.jsonl", **{"held-out accuracy 2048": accuracy})
                write_log(place / f"{mixer}-{rate}-induction-short.jsonl", **{"held-out accuracy 64": 1.0})
    text = page(tmp_path)
    assert "| mixer | rate | seeds | 2,048 |" in text
    assert rows(text, "hyena") == [["hyena", "1e-2 of 1e-2, 3e-3", "2", "75.0 (75.0–75.0)"]]
    assert rows(text, "attention") == [["attention", "3e-3 of 1e-2, 3e-3", "2", "70.0 (70.0–70.0)"]]


def test_filters_by_length(tmp_path: Path) -> None:
    figures = tuple(Figure(f"no window, {n:,} lags: gain", value, "") for n, value in ((2048, 0.5), (131072, 4.0)))
    machine = {"processor": "A processor"}
    result = Benchmark("filters-cpu", "2026-12-01", figures, {"device": "cpu"}, machine)
    (tmp_path / "2026-12-01-filters-cpu.json").write_text(json.dumps(asdict(result)), encoding="utf-8")
    text = page(tmp_path)
    assert rows(text, "no window")[0][1:] == ["0.5", "4", "8.00"] and "Measured on a CPU (A processor)." in text


def test_readers_with_attention_in_some_layers(tmp_path: Path) -> None:
    folder = tmp_path / "2026-12-01-boundary"
    variants = {"reset": 0.0, "taps": -4.5, "attention-1": 3.0, "attention-6": 5.0}
    for place in (folder, folder / "seed-1"):
        write_evaluation(place / "among.json", variants, [condition("among-8", 70.0, among=8)])
    text = page(tmp_path)
    assert "| condition | n | reset | attention-1 | attention-6 |" in text
    (row,) = rows(text, "title of among-8")
    assert [numbers(cell)[0] for cell in row[2:]] == [80.0, 83.0, 85.0] and "▲" in row[3]
    assert "F1 over 2 training seeds" in text and "taps" not in text and "one seed alone" not in text
    write_evaluation(folder / "seed-1" / "among.json", {"reset": 0.0}, [condition("among-8", 70.0, among=8)])
    once = "Trained with one seed alone: attention-1, attention-6."
    assert once in " ".join(page(tmp_path).split())


def test_stages_of_the_page_are_stages_of_the_recipes() -> None:
    for name in ("claims-lm", "claims-lm-lengths", "claims-recall"):
        values, _ = recipes.load_recipe("configs/train", name)
        stages = {stage["name"] for stage in values["stages"]}
        tables = [table for claim in claims().claims for table in claim.tables if table.results == name]
        if name == "claims-recall":
            (named,) = (named for table in tables for named in table.groups.values())
            kinds = {re.sub(r"-short$", "", stage) for stage in stages}
            assert {re.fullmatch(r"(\w+)-(\de-\d)-(\w+)", kind)[3] for kind in kinds} == set(named)  # type: ignore[index]
            continue
        assert {stage for table in tables for named in table.groups.values() for stage in named} == stages


def test_a_wrong_description_is_named(tmp_path: Path) -> None:
    (tmp_path / "claims.yaml").write_text("title: x\nclaims: 3\n", encoding="utf-8")
    with pytest.raises(DataError, match="no description of claims"):
        load_claims(tmp_path / "claims.yaml")
