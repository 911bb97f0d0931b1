"""The use case of ``ragyena bench train``: the speed of a recipe's stage, and the cost of logging and checkpoints."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ragyena.bench.figures import Benchmark, Figure, benchmark, seconds, spread
from ragyena.config import (
    LanguageStageConfig,
    LanguageTrainConfig,
    PairStageConfig,
    PolarStageConfig,
    RecallTrainConfig,
    TrainConfig,
    TrainingStage,
    parse,
)
from ragyena.errors import UsageError
from ragyena.model.flops import peak_flops
from ragyena.train.kinds import KINDS, AnyTrainConfig, RunContext
from ragyena.train.loop import run, write_resume
from ragyena.train.optimizer import ReaderOptimizer
from ragyena.train.ranks import Ranks
from ragyena.train.run import chosen_device, load
from ragyena.train.task import Task
from ragyena.types import Progress, Silent

__all__ = ["bench_train"]

_NEVER = 10**6  # seconds between checkpoints, in a loop that is to write none
_WARM_UP = 3  # steps


def bench_train(
    recipe: str,
    folder: Path,
    *,
    overrides: Sequence[str] = (),
    stage: str | None,
    packed: Path | None,
    sequence_tokens: int | None,
    steps: int,
    rounds: int,
    device: str,
    progress: Progress,
) -> Benchmark:
    """Tokens a second of one stage, alternately by a bare loop and by ours with its log, TensorBoard and checks.

    A checkpoint and a held-out measurement are timed alone, and their cost at the recipe's intervals computed.
    ``stage`` None is the last stage. ``packed`` may be None for a language model: random tokens take as long.
    ``sequence_tokens`` replaces a language model's, and its filters' reach; a step keeps its tokens. ``folder`` is
    scratch space. A stage that starts from an earlier one starts from random weights.
    """
    config = load(recipe, Path(), overrides, check_data=False)
    device = chosen_device(device)
    chosen = _stage(config, stage)
    if sequence_tokens is not None:
        chosen = _with_length(chosen, sequence_tokens)
    folder.mkdir(parents=True, exist_ok=True)
    data = packed or _random_prose(config, folder)
    context = RunContext(folder, data, None, None, device, Ranks(), progress)
    torch.manual_seed(config.seed)
    task = KINDS[config.kind].tasks(config, context)(chosen)
    task.recordable = False  # both loops launch their kernels alike
    short = chosen.model_copy(
        update={"tokens": steps * chosen.tokens_per_step, "held_out_tokens": 0, "checkpoint_seconds": _NEVER}
    )
    for batch in task.every_shape():
        _bare(task, chosen, [batch] * _WARM_UP, device)
    bare_rates, our_rates = [], []
    flops = tokens = 0.0
    progress.start(f"training {steps} steps in turns", 2 * rounds, "loops")
    for number in range(rounds):
        (ours,) = run([short], lambda _: task, folder / str(number), seed=config.seed, device=device, progress=Silent())
        our_rates.append(ours.tokens / ours.seconds)
        progress.advance(1)
        task.model.train()
        tokens, flops = ours.tokens, sum(task.flops(task.batch(step)) for step in range(ours.steps))
        bare_rates.append(ours.tokens / _bare(task, chosen, map(task.batch, range(ours.steps)), device))
        progress.advance(1)
    bare, rate = statistics.median(bare_rates), statistics.median(our_rates)
    checkpoint = _checkpoint_seconds(task, chosen, folder, device)
    task.model.eval()
    task.held_out()  # compiles
    held_out = seconds(task.held_out, device)
    seconds_per_token = (1 + checkpoint / chosen.checkpoint_seconds) / rate
    if chosen.held_out_tokens:
        seconds_per_token += held_out / chosen.held_out_tokens
    whole, target = "  and checkpoints and held-out loss, at their intervals", 0.9 * bare
    figures = [
        spread("the loop without our logging", bare_rates, "tokens/s"),
        Figure("ours, with log and TensorBoard", rate, "tokens/s", target, "higher", samples=rounds),
        Figure(whole, 1 / seconds_per_token, "tokens/s", target, "higher"),
        Figure("a checkpoint to resume from", checkpoint, "s"),
        Figure("a look at the held-out loss", held_out, "s"),
        Figure("model FLOPs", flops / tokens / 1e6, "MFLOP/token"),
    ]
    peak = peak_flops(device)
    if peak is not None:
        figures.append(Figure("MFU, ours", 100 * rate * flops / tokens / peak, "%"))
        figures.append(Figure("peak memory", torch.cuda.max_memory_allocated() / 2**30, "GiB"))
    parameters = sum(p.numel() for p in task.model.parameters())
    length = {"sequence_tokens": chosen.sequence_tokens} if isinstance(chosen, LanguageStageConfig) else {}
    return benchmark(
        "-".join(["train", Path(recipe).stem, *(str(value) for value in length.values())]),
        figures,
        {
            "recipe": recipe,
            "stage": chosen.name,
            "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
            "parameters": parameters,
            **length,
            "tokens_per_step": chosen.tokens_per_step,
            "steps": steps,
            "rounds": rounds,
            "data": packed.name if packed else "random tokens",
            "peak_flops": peak,
        },
    )


def _stage(config: AnyTrainConfig, name: str | None) -> TrainingStage:
    stages: dict[str, TrainingStage] = {stage.name: stage for stage in config.stages}
    name = name or list(stages)[-1]
    if name not in stages:
        raise UsageError(f"the recipe has no stage '{name}'", hint=f"it has: {', '.join(stages)}")
    stage = stages[name]
    if not isinstance(stage, PairStageConfig | PolarStageConfig) and getattr(stage, "start", "") in stages:
        return stage.model_copy(update={"start": "scratch"})
    return stage


def _with_length(stage: TrainingStage, length: int) -> TrainingStage:
    if not isinstance(stage, LanguageStageConfig):
        raise UsageError("only a language model's sequences have a length to set", hint="leave --sequence-tokens out")
    model = stage.model.model_copy(update={"max_length": length})
    values = stage.model_dump() | {"model": model.model_dump(), "sequence_tokens": length}
    return parse(LanguageStageConfig, values, source="--sequence-tokens")


def _random_prose(config: AnyTrainConfig, folder: Path) -> Path | None:
    if isinstance(config, RecallTrainConfig):
        return None  # it makes its own
    if isinstance(config, TrainConfig):
        raise UsageError(
            "a reader's training is timed on packed data",
            hint="make them with ragyena train RECIPE --pack-only, and give --packed FILE",
        )
    assert isinstance(config, LanguageTrainConfig)
    size = min(stage.model.vocab_size for stage in config.stages)
    chooser = np.random.default_rng(config.seed)
    train, dev = (chooser.integers(size, size=count, dtype=np.int32) for count in (4_000_000, config.data.dev_tokens))
    path = folder / "random.npz"
    np.savez(path, train=train, dev=dev, vocab_size=np.array(size))
    return path


def _bare(task: Task, stage: TrainingStage, batches: Iterable[object], device: str) -> float:
    """Seconds of steps on the batches as plain as they can be written."""
    optimizer = ReaderOptimizer(task.model, stage.optimizer)

    def steps() -> None:
        for batch in batches:
            loss, _ = task.loss(batch, 0.5)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(task.model.parameters(), stage.optimizer.clip_norm)
            optimizer.step(0.5)
            optimizer.zero_grad()

    return seconds(steps, device)


def _checkpoint_seconds(task: Task, stage: TrainingStage, folder: Path, device: str) -> float:
    optimizer = ReaderOptimizer(task.model, stage.optimizer)
    loss, _ = task.loss(task.batch(0), 0.5)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step(0.0)  # the optimizer has its state from its first step on
    optimizer.zero_grad()

    def save() -> None:
        parts = {"model": task.model.state_dict(), "optimizer": optimizer.state(), "task": task.state()}
        write_resume(folder / "resume.safetensors", parts, {})

    return seconds(save, device)
