"""Runs of tiny language models: they learn, keep the best weights, resume exactly, and agree on one process or two."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from ragyena import recipes
from ragyena.config import CausalModelConfig, LanguageTrainConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import ConfigError, TrainingError
from ragyena.model.checkpoint import load_config, load_into, load_state
from ragyena.model.language_model import CausalLM
from ragyena.train import loop
from ragyena.train.lm_data import Stream, prose_record
from ragyena.train.lm_task import LanguageTask
from ragyena.train.log import read_log
from ragyena.train.loop import StageResult, run
from ragyena.train.ranks import Ranks

WORDS = 40
RATE = 5e-3
MODEL = {
    "vocab_size": WORDS, "width": 16, "depth": 2, "ffn_width": 32, "heads": 2, "max_length": 16, "filter_width": 8,
    "mixers": ["hyena", "attention"],
}  # fmt: skip


def text(count: int, seed: int) -> np.ndarray:
    """A random walk in which almost every word has one successor."""
    chooser = np.random.default_rng(seed)
    walk = [0]
    for jump in chooser.random(count - 1):
        walk.append(int(chooser.integers(WORDS)) if jump < 0.1 else (7 * walk[-1] + 3) % WORDS)
    return np.array(walk, np.uint16)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "prose.npz"
    np.savez(path, train=text(3000, 0), dev=text(300, 1), vocab_size=np.array(WORDS))
    return path


def recipe(**stage: Any) -> dict[str, Any]:
    values = {
        "model": MODEL, "sequence_tokens": 16, "tokens": 64 * 60, "tokens_per_step": 64, "held_out_tokens": 1000,
        "optimizer": {"muon_rate": RATE, "adamw_rate": RATE, "embedding_rate": RATE, "final": 0.1},
    }  # fmt: skip
    return {"kind": "language", "description": "tiny", "data": {"prose": ["none.jsonl"]}, "stages": [values | stage]}


def train(packed: Path, folder: Path, progress: Any, **stage: Any) -> list[StageResult]:
    config = LanguageTrainConfig.model_validate(recipe(**stage))
    stream = Stream.load(packed, "cpu")
    tokenizer = recipes.asset("reader") / "tokenizer.json"

    def task(each: Any) -> LanguageTask:
        return LanguageTask(config, each, stream, runs=folder, tokenizer=tokenizer, device="cpu")

    return run(config.stages, task, folder, seed=config.seed, device="cpu", progress=progress)


def opened(folder: Path) -> CausalLM:
    config = load_config(folder)
    assert isinstance(config, CausalModelConfig)
    model = CausalLM(config)
    load_into(model, load_state(folder), str(folder))
    return model


def test_a_model_learns_and_its_log_tells_how(packed: Path, tmp_path: Path, progress: Any) -> None:
    (result,) = train(packed, tmp_path, progress, tokens=64 * 300)
    rows = read_log(tmp_path / "model" / "log.jsonl")
    losses = [row for row in rows if "losses" in row]
    held_out = [row for row in rows if "held_out" in row]
    assert losses[0]["losses"]["loss"] > 3.0
    assert held_out[-1]["held_out"]["held-out loss"] < 2.0
    for row in held_out:
        assert row["held_out"]["held-out perplexity"] == pytest.approx(math.exp(row["held_out"]["held-out loss"]))
    assert [row["step"] for row in losses] == list(range(25, 301, 25))
    assert len(held_out) == 64 * 300 // 1000 + 1  # the last at the end
    last = rows[-1]
    assert last["tokens"] == 64 * last["step"] == result.tokens
    assert last["seconds"] == pytest.approx(result.seconds, abs=0.1)
    per_token = last["flops"] / last["tokens"]
    assert all(row["flops"] == pytest.approx(per_token * row["tokens"]) for row in rows)
    assert all(row["mfu"] is None and row["tokens_per_second"] > 0 for row in losses)  # a CPU has no known peak
    assert result.losses["held-out loss"] == held_out[-1]["held_out"]["held-out loss"]


@pytest.mark.parametrize(
    "name", ["paper-hyena", "paper-hyena-order-3", "paper-hyena-sine-10", "muon-hyena-slow-filters"]
)
def test_variants_of_the_claims_learn(name: str, packed: Path, tmp_path: Path, progress: Any) -> None:
    config = LanguageTrainConfig.model_validate(recipes.load_recipe("configs/train", "claims-lm")[0])
    (stage,) = (stage for stage in config.stages if stage.name == name)
    small = {key: value for key, value in MODEL.items() if key != "mixers"}
    model = stage.model.model_copy(update=small).model_dump()
    rates = {"muon_rate": RATE, "adamw_rate": RATE, "embedding_rate": RATE}
    optimizer = stage.optimizer.model_copy(update=rates).model_dump()
    (result,) = train(packed, tmp_path, progress, tokens=64 * 60, model=model, optimizer=optimizer)
    rows = [row["losses"]["loss"] for row in read_log(tmp_path / "model" / "log.jsonl") if "losses" in row]
    assert rows[-1] < rows[0] - 0.2
    assert opened(result.checkpoint).config.order == stage.model.order


def test_the_best_weights_are_kept(packed: Path, tmp_path: Path, progress: Any) -> None:
    """The learning rate rises until training diverges: the best weights are not the last."""
    ruin = {"muon_rate": 1.0, "adamw_rate": 1.0, "embedding_rate": 1.0, "warmup": 1.0, "final": 1.0}
    (result,) = train(packed, tmp_path, progress, optimizer=ruin, held_out_tokens=64)
    rows = [row["held_out"]["held-out loss"] for row in read_log(tmp_path / "model" / "log.jsonl") if "held_out" in row]
    assert min(rows) < rows[-1]
    stream = Stream.load(packed, "cpu").dev.long()

    def loss(folder: Path) -> float:
        with torch.no_grad():
            ids = stream[: 16 * 16 + 1]
            kept = opened(folder)
            return float(kept.loss(ids[:-1].view(16, 16), targets_BL=ids[1:].view(16, 16)))

    assert loss(tmp_path / "model" / "best") == pytest.approx(min(rows), rel=1e-5)
    assert loss(result.checkpoint) == pytest.approx(rows[-1], rel=1e-5)
    assert not list((tmp_path / "model").glob("best.*"))


class Killed(BaseException):
    """Stands for a killed process."""


def test_a_killed_run_resumes_to_the_same_log_and_weights(
    packed: Path, tmp_path: Path, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(packed, tmp_path / "whole", progress)
    original = loop._Stage._update

    def update(self: Any, batch: Any) -> Any:
        if self.step == 53:
            raise Killed
        return original(self, batch)

    ticks = itertools.count(step=0.3)  # every look at this clock costs 0.3 s: a checkpoint every few steps
    with monkeypatch.context() as patch:
        patch.setattr(loop._Stage, "_update", update)
        patch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
        with pytest.raises(Killed):
            train(packed, tmp_path / "killed", progress, checkpoint_seconds=5)
    log = tmp_path / "killed" / "model" / "log.jsonl"
    with log.open("a", encoding="utf-8") as file:
        file.write('{"step": 53, "tokens": 33')  # the process ended in the middle of a line
    train(packed, tmp_path / "killed", progress)
    assert any("resumed at step" in note for note in progress.notes)

    def points(name: str) -> list[dict[str, Any]]:
        rows = read_log(tmp_path / name / "model" / "log.jsonl")
        return [{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_second")} for row in rows]

    assert points("killed") == points("whole")
    for part in ("checkpoint", "best"):
        one, other = (load_state(tmp_path / name / "model" / part) for name in ("whole", "killed"))
        assert all(torch.equal(one[name], other[name]) for name in one | other)


def test_a_kill_while_the_best_weights_are_swapped_loses_nothing(packed: Path, tmp_path: Path, progress: Any) -> None:
    config = LanguageTrainConfig.model_validate(recipe())
    stage = config.stages[0]
    task = LanguageTask(
        config, stage, Stream.load(packed, "cpu"), runs=tmp_path, device="cpu",
        tokenizer=recipes.asset("reader") / "tokenizer.json",
    )  # fmt: skip
    trainer = loop._Stage(stage, task, tmp_path / "model", "cpu", progress, Ranks())
    trainer.best_state = dict(task.model.state_dict())
    trainer._save_best()
    (tmp_path / "model" / "best").rename(tmp_path / "model" / "best.old")  # as a kill between two renames leaves it
    trainer._resume()
    opened(tmp_path / "model" / "best")


def test_a_later_stage_starts_from_an_earlier_one(packed: Path, tmp_path: Path, progress: Any) -> None:
    still = {"muon_rate": 0.0, "adamw_rate": 0.0, "embedding_rate": 0.0, "weight_decay": 0.0}
    train(packed, tmp_path, progress, name="first")
    train(packed, tmp_path, progress, name="second", start="first", optimizer=still)
    first, second = (load_state(tmp_path / name / "checkpoint") for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(TrainingError, match="is not a language model"):
        train(packed, tmp_path, progress, name="third", start=str(recipes.asset("reader")))


def test_a_vocabulary_too_small_is_named(packed: Path, tmp_path: Path, progress: Any) -> None:
    with pytest.raises(ConfigError, match="a vocabulary of 40"):
        train(packed, tmp_path, progress, model=MODEL | {"vocab_size": 39})


def command(folder: Path, packed: Path, *, processes: int) -> subprocess.CompletedProcess[str]:
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    arguments = ["train", str(folder / "tiny.yaml"), "--packed", str(packed), "--out", str(folder / str(processes))]
    return subprocess.run(
        [sys.executable, *start, "-m", "ragyena", *arguments, "--device", "cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_compute_what_one_does(packed: Path, tmp_path: Path) -> None:
    """torchrun on two CPU processes: the same losses, held-out losses and weights, but for the order of sums."""
    values = recipe(tokens=64 * 25, held_out_tokens=800)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    record = json.dumps(prose_record(LanguageTrainConfig.model_validate(values).data, tokenizer)).encode()
    recorded = tmp_path / "prose.npz"
    with np.load(packed) as arrays:
        np.savez(recorded, **arrays, made_of=np.frombuffer(record, np.uint8))
    for processes in (1, 2):
        done = command(tmp_path, recorded, processes=processes)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("model:") == 1  # one process speaks
    one, two = (read_log(tmp_path / str(n) / "model" / "log.jsonl") for n in (1, 2))
    assert len(one) == len(two) > 2
    for a, b in zip(one, two):
        assert (a["step"], a["tokens"], a["flops"]) == (b["step"], b["tokens"], b["flops"])
        for part in ("losses", "held_out"):
            assert a.get(part, {}) == pytest.approx(b.get(part, {}), rel=1e-4)
    first, second = (load_state(tmp_path / str(n) / "model" / "checkpoint") for n in (1, 2))
    for name, tensor in first.items():
        assert torch.allclose(tensor, second[name], atol=1e-4), name
    assert json.loads((tmp_path / "2" / "summary.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_the_joined_batch(packed: Path, tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_gradients, (str(packed), str(tmp_path)), nprocs=2)
    whole = _backward(str(packed), Ranks())
    for rank in range(2):
        shared = torch.load(tmp_path / f"{rank}.pt")
        assert shared.keys() == whole.keys()
        for name, gradient in whole.items():
            assert torch.allclose(shared[name], gradient, rtol=1e-4, atol=1e-6), name


def _backward(packed: str, ranks: Ranks) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    config = LanguageTrainConfig.model_validate(recipe())
    task = LanguageTask(
        config, config.stages[0], Stream.load(Path(packed), "cpu"), runs=Path(packed).parent, device="cpu",
        tokenizer=Path("none"), ranks=ranks,
    )  # fmt: skip
    folder = Path(packed).parent / f"rank{ranks.rank}of{ranks.count}"
    trainer = loop._Stage(config.stages[0], task, folder, "cpu", None, ranks)  # type: ignore[arg-type]
    loss, _ = trainer.loss(task.batch(3), 0.0)
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in task.model.named_parameters() if p.grad is not None}


def _gradients(rank: int, packed: str, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(_backward(packed, Ranks(rank, 2)), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
