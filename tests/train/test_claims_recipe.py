"""The way from the recipe of a claim to its table, at toy size: train side by side with seeds, summarise, print."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from command_line import Ragyena

from ragyena import recipes

CLAIMS = Path(__file__).resolve().parents[2] / "docs" / "claims.yaml"
STAGES = ("paper-attention", "paper-hyena-order-3", "muon-hyena-slow-filters")
SENTENCES = [f"The {thing} of the {place} is {colour}." for thing in ("door", "gate", "roof", "wall")
             for place in ("mill", "farm", "port", "inn") for colour in ("red", "green", "blue", "white")]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not CLAIMS.is_file(), reason="runs in a checkout")
def test_a_table_is_two_commands_away(tmp_path: Path) -> None:
    ragyena = Ragyena(tmp_path)
    rows = [
        {"id": str(n), "title": f"{n}", "text": sentence * 4, "split": "dev" if n % 8 == 0 else "train"}
        for n, sentence in enumerate(SENTENCES)
    ]
    (tmp_path / "prose.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    values, _ = recipes.load_recipe("configs/train", "claims-lm")
    values["data"] = {"prose": [str(tmp_path / "prose.jsonl")]}
    values["stages"] = [stage for stage in values["stages"] if stage["name"] in STAGES]
    for stage in values["stages"]:
        stage |= {"tokens": 640, "sequence_tokens": 32, "tokens_per_step": 128, "held_out_tokens": 640}
        stage["model"] = {**stage["model"], "width": 12, "ffn_width": 12, "heads": 2, "max_length": 32}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    run, results = tmp_path / "run", tmp_path / "results"
    command = ["train", str(tmp_path / "toy.yaml"), "--out", str(run), "--device", "cpu"]
    trained = ragyena(*command, "--side-by-side", "--processes", "2", "--seeds", "2").succeeds()
    lines = trained.out.splitlines()
    assert len(lines) == 6 and lines[3].startswith("seed-1/paper-hyena-order-3: 0.0M tokens in 5 steps")
    ragyena("report", "--summary", results / "2026-12-01-claims-lm", run).succeeds()
    assert str(tmp_path) not in "".join(file.read_text("utf-8") for file in results.glob("*/summary.json"))
    page = ragyena("report", "--page", CLAIMS, results).succeeds()
    table = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in page.out.splitlines() if "|" in line}
    for name in STAGES:
        assert table[name][2] == "2" and re.fullmatch(r"[\d.]+ \([\d.-]+–[\d.]+\)", table[name][5]), table[name]
    assert table["paper-hyena-sine-10"][5].strip() == "not measured yet"
