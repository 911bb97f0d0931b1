"""The training benchmark times both loops on the same steps and counts the model's FLOPs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ragyena.bench.figures import Benchmark
from ragyena.bench.train import _with_length, bench_train
from ragyena.config import LanguageStageConfig
from ragyena.errors import ConfigError, UsageError
from ragyena.train.run import load


class Quiet:
    def start(self, description: str, total: int | None, unit: str) -> None: ...

    def advance(self, amount: int, status: str = "") -> None: ...

    def note(self, text: str) -> None: ...


def recipe(folder: Path) -> str:
    model = {"vocab_size": 50, "pad_vocab_multiple": 8, "width": 16, "depth": 2, "ffn_width": 32, "heads": 2,
             "max_length": 32, "filter_width": 8, "mixers": ["attention", "attention"]}  # fmt: skip
    stage = {"model": model, "sequence_tokens": 32, "tokens": 10**6, "tokens_per_step": 128, "held_out_tokens": 10**5}
    values: dict[str, Any] = {
        "kind": "language",
        "data": {"prose": ["none.jsonl"], "dev_tokens": 1000},
        "stages": [stage],
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def bench(name: str, folder: Path, **options: Any) -> Benchmark:
    values = {"stage": None, "packed": None, "sequence_tokens": None, "steps": 1, "rounds": 1}
    return bench_train(name, folder / "work", device="cpu", progress=Quiet(), **(values | options))


def test_both_loops_are_timed_on_random_tokens(tmp_path: Path) -> None:
    result = bench(recipe(tmp_path), tmp_path, steps=30, rounds=2)
    figures = {figure.name.strip(): figure for figure in result.figures}
    bare = figures["the loop without our logging"]
    ours = figures["ours, with log and TensorBoard"]
    whole = figures["and checkpoints and held-out loss, at their intervals"]
    assert ours.limit == whole.limit == pytest.approx(0.9 * bare.value)
    assert 0 < whole.value < ours.value
    # 6 N for two layers of 4 D^2 + 2 D F and the output projection, and 6 L D a layer of attention
    entries = 2 * (4 * 16**2 + 2 * 16 * 32) + 56 * 16
    assert figures["model FLOPs"].value == pytest.approx((6 * entries + 2 * 6 * 32 * 16) / 1e6)
    assert result.setting["data"] == "random tokens" and "MFU, ours" not in figures


def test_an_unknown_stage_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no stage 'student'"):
        bench(recipe(tmp_path), tmp_path, stage="student")


def test_a_reader_is_not_timed_without_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="packed data"):
        bench("reader", tmp_path)


def test_another_length_keeps_the_tokens_of_a_step(tmp_path: Path) -> None:
    result = bench(recipe(tmp_path), tmp_path, sequence_tokens=64)
    assert result.name == "train-tiny-64" and result.setting["sequence_tokens"] == 64
    assert result.setting["tokens_per_step"] == 128
    with pytest.raises(ConfigError, match="not a multiple"):
        bench(recipe(tmp_path), tmp_path, sequence_tokens=100)
    with pytest.raises(UsageError, match="length to set"):
        bench("recall-hyena", tmp_path, sequence_tokens=64)


@pytest.mark.parametrize("length", [2048, 8192, 32768])
def test_the_larger_language_models_can_be_timed_at_several_lengths(length: int) -> None:
    for name in ("lm-hyena-125m", "lm-transformer-125m"):
        (stage,) = load(name, Path(), check_data=False).stages
        longer = _with_length(stage, length)
        assert isinstance(longer, LanguageStageConfig)
        assert longer.sequence_tokens == longer.model.max_length == length
        assert longer.tokens_per_step == stage.tokens_per_step == 65536
        assert longer.tokens_per_step // length == {2048: 32, 8192: 8, 32768: 2}[length]
