"""The reader's benchmark times readers by name, recipe and folder, and changes nothing they compute."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from ragyena.bench import reader as benchmark_reader
from ragyena.bench.figures import Benchmark
from ragyena.bench.reader import architectures, bench_reader
from ragyena.config import ReaderModelConfig
from ragyena.errors import UsageError
from ragyena.model.checkpoint import save_checkpoint
from ragyena.model.mixers import READER_MIXERS
from ragyena.model.reader_model import ReaderModel

TINY = {"width": 32, "heads": 2, "ffn_width": 32, "vocab_size": 50, "decoder_layers": 0}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    readers = {
        "attention": ReaderModelConfig(mixers=("attention",) * 2, **TINY),
        "hyena": ReaderModelConfig(mixers=("hyena",) * 2, **TINY),
        "selected": ReaderModelConfig(mixers=("hyena",) * 2, selected_tokens=(0, 8), **TINY),
    }
    monkeypatch.setattr(benchmark_reader, "architectures", lambda: readers)
    monkeypatch.setattr(benchmark_reader, "_CPU_SECONDS", 0.01)


def bench(readers: list[str], lengths: list[int], *, seconds: float = 60.0) -> Benchmark:
    return bench_reader(
        readers, lengths, slot_tokens=16, question_tokens=5, device="cpu", compiled=False, seconds=seconds, say=print
    )


def test_ratios_are_to_the_attention_baseline_and_to_no_selection() -> None:
    result = bench(["attention", "hyena", "selected"], [64])
    values = {figure.name: figure.value for figure in result.figures}
    baseline, none, selected = (values[f"{name}, 64 tokens: prefill"] for name in ("attention", "hyena", "selected"))
    assert values["hyena, 64 tokens: the attention baseline's time over it"] == pytest.approx(baseline / none)
    assert values["selected, 64 tokens: over that without selected tokens"] == pytest.approx(selected / none)
    assert all(value > 0 for value in values.values())
    assert result.setting["failures"] == {}


def test_a_mixers_name_gives_a_reader_of_it() -> None:
    readers = architectures()
    assert next(iter(readers)) == "attention" and {*READER_MIXERS, "selected"} == set(readers)
    assert all(set(readers[name].mixers) == {name} for name in READER_MIXERS)


def test_parts_left_out_are_named() -> None:
    result = bench(["hyena"], [32], seconds=0.0)
    assert not result.figures
    assert "not begun" in result.setting["failures"]["hyena, 32 tokens"]


def test_a_checkpoint_is_a_reader_too(tmp_path: Path) -> None:
    config = ReaderModelConfig(mixers=("hyena",), **TINY)
    save_checkpoint(tmp_path, ReaderModel(config).state_dict(), config, tokenizer=None, card=None, storage="float32")
    result = bench([str(tmp_path)], [16])
    assert result.figures[0].name == f"{tmp_path}, 16 tokens: prefill"


@pytest.mark.parametrize(
    ("reader", "says"),
    [("nonsense", "no reader"), ("boundary:nonsense", "no reader stage"), ("boundary:pair", "no reader stage")],
)
def test_invalid_readers_are_refused(reader: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        bench([reader], [16])


def test_attention_without_its_mask_computes_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, 3, 7, 8, generator=generator) for _ in range(2))
    value = torch.randn(2, 3, 7, 4, generator=generator)
    mask = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    expected = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.3)
    with benchmark_reader._FastestAttention():
        actual = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.3)
    torch.testing.assert_close(actual, expected)
