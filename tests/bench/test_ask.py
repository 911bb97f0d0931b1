"""Benchmarks run on real components and write results with the machine they ran on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_world import save_small_reader

from ragyena.bench.ask import Benchmark, Figure, _commands, _texts, bench_ask, bench_embed, write
from ragyena.config import IndexConfig, PackerConfig, PipelineConfig, ReaderConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import RagyenaError, StorageError


def test_a_figure_keeps_its_limit_or_not() -> None:
    assert Figure("a", 2.9, "s", limit=3.0).met is True
    assert Figure("a", 3.1, "s", limit=3.0).met is False
    assert Figure("a", 61, "passages/s", limit=60, better="higher").met is True
    assert Figure("a", 59, "passages/s", limit=60, better="higher").met is False
    assert Figure("a", 1, "s").met is None


def test_embedding_is_compared_on_texts_of_the_given_length(small_reader: Path) -> None:
    texts = _texts(IndexConfig(), 24, 40)
    tokenizer = Tokenizer.from_folder(small_reader)
    assert len(set(texts)) == 24
    # a cut may fall inside a word, whose pieces then come out otherwise
    assert all(abs(len(tokenizer.encode(text)) - 40) <= 4 for text in texts)


def test_embed_shows_both_sides(tmp_path: Path) -> None:
    result = bench_embed(IndexConfig(), passages=16, passage_tokens=32, rounds=2, progress=None)
    ours, plain, cosine, *of_the_machine = result.figures
    assert ours.limit == 90.0
    assert ours.value > 0 and plain.value > 0
    if of_the_machine:  # a CPU
        products, memory, share = of_the_machine
        assert products.unit == "GFLOP/s" and memory.unit == "GB/s" and 0 < share.value <= 150
    assert cosine.met and 0.999 <= cosine.value <= 1.001
    path = write(result, tmp_path / "results")
    written = json.loads(path.read_text(encoding="utf-8"))
    assert path.name == f"{result.date}-embed.json"
    assert written["machine"]["processor"] and written["machine"]["versions"]["sentence-transformers"]
    assert [figure["met"] for figure in written["figures"]] == [figure.met for figure in result.figures]


def test_results_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="file"):
        write(Benchmark("embed", "2020-01-01", (), {}, {}), tmp_path / "file")


def test_commands_are_timed_whole_and_failures_named() -> None:
    (seconds,) = _commands(["--version"], 1, None, "version")
    assert 0.01 < seconds < 30
    with pytest.raises(RagyenaError, match="no-such-command"):
        _commands(["no-such-command"], 1, None, "none")


@pytest.mark.slow
def test_ask_measures_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole benchmark with a small reader; its cold commands use the same one."""
    reader = save_small_reader(tmp_path / "reader")
    monkeypatch.setenv("RAGYENA_READER__CHECKPOINT", str(reader))
    config = PipelineConfig(reader=ReaderConfig(checkpoint=str(reader)), packer=PackerConfig(context_tokens=1024))
    result = bench_ask(config, tmp_path / "index", rounds=1, cold_runs=1, progress=None)
    figures = {figure.name: figure for figure in result.figures}
    both = figures["retrieval and packing, index open"]
    assert both.unit == "ms" and both.limit == 150.0 and both.value > 0
    assert figures["reading 1,024 tokens of context"].limit == 0.6
    assert 0 <= figures["  padding in the context"].value < 100
    assert figures["  reading: share of the peak of products"].value > 0
    assert figures["cold `ragyena ask`"].value > figures["`ragyena --help`"].value > 0
    assert 512 < result.setting["tokens_read"] <= 1024
    whole = figures["a whole question, index open"]
    parts = [figures[f"  {part}"] for part in ("retrieve", "pack", "to the device", "read", "decode", "cite")]
    assert all(part.unit == "ms" and 0 < part.value < 10 * whole.value for part in parts)
    assert all(part.samples == whole.samples for part in parts)
    assert figures["questions answered together"].value > 0 < figures["questions answered one by one"].value
