"""``ragyena train``: recipes, packed files, and machines that have only the packages that training needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from ragyena.config import LanguageTrainConfig, ReaderModelConfig, RecallTrainConfig, StageConfig, TrainConfig
from ragyena.errors import CheckpointError, ConfigError, DataError, PathNotFoundError, UsageError
from ragyena.model.checkpoint import load_config, save_checkpoint
from ragyena.model.language_model import CausalLM
from ragyena.recipes import asset
from ragyena.train.kinds import started_from
from ragyena.train.run import load, pack_data, train

MODEL = {"vocab_size": 30522, "width": 8, "depth": 1, "ffn_width": 8, "max_length": 16, "filter_width": 8}


class Quiet:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def start(self, description: str, total: int | None, unit: str) -> None: ...

    def advance(self, amount: int, status: str = "") -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


def language(folder: Path) -> str:
    rows = [
        {"id": str(n), "title": "", "text": f"Day {n} was fair. " * 9, "split": "dev" if n % 4 == 0 else "train"}
        for n in range(12)
    ]
    (folder / "prose.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    stage = {"model": MODEL, "sequence_tokens": 16, "tokens": 256, "tokens_per_step": 64}
    path = folder / "tiny.yaml"
    values = {"kind": "language", "data": {"prose": ["prose.jsonl"]}, "stages": [stage]}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def test_prose_is_packed_once_and_the_file_can_travel(tmp_path: Path) -> None:
    recipe = language(tmp_path)
    config = load(recipe, tmp_path)
    progress = Quiet()
    (result,) = train(
        config, tmp_path / "here", packed=None, encoder=None, pair_encoder=None, device="cpu", progress=progress
    )
    assert result.tokens == 256 and any("9 documents to train on" in note for note in progress.notes)
    packed = pack_data(config, tmp_path / "here" / "data", progress).path
    (tmp_path / "prose.jsonl").unlink()
    elsewhere = load(recipe, tmp_path / "nowhere", check_data=False)
    (again,) = train(
        elsewhere, tmp_path / "there", packed=packed, encoder=None, pair_encoder=None, device="cpu", progress=progress
    )
    assert again.losses == result.losses
    summary = json.loads((tmp_path / "there" / "summary.json").read_text(encoding="utf-8"))
    assert summary["processes"] == 1 and summary["stages"][0]["tokens"] == 256
    assert (again.checkpoint / "tokenizer.json").is_file()


def test_training_needs_no_index_nor_embedder() -> None:
    code = (
        "import sys, ragyena.train.run, ragyena.bench.train\n"
        "print(*{'faiss', 'sentence_transformers', 'transformers', 'langchain_core'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_recipe_is_of_the_kind_it_says(tmp_path: Path) -> None:
    kinds: dict[str, Any] = {
        "reader": TrainConfig, "lm-hyena-30m": LanguageTrainConfig, "recall-hybrid": RecallTrainConfig
    }  # fmt: skip
    for name, kind in kinds.items():
        assert type(load(name, tmp_path, check_data=False)) is kind
    (tmp_path / "odd.yaml").write_text("kind: odd\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown kind 'odd'") as error:
        load(str(tmp_path / "odd.yaml"), tmp_path)
    assert "language" in error.value.hint
    with pytest.raises(PathNotFoundError, match="no data file"):
        load("lm-hyena-30m", tmp_path)


def test_language_models_and_their_baselines_differ_only_in_mixers() -> None:
    for size in ("30m", "125m"):
        hyena, transformer = (load(f"lm-{kind}-{size}", Path(), check_data=False) for kind in ("hyena", "transformer"))
        for config in (hyena, transformer):
            assert isinstance(config, LanguageTrainConfig)
        one, other = hyena.stages[0], transformer.stages[0]
        assert set(one.model.layer_mixers) == {"hyena"} and set(other.model.layer_mixers) == {"attention"}
        assert one.model_copy(update={"model": None, "optimizer": None}) == other.model_copy(
            update={"model": None, "optimizer": None}
        )
        assert one.model.model_copy(update={"mixers": ()}) == other.model.model_copy(update={"mixers": ()})
        assert hyena.data == transformer.data and hyena.seed == transformer.seed


def test_models_of_the_claims_differ_in_what_their_names_say() -> None:
    config = load("claims-lm", Path(), check_data=False)
    lengths = load("claims-lm-lengths", Path(), check_data=False)
    stages = {stage.name: stage for stage in config.stages}
    paper, muon = stages["paper-hyena"], stages["muon-hyena"]
    assert (paper.optimizer.matrices, muon.optimizer.matrices) == ("adamw", "muon")
    assert (paper.model.order, paper.model.sine_frequency, paper.model.short_filter) == (2, 14.0, 3)
    attention = {"mixers": ("attention",) * paper.model.depth}
    one, fourth = (stages[f"muon-{name}-attention"].model.mixers for name in ("one", "every-fourth"))
    assert one.count("attention") == 1 and [n for n, mixer in enumerate(fourth) if mixer == "attention"] == [3, 7]
    for base, name, model in (
        (paper, "paper-hyena-order-3", {"order": 3}),
        (paper, "paper-hyena-sine-10", {"sine_frequency": 10.0}),
        (paper, "paper-attention", attention),
        (muon, "muon-attention", attention),
        (muon, "muon-one-attention", {"mixers": one}),
        (muon, "muon-every-fourth-attention", {"mixers": fourth}),
    ):
        changed = {"name": name, "model": base.model.model_copy(update=model)}
        assert stages[name] == base.model_copy(update=changed)
    assert muon == paper.model_copy(update={"name": "muon-hyena", "optimizer": muon.optimizer})
    slow = stages["muon-hyena-slow-filters"].optimizer
    assert slow == muon.optimizer.model_copy(update={"filter_rate": 6e-4})
    for stage in lengths.stages:
        kind, length = stage.name.rsplit("-", 1)
        base = stages[f"muon-{kind}"]
        model = base.model.model_copy(update={"max_length": int(length)})
        assert stage == base.model_copy(update={"name": stage.name, "model": model, "sequence_tokens": int(length)})
    assert config.data.held_out_overlap is not None and lengths.data == config.data


def test_every_mixer_of_the_recall_claim_is_tuned_alike() -> None:
    config = load("claims-recall", Path(), check_data=False)
    alike: dict[str, list[Any]] = {}
    for stage in config.stages:
        mixer, name = stage.name.split("-", 1)
        model = stage.model.model_copy(update={"mixers": ()})
        start = stage.start.removeprefix(f"{mixer}-")
        alike.setdefault(name, []).append(stage.model_copy(update={"name": name, "model": model, "start": start}))
    assert len(config.stages) == 36 and all(len(same) == 3 for same in alike.values())
    assert all(stage == same[0] for same in alike.values() for stage in same)


@pytest.mark.parametrize("optimizer", ["paper", "muon"])
def test_models_of_equal_flops_have_them(optimizer: str) -> None:
    stages = {stage.name: stage for stage in load("claims-lm", Path(), check_data=False).stages}
    hyena, attention, fewer = (stages[f"{optimizer}-{n}"] for n in ("hyena", "attention", "attention-flops"))
    with torch.device("meta"):
        flops = [CausalLM(s.model).flops(s.sequence_tokens) * s.tokens for s in (hyena, attention, fewer)]
    assert flops[2] == pytest.approx(flops[0], rel=0.003) and flops[1] > 1.2 * flops[0]
    assert fewer.model_copy(update={"name": attention.name, "tokens": attention.tokens}) == attention


@pytest.mark.parametrize(
    ("name", "renamed", "mixer"),
    [("reader-attention", "attention", "attention"), ("reader-fid", "fid", "local_attention")],
)
def test_baselines_of_the_reader_differ_from_it_only_in_mixers(name: str, renamed: str, mixer: str) -> None:
    reader, rival = (load(recipe, Path(), check_data=False) for recipe in ("reader", name))
    assert isinstance(reader, TrainConfig) and isinstance(rival, TrainConfig)
    assert (rival.data, rival.seed) == (reader.data, reader.seed)
    names = {stage.name: renamed if stage.name == "student" else stage.name for stage in reader.stages}
    assert [stage.name for stage in rival.stages] == list(names.values())
    for one, other in zip(reader.stages, rival.stages, strict=True):
        if one.name in ("pair", "cloze", "teacher"):
            assert one == other
            continue
        assert isinstance(one, StageConfig) and isinstance(other, StageConfig)
        assert set(other.model.mixers) == {mixer} and other.start == names[one.start]
        same: dict[str, Any] = {"name": "", "start": "", "model": None, "optimizer": None}
        assert one.model_copy(update=same) == other.model_copy(update=same)
        hyena = {"mixers": one.model.mixers, "selected_tokens": one.model.selected_tokens}
        assert other.model.model_copy(update=hyena) == one.model


def test_training_on_long_contexts_starts_from_the_shipped_or_another_reader(tmp_path: Path) -> None:
    config = load("reader-long", Path(), check_data=False)
    assert isinstance(config, TrainConfig)
    first, last = config.stages
    assert isinstance(first, StageConfig) and isinstance(last, StageConfig)
    assert first.start == "shipped" and first.model == last.model == load_config(asset("reader"))
    for stage in config.stages:
        longest = max(stage.passages) * 240
        assert stage.tokens_per_step // longest >= 1 and max(stage.passages) > config.data.negatives
    other = ReaderModelConfig(mixers=("attention",) * 6, null_width=16)
    save_checkpoint(tmp_path / "other", {}, other, tokenizer=None, card=None, storage="float32")
    started = started_from(config, tmp_path / "other")
    one, two = started.stages
    assert isinstance(one, StageConfig) and isinstance(two, StageConfig)
    assert (one.start, two.start) == (str(tmp_path / "other"), first.name) and one.model == two.model == other
    with pytest.raises(CheckpointError, match=r"config\.json"):
        started_from(config, tmp_path)
    after_pair = load("reader-continued", Path(), check_data=False)
    assert isinstance(after_pair, TrainConfig)
    went_on, *_ = [s for s in started_from(after_pair, tmp_path / "other").stages if isinstance(s, StageConfig)]
    assert went_on.start == str(tmp_path / "other") and went_on.model == other
    long = load("reader-long", Path(), check_data=False)
    assert isinstance(long, TrainConfig) and isinstance(long.stages[-1], StageConfig)
    assert long.stages[-1].average["shipped"] == 0.5
    *_, last = started_from(long, tmp_path / "other").stages
    assert isinstance(last, StageConfig)
    assert last.average[str(tmp_path / "other")] == 0.5 and last.start == long.stages[0].name
    for recipe in ("reader", "lm-hyena-30m"):  # the first begins with a pair reader, and trains its reader anew
        with pytest.raises(UsageError, match="only a reader's training"):
            started_from(load(recipe, Path(), check_data=False), tmp_path / "other")


def test_an_encoder_is_checked_before_any_work(tmp_path: Path) -> None:
    reader = load("reader", tmp_path, check_data=False)
    nowhere: dict[str, Any] = {"packed": tmp_path / "none.npz", "encoder": None, "device": "cpu", "progress": Quiet()}
    with pytest.raises(UsageError, match="starts from an encoder that does not ship"):
        train(reader, tmp_path / "run", pair_encoder=None, **nowhere)
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        train(reader, tmp_path / "run", pair_encoder=tmp_path, **nowhere)
    small = {"model_type": "bert", "vocab_size": 30522, "hidden_size": 32, "num_hidden_layers": 2} | {
        "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 512
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(small), encoding="utf-8")
    with pytest.raises(CheckpointError, match="is not what stage pair describes"):
        train(reader, tmp_path / "run", pair_encoder=tmp_path, **nowhere)
    assert not (tmp_path / "run").exists()


def test_packed_data_of_other_settings_are_refused(tmp_path: Path) -> None:
    recipe = language(tmp_path)
    packed = pack_data(load(recipe, tmp_path), tmp_path / "data", Quiet()).path
    run: dict[str, Any] = {"encoder": None, "pair_encoder": None, "device": "cpu", "progress": Quiet()}
    other = load(recipe, tmp_path / "nowhere", ["data.train_tokens=77"], check_data=False)
    with pytest.raises(DataError, match=r"was made of other settings: data.train_tokens is \d+, here 77") as caught:
        train(other, tmp_path / "run", packed=packed, **run)
    assert "--pack-only" in str(caught.value.hint)
    named = load(recipe, tmp_path, ["data.prose=[other/prose.jsonl]"], check_data=False)
    with pytest.raises(DataError, match=r"data.prose is .*prose.jsonl"):
        train(named, tmp_path / "run", packed=packed, **run)
    with np.load(packed) as file:
        arrays = {name: file[name] for name in file.files if name != "made_of"}
    np.savez(tmp_path / "old.npz", **arrays)
    with pytest.raises(DataError, match="does not say what it was made of"):
        train(load(recipe, tmp_path), tmp_path / "run", packed=tmp_path / "old.npz", **run)
    (tmp_path / "broken.npz").write_bytes(packed.read_bytes()[:100])
    with pytest.raises(DataError, match="is damaged"):
        train(load(recipe, tmp_path), tmp_path / "run", packed=tmp_path / "broken.npz", **run)
    assert not (tmp_path / "run").exists()


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    config = load(language(tmp_path), tmp_path)
    packed = pack_data(config, tmp_path, Quiet()).path
    reader = load("reader-bundled-encoder", tmp_path, check_data=False)
    with pytest.raises(DataError, match="holds no questions"):
        train(reader, tmp_path / "run", packed=packed, encoder=None, pair_encoder=None, device="cpu", progress=Quiet())
    with pytest.raises(DataError, match="no packed data at"):
        train(
            config,
            tmp_path / "run",
            packed=tmp_path / "none.npz",
            encoder=None,
            pair_encoder=None,
            device="cpu",
            progress=Quiet(),
        )
    with pytest.raises(UsageError, match="makes its data as it trains"):
        pack_data(load("recall-hyena", tmp_path), tmp_path, Quiet())
