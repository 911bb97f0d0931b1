"""Layers that decide yes or no in the place of a pair reader's last ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ragyena.config import PairModelConfig, PolarModelConfig
from ragyena.errors import CheckpointError
from ragyena.model.checkpoint import load_config, load_model, save_checkpoint, weights_key
from ragyena.model.inputs import ContextShape
from ragyena.model.pair_reader import PairReader
from ragyena.model.polar_branch import PolarBranch
from tests.model.test_pair_reader import contexts

SHAPE = {"width": 32, "heads": 4, "ffn_width": 48}
PASSAGES = [[2054, 2003, 1996], [3007, 1997, 2605, 2003, 3000], [2009]]
QUESTION = [2040, 2003]


def trunk(**settings: int) -> PairReader:
    torch.manual_seed(5)
    sizes = {"vocab_size": 30522, "depth": 3, "positions": 420, **SHAPE, **settings}
    return PairReader(PairModelConfig.model_validate(sizes)).eval()


def branch(**settings: int) -> PolarBranch:
    torch.manual_seed(6)
    return PolarBranch(PolarModelConfig.model_validate({"layers": 2, **SHAPE, **settings})).eval()


def test_started_from_the_trunk_it_reads_as_the_trunk_does() -> None:
    batch, model, own = contexts(PASSAGES, QUESTION), trunk(), branch()
    own.start_from(model)
    with torch.no_grad():
        own.head.weight[:2] = model.null.weight
        scores = own.scores(model, batch, dtype=torch.float32)
        null = model.span_scores(batch, dtype=torch.float32).null  # the mean over passages of the same states
    torch.testing.assert_close(scores[..., :2].mean(1), null)


def test_a_passage_is_read_alone_and_its_padding_changes_nothing() -> None:
    model, own = trunk(), branch()
    with torch.no_grad():
        together = own.scores(model, contexts(PASSAGES, QUESTION), dtype=torch.float32)
        alone = own.scores(model, contexts(PASSAGES[1:2], QUESTION, slot=40), dtype=torch.float32)
    torch.testing.assert_close(together[:, 1], alone[:, 0], atol=1e-5, rtol=1e-5)


def test_only_its_own_layers_get_a_gradient() -> None:
    model, own = trunk(), branch()
    own.scores(model, contexts(PASSAGES, QUESTION), dtype=torch.float32).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in own.head.parameters())
    assert all(p.grad is not None for p in own.parameters())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("settings", "reason"), [({"width": 64}, "width is 64"), ({"heads": 2}, "heads"), ({"layers": 4}, "4 layers")]
)
def test_another_shape_is_refused(settings: dict[str, int], reason: str) -> None:
    assert reason in str(branch(**settings).misfit(trunk()))
    with pytest.raises(ValueError, match=reason):
        branch(**settings).start_from(trunk())


def test_it_is_stored_and_loaded(tmp_path: Path) -> None:
    own, batch = branch(), contexts(PASSAGES, QUESTION)
    save_checkpoint(tmp_path, own.state_dict(), own.config, tokenizer=None, card=None, storage="float32")
    config = load_config(tmp_path)
    assert isinstance(config, PolarModelConfig)
    loaded = load_model(PolarBranch, config, tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(*(each.scores(trunk(), batch, dtype=torch.float32) for each in (loaded, own)))
    larger = config.model_copy(update={"ffn_width": 4800})
    with pytest.raises(CheckpointError, match="describes at least"):
        load_model(PolarBranch, larger, tmp_path)


def test_its_work_grows_with_its_layers() -> None:
    shape = ContextShape(question=16, passages=4, slot=48)
    assert branch(layers=2).flops(shape) == pytest.approx(2 * branch(layers=1).flops(shape))


def test_weights_have_a_name_of_their_own_though_their_folder_says_nothing_of_them(tmp_path: Path) -> None:
    names = []
    for seed, folder in enumerate((tmp_path / "one", tmp_path / "two")):
        torch.manual_seed(seed)
        own = PolarBranch(PolarModelConfig.model_validate({"layers": 1, **SHAPE}))
        save_checkpoint(folder, own.state_dict(), own.config, tokenizer=None, card=None, storage="float32")
        names.append(weights_key(folder))
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        del values["weights_sha256"]
        (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
        names.append(weights_key(folder))
    assert len(set(names)) == 4
