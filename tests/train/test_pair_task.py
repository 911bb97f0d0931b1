"""Training a pair reader on gold spans, and distilling its spans into a reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ragyena import recipes
from ragyena.config import PairModelConfig, PairStageConfig, ReaderModelConfig, StageConfig, TrainConfig, parse
from ragyena.errors import CheckpointError, ConfigError, TrainingError
from ragyena.model.pair_reader import PairReader
from ragyena.train.loop import run
from ragyena.train.pair_task import PairTask, load_pair_reader
from ragyena.train.reader_task import ReaderTask
from tests.model.test_pair_reader import save_encoder

TOKENIZER = recipes.asset("reader") / "tokenizer.json"
MODEL = {
    "vocab_size": 30530, "width": 32, "depth": 2, "heads": 4, "ffn_width": 48, "positions": 400, "first_position": 0,
    "segments": 2, "relative_buckets": 0, "separators": 1, "norm_eps": 1e-12,
}  # fmt: skip


def pair_stage(**values: Any) -> PairStageConfig:
    defaults: dict[str, Any] = {
        "name": "pair", "kind": "pair", "model": MODEL, "tokens": 100_000, "tokens_per_step": 1000, "passages": [1, 4],
        "cloze": 0.0, "unanswerable": 0.0, "sentence_removed": 0.0, "perturbed": 0.0, "alias": 0.0, "compile": False,
        "optimizer": {"muon_rate": 3e-3, "adamw_rate": 3e-3, "embedding_rate": 3e-3},
    }  # fmt: skip
    return PairStageConfig.model_validate(defaults | values)


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.model import test_pair_reader

    monkeypatch.setitem(test_pair_reader.SMALL, "max_position_embeddings", 400)
    save_encoder(tmp_path / "encoder", "bert")
    return tmp_path / "encoder"


def pair_task(world: Any, stage: PairStageConfig, runs: Path, encoder: Path | None) -> PairTask:
    config = TrainConfig(data=world.config, stages=(stage,))
    return PairTask(config, stage, world.data, runs=runs, encoder=encoder, device="cpu", tokenizer=TOKENIZER)


def test_it_learns_goes_on_from_its_checkpoint_and_teaches(
    world: Any, encoder: Path, tmp_path: Path, progress: Any, stage: Callable[..., StageConfig]
) -> None:
    pair = pair_stage()
    (result,) = run(
        [pair], lambda _: pair_task(world, pair, tmp_path, encoder), tmp_path, seed=0, device="cpu", progress=progress
    )
    begun = pair_task(world, pair, tmp_path, encoder).held_out()["held-out span"]
    assert result.losses["held-out span"] < begun - 0.5
    kept = load_pair_reader("pair", tmp_path)
    assert isinstance(kept, PairReader)
    student = stage(pair_teacher="pair", alias=1.0, passages=[4], passage_weights=[1.0])
    config = TrainConfig(data=world.config, stages=(student,))
    task = ReaderTask(config, student, world.data, runs=tmp_path, encoder=Path("none"), device="cpu")
    batch = task.batch(0)
    changed = (batch.plain_ids != batch.inputs.question_ids).any(1)
    assert changed.any()  # the student's question has an alias, the teacher's does not
    with torch.no_grad():
        _, parts = task.loss(batch, 0.0)
        (teacher,) = task.pair_teachers
        taught = teacher.span_scores(batch.plain, dtype=torch.float32)
        own = task.model.span_scores(task.model.encode(batch.inputs), batch.inputs.text_mask)
    from ragyena.train.objectives import teacher_loss

    assert float(parts["teacher"]) == pytest.approx(float(teacher_loss(own, taught, batch)), rel=1e-4)
    assert "hidden" not in parts  # it has no states of the student's width


def test_the_average_of_two_is_measured_and_needs_equal_shapes(
    world: Any, encoder: Path, tmp_path: Path, progress: Any
) -> None:
    stages = [pair_stage(name="one", tokens=5000), pair_stage(name="two", tokens=5000, seed=1, average={"one": 0.25})]
    _, result = run(
        stages, lambda each: pair_task(world, each, tmp_path, encoder), tmp_path, seed=0, device="cpu",
        progress=progress,
    )  # fmt: skip
    one, average = (load_pair_reader(name, tmp_path) for name in ("one", "two"))
    single = pair_stage(name="alone", tokens=5000, seed=1)
    run([single], lambda each: pair_task(world, each, tmp_path, encoder), tmp_path, seed=0, device="cpu",
        progress=progress)  # fmt: skip
    alone = load_pair_reader("alone", tmp_path)
    for name, parameter in average.named_parameters():
        expected = 0.25 * one.get_parameter(name) + 0.75 * alone.get_parameter(name)
        assert torch.allclose(parameter, expected, atol=0.01), name
    measured = result.losses["averaged held-out span"]
    assert measured == pytest.approx(
        pair_task(world, pair_stage(start="two"), tmp_path, None).held_out()["held-out span"], rel=0.05
    )
    wide = pair_stage(model=MODEL | {"ffn_width": 64}, average={"one": 0.5})
    with pytest.raises(TrainingError, match="their models differ"):
        pair_task(world, wide, tmp_path, encoder)


def test_a_recipe_of_another_encoder_shape_names_the_settings(world: Any, encoder: Path, tmp_path: Path) -> None:
    other = pair_stage(model=MODEL | {"width": 64, "depth": 3})
    with pytest.raises(CheckpointError) as caught:
        pair_task(world, other, tmp_path, encoder)
    assert "width: 32, depth: 2" in str(caught.value.hint)
    with pytest.raises(TrainingError, match="starts from an encoder"):
        pair_task(world, pair_stage(), tmp_path, None)


def test_a_reader_is_no_pair_reader(tiny_model: Callable[..., ReaderModelConfig], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is not a pair reader"):
        load_pair_reader(str(recipes.asset("reader")), tmp_path)


def test_pairs_longer_than_the_encoder_reads_stop_a_stage_before_it_starts(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.model import test_pair_reader

    monkeypatch.setitem(test_pair_reader.SMALL, "max_position_embeddings", 128)
    save_encoder(tmp_path / "short", "bert")
    with pytest.raises(TrainingError, match="and the encoder reads 128"):
        pair_task(world, pair_stage(model=MODEL | {"positions": 128}), tmp_path, tmp_path / "short")


def test_a_stage_says_its_kind(world: Any) -> None:
    values = {"data": world.config.model_dump(), "stages": [pair_stage().model_dump(), {"name": "x", "kind": "pear"}]}
    with pytest.raises(ConfigError, match="pear"):
        parse(TrainConfig, values, source="recipe")
    config = parse(TrainConfig, values | {"stages": values["stages"][:1]}, source="recipe")
    assert isinstance(config.stages[0], PairStageConfig) and isinstance(config.stages[0].model, PairModelConfig)


def test_its_weights_and_states_start_and_teach_a_reader_of_its_shape(
    world: Any, encoder: Path, tmp_path: Path, progress: Any, stage: Callable[..., StageConfig],
    tiny_model: Callable[..., ReaderModelConfig],
) -> None:  # fmt: skip
    pair = pair_stage(tokens=30_000)
    run([pair], lambda _: pair_task(world, pair, tmp_path, encoder), tmp_path, seed=0, device="cpu", progress=progress)
    shaped = tiny_model(width=32, ffn_width=48)
    taught = stage(model=shaped, start="pair", pair_teacher="pair", pair_hidden_weight=2.0, tokens=40_000)
    config = TrainConfig(data=world.config, stages=(taught,))

    def reader(_: Any = None) -> ReaderTask:
        return ReaderTask(config, taught, world.data, runs=tmp_path, encoder=Path("none"), device="cpu")

    task = reader()
    (teacher,) = task.pair_teachers
    assert torch.equal(task.model.word.weight, teacher.word.weight[teacher.vocabulary])
    with torch.no_grad():
        _, states = teacher.read(task.batch(0).plain, dtype=torch.float32, states=True)
        _, before = task.loss(task.batch(0), 0.0)
    batch = task.batch(0)
    assert [tuple(s.shape) for s in states] == [(*batch.inputs.token_ids.shape, 32)] * 3
    embedded = task.model.embed(batch.inputs, torch.float32)[1]
    assert torch.isfinite(embedded).all() and float(before["hidden"]) > 0.05
    (result,) = run([taught], reader, tmp_path / "reader", seed=0, device="cpu", progress=progress)
    assert result.losses["hidden"] < 0.7 * float(before["hidden"])
    with pytest.raises(TrainingError, match="width 32 and 2 layers, its model width 24 and 2 layers"):
        wrong = taught.model_copy(update={"model": tiny_model(), "start": "scratch"})
        ReaderTask(config, wrong, world.data, runs=tmp_path, encoder=Path("none"), device="cpu")
    with pytest.raises(ValueError, match="pair_hidden_weight needs a pair_teacher"):
        stage(pair_hidden_weight=1.0)


def test_a_reader_can_start_from_the_encoder_itself(
    world: Any, encoder: Path, stage: Callable[..., StageConfig], tiny_model: Callable[..., ReaderModelConfig]
) -> None:
    begun = stage(model=tiny_model(width=32, ffn_width=48), start="pair-encoder")
    config = TrainConfig(data=world.config, stages=(begun,))

    def reader(folder: Path | None) -> ReaderTask:
        return ReaderTask(
            config, begun, world.data, runs=Path("none"), encoder=Path("none"), device="cpu", pair_encoder=folder,
            tokenizer=TOKENIZER,
        )  # fmt: skip

    theirs = load_file(encoder / "model.safetensors")["encoder.layer.1.output.dense.weight"]
    assert torch.equal(reader(encoder).model.state_dict()["layers.1.ffn.contract.weight"], theirs)
    with pytest.raises(TrainingError, match="starts from an encoder"):
        reader(None)
