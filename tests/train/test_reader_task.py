"""A reader's task: the shares of several processes, and its FLOPs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ragyena.config import ReaderModelConfig, StageConfig, TrainConfig
from ragyena.errors import TrainingError
from ragyena.model.checkpoint import load_config, load_state, save_checkpoint
from ragyena.model.reader_model import ReaderModel
from ragyena.recipes import asset
from ragyena.train.ranks import Ranks
from ragyena.train.reader_task import ReaderTask

Stages = Callable[..., StageConfig]
Models = Callable[..., ReaderModelConfig]


def task(world: Any, stage: StageConfig, ranks: Ranks = Ranks()) -> ReaderTask:  # noqa: B008 - frozen
    config = TrainConfig(data=world.config, stages=(stage,))
    return ReaderTask(config, stage, world.data, runs=Path("none"), encoder=Path("none"), device="cpu", ranks=ranks)


def test_shares_of_two_processes_join_to_the_batch(world: Any, stage: Stages) -> None:
    config = stage(tokens_per_step=2500)
    whole = task(world, config).batch(3)
    shares = [task(world, config, Ranks(rank, 2)).batch(3) for rank in range(2)]
    count = 2 * (len(whole.start) // 2)
    assert len(shares[0].start) == len(shares[1].start) == count // 2
    for name in ("start", "end", "answer_ids"):
        assert torch.equal(torch.cat([getattr(share, name) for share in shares]), getattr(whole, name)[:count])
    ids = torch.cat([share.inputs.token_ids for share in shares])
    assert torch.equal(ids, whole.inputs.token_ids[:count])
    with pytest.raises(TrainingError, match="contexts for 50 processes"):
        task(world, config, Ranks(0, 50)).batch(3)


def test_a_stage_can_start_from_the_reader_that_ships(world: Any, stage: Stages) -> None:
    folder = asset("reader")
    config = load_config(folder)
    assert isinstance(config, ReaderModelConfig)
    mine = task(world, stage(model=config, start="shipped")).model.state_dict()
    stored = load_state(folder)
    assert stored.keys() == mine.keys()
    assert all(torch.equal(mine[name], tensor) for name, tensor in stored.items() if name != "idf")


def test_a_finished_stage_is_averaged_with_its_start(world: Any, stage: Stages) -> None:
    folder = asset("reader")
    stored = load_state(folder)
    each = task(world, stage(model=load_config(folder), start="shipped", average={"start": 0.25}))
    with torch.no_grad():
        for parameter in each.model.parameters():
            parameter.add_(1.0)
    each._average()
    for name, parameter in each.model.named_parameters():
        assert torch.allclose(parameter, stored[name].float() + 0.75, atol=1e-4), name
    with pytest.raises(TrainingError, match="their models differ"):
        task(world, stage(start="shipped", average={"start": 0.5}))
    with pytest.raises(ValueError, match="needs a reader to start from"):
        stage(start="scratch", average={"start": 0.5})
    with pytest.raises(ValueError, match="leave none"):
        stage(start="scratch", average={"shipped": 1.0})


def test_a_finished_stage_is_averaged_with_another_reader(world: Any, stage: Stages) -> None:
    folder = asset("reader")
    stored = load_state(folder)
    each = task(world, stage(model=load_config(folder), start="scratch", average={"shipped": 0.75}))
    with torch.no_grad():
        for parameter in each.model.parameters():
            parameter.zero_()
    each._average()
    for name, parameter in each.model.named_parameters():
        assert torch.allclose(parameter, 0.75 * stored[name].float(), atol=1e-4), name


def test_model_flops_are_near_what_torch_counts(world: Any, stage: Stages, tiny_model: Models) -> None:
    """The encoder alone: the formula leaves out the reader's small heads and its few question queries."""
    model = tiny_model("attention", width=96, ffn_width=384, decoder_layers=0)
    each = task(world, stage(model=model))
    batch = each.batch(1)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        each.model.encode(batch.inputs, dtype=torch.float32)
    assert each.flops(batch) == pytest.approx(3 * counter.get_total_flops(), rel=0.1)


