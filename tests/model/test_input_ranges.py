"""Ranges of what enters a reader's maps: measured, kept beside the weights, and used for int8."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from small_rows import rows_batch, rows_model

from ragyena.errors import CheckpointError
from ragyena.model.checkpoint import save_checkpoint
from ragyena.model.input_ranges import RANGES_FILE, InputRanges, RangeMeter, load_ranges, prepare_int8, save_ranges
from ragyena.model.reader_model import ReaderModel
from ragyena.ops.int8_linear import int8_unavailable

REASON = int8_unavailable()
needs_int8 = pytest.mark.skipif(REASON is not None, reason=str(REASON))
LENGTHS = [[17, 5, 13], [20, 9, 11]]


def _measured(model: ReaderModel) -> InputRanges:
    with torch.inference_mode(), RangeMeter(model) as meter:
        model.encode(rows_batch(LENGTHS, 20))
    assert meter.ranges is not None
    return meter.ranges


def _quiet_model() -> ReaderModel:
    model = rows_model()
    for parameter in model.layers.parameters():  # as after training: no map saturates what follows it
        parameter.mul_(0.3)
    return model


def _folder(folder: Path, model: ReaderModel) -> Path:
    save_checkpoint(folder, model.state_dict(), model.config, tokenizer=None, card=None, storage="float32")
    return folder


def test_every_map_before_a_gate_or_a_residual_is_measured() -> None:
    ranges = _measured(rows_model())
    kinds = ("mixer.project", "mixer.query", "ffn.expand", "ffn.contract")
    assert ranges.inputs.keys() == {f"layers.{layer}.{kind}" for layer in range(3) for kind in kinds}
    assert all(low < high for low, high in ranges.inputs.values())
    assert ranges.inputs["layers.0.mixer.project"] == ranges.inputs["layers.0.mixer.query"]
    assert ranges.inputs["layers.1.ffn.contract"][0] >= -0.18  # GELU's least value


def test_padded_contexts_and_nothing_give_no_ranges() -> None:
    model = rows_model()
    with RangeMeter(model) as meter:
        list(model.encode_layers(rows_batch(LENGTHS, 20)))
    assert meter.ranges is None


def test_a_meter_leaves_no_hooks() -> None:
    model = rows_model()
    _measured(model)
    assert not any(module._forward_hooks for module in model.modules())


@needs_int8
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", [[[17, 5, 13]], [[3, 20, 1], [20, 2, 11]]])
def test_a_reader_in_int8_has_nearly_the_same_states(dtype: torch.dtype, lengths: list[list[int]]) -> None:
    plain, model, batch = _quiet_model(), _quiet_model(), rows_batch(lengths, 20)
    ranges = _measured(plain)
    prepare_int8(model, ranges)
    model.prepare_inference(dtype)
    model.prepare_cpu()
    with torch.inference_mode():
        expected, got = plain.encode(batch), model.encode(batch)
    assert model.int8 and not plain.int8
    mask = batch.token_mask
    error = (got.passages[mask].float() - expected.passages[mask]).norm() / expected.passages[mask].norm()
    assert error < 0.05
    layers = [module for name, module in model.named_modules() if name in ranges.inputs]
    assert all(module._laid_out is None for module in layers)  # held in one layout beside the weights


@needs_int8
def test_a_map_that_the_model_has_not_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"layers\.9\.ffn\.expand"):
        prepare_int8(rows_model(), InputRanges(inputs={"layers.9.ffn.expand": (-1.0, 1.0)}))


def test_ranges_are_kept_beside_the_weights(tmp_path: Path) -> None:
    model = rows_model()
    folder = _folder(tmp_path, model)
    assert load_ranges(folder) is None
    ranges = _measured(model)
    assert save_ranges(folder, ranges) == folder / RANGES_FILE
    assert load_ranges(folder) == ranges
    assert not list(folder.glob(".*"))


def test_ranges_of_other_weights_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = rows_model()
    save_ranges(_folder(tmp_path, model), _measured(model))
    model.span.weight.add_(1.0)
    _folder(tmp_path, model)
    with caplog.at_level(logging.WARNING):
        assert load_ranges(tmp_path) is None
    assert "other weights" in caplog.text


@pytest.mark.parametrize("change", [{"format": 2}, {"inputs": {"a": [0.0]}}, {"inputs": {"a": [0.0, "x"]}}, None])
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object] | None) -> None:
    model = rows_model()
    path = save_ranges(_folder(tmp_path, model), InputRanges(inputs={"layers.0.ffn.expand": (-1.0, 1.0)}))
    path.write_text("[]" if change is None else json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=RANGES_FILE):
        load_ranges(tmp_path)