def test_the_held_out_loss_is_reproducible(world: Any, stage: Stages) -> None:
    each = task(world, stage())
    first, second = each.held_out(), each.held_out()
    assert first == second and first[each.held_out_loss] > 0.5


def test_a_head_that_the_other_reader_lacks_keeps_its_weights(world: Any, stage: Stages, tmp_path: Path) -> None:
    config = load_config(asset("reader"))
    state = {name: tensor for name, tensor in load_state(asset("reader")).items() if not name.startswith("list_mode.")}
    former = tmp_path / "former"
    without = config.model_copy(update={"lists": False})
    save_checkpoint(former, state, without, tokenizer=None, card=None, storage="float32")
    each = task(world, stage(model=config, start="shipped", average={str(former): 0.5}))
    with torch.no_grad():
        for parameter in each.model.parameters():
            parameter.zero_()
        each.model.list_mode.weight.fill_(3.0)
    each._average()
    assert torch.equal(each.model.list_mode.weight, torch.full_like(each.model.list_mode.weight, 3.0))
    assert torch.allclose(each.model.span.weight, state["span.weight"] * 0.5, atol=1e-4)


def test_a_reader_of_lists_learns_its_head(world: Any, stage: Stages, tiny_model: Models) -> None:
    each = task(world, stage(model=tiny_model("hyena", lists=True)))
    loss, parts = each.loss(each.batch(0), 0.0)
    loss.backward()
    assert parts["list"] > 0 and each.model.list_mode is not None
    assert each.model.list_mode.weight.grad is not None and each.model.list_mode.weight.grad.abs().sum() > 0


def test_a_larger_reader_teaches_spans_and_answer_modes(
    world: Any, stage: Stages, tiny_model: Models, tmp_path: Path
) -> None:
    """On the same whole contexts: no error against a copy of itself, one that falls in training against another."""
    large, small = tiny_model(width=32, lists=True, null_width=8), tiny_model(lists=True, null_width=8)
    torch.manual_seed(4)
    teacher = ReaderModel(large)
    with torch.no_grad():
        teacher.mode.weight.mul_(30)
        teacher.span.weight.mul_(30)
    state = teacher.state_dict()
    save_checkpoint(tmp_path / "large", state, large, tokenizer=None, card=None, storage="float32")
    name = str(tmp_path / "large")
    with pytest.raises(TrainingError, match=r"teacher .*large has width 32 and 2 layers") as caught:
        task(world, stage(model=small, teacher=name))
    assert "hidden_weight" in str(caught.value.hint)
    taught = {"teacher": name, "hidden_weight": 0.0, "teacher_weight": 1.0, "mode_weight": 1.0}
    copy = task(world, stage(model=large, start=name, **taught))
    copy.model.idf.copy_(copy.teacher.idf)
    with torch.no_grad():
        _, parts = copy.loss(copy.batch(2), 0.5)
    assert float(parts["teacher"]) == pytest.approx(0, abs=1e-5) and float(parts["modes"]) == pytest.approx(0, abs=1e-5)
    assert "hidden" not in parts
    other = task(world, stage(model=small, span_weight=0.0, write_weight=0.0, **taught))
    batch = other.batch(2)
    optimizer = torch.optim.Adam(other.model.parameters(), lr=3e-3)
    seen = []
    for _ in range(25):
        loss, parts = other.loss(batch, 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append((float(parts["teacher"].detach()), float(parts["modes"].detach())))
    assert seen[-1][0] < 0.7 * seen[0][0] and seen[-1][1] < 0.5 * seen[0][1]
    with pytest.raises(ValueError, match="mode_weight needs a teacher"):
        stage(mode_weight=1.0)
