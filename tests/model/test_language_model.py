"""The causal language model: the published checkpoint's numbers, its key layout, and that it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from ragyena.config import CausalModelConfig
from ragyena.errors import UsageError
from ragyena.model.checkpoint import load_config, load_into, load_state, save_checkpoint
from ragyena.model.language_model import CausalLM

SMALL = CausalModelConfig(vocab_size=61, width=24, depth=2, ffn_width=48, max_length=64, filter_width=16)


def relative(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.detach().double(), expected.detach().double()
    return float((actual - expected).norm() / expected.norm().clamp_min(1e-30))


def published_model(dump) -> CausalLM:
    config = dump.config
    layer = config["layer"]
    return CausalLM(
        CausalModelConfig(
            vocab_size=config["vocab_size"],
            width=config["d_model"],
            depth=config["n_layer"],
            ffn_width=config["d_inner"],
            pad_vocab_multiple=config["pad_vocab_size_multiple"],
            max_length=layer["l_max"],
            modulate=layer["modulate"],
            filter_embedding=layer["emb_dim"],
            filter_width=layer["filter_order"],
            sine_frequency=layer["w"],
        )
    )


def test_published_logits_loss_and_gradients(published) -> None:
    dump = published("lm_small")
    model = published_model(dump)
    load_into(model, dump.group("sd."), "the dump")
    ids = dump["ids"]
    assert relative(model(ids), dump["logits"]) <= 1e-4
    loss = model.loss(ids)
    assert float(loss.detach()) == pytest.approx(float(str(dump.arrays["loss"])), rel=1e-5)
    loss.backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    wanted = dump.group("d.")
    assert gradients.keys() == wanted.keys()
    for key, gradient in gradients.items():
        assert gradient is not None
        assert relative(gradient, wanted[key]) <= 1e-4, key


def test_published_model_decodes_token_by_token(published) -> None:
    dump = published("lm_small")
    model = published_model(dump)
    load_into(model, dump.group("sd."), "the dump")
    ids, wanted = dump["ids"], dump["logits"]
    logits, state = model.prefill(ids[:, :77], 51)
    for t in range(77, 128):
        assert relative(logits, wanted[:, t - 1]) <= 1e-4
        logits, state = model.step(ids[:, t], state)


def test_state_keys_are_the_released_checkpoints() -> None:
    keys = set(CausalLM(SMALL).state_dict())
    layer = {
        *(f"mixer.{p}_proj.{w}" for p in ("in", "out") for w in ("weight", "bias")),
        *("mixer.short_filter.weight", "mixer.short_filter.bias", "mixer.filter_fn.bias"),
        *("mixer.filter_fn.pos_emb.z", "mixer.filter_fn.pos_emb.t", "mixer.filter_fn.modulation.deltas"),
        *(f"mixer.filter_fn.implicit_filter.{i}.{w}" for i in (0, 2, 4) for w in ("weight", "bias")),
        *(f"mixer.filter_fn.implicit_filter.{i}.freq" for i in (1, 3, 5)),
        "mixer.filter_fn.implicit_filter.6.weight",
        *(f"{m}.{w}" for m in ("norm1", "norm2", "mlp.fc1", "mlp.fc2") for w in ("weight", "bias")),
    }
    assert keys == {
        "backbone.embeddings.word_embeddings.weight",
        *(f"backbone.layers.{i}.{key}" for i in range(2) for key in layer),
        *("backbone.ln_f.weight", "backbone.ln_f.bias", "lm_head.weight"),
    }


@pytest.mark.parametrize(("storage", "tolerance"), [("float32", 0.0), ("bfloat16", 0.05)])
def test_checkpoint_round_trip(tmp_path: Path, storage, tolerance: float) -> None:
    model = CausalLM(SMALL)
    save_checkpoint(tmp_path, model.state_dict(), SMALL, tokenizer=None, card=None, storage=storage)
    config = load_config(tmp_path)
    assert isinstance(config, CausalModelConfig)
    again = CausalLM(config)
    load_into(again, load_state(tmp_path), str(tmp_path))
    assert again.lm_head.weight is again.backbone.embeddings.word_embeddings.weight
    ids = torch.randint(61, (2, 30))
    assert relative(again(ids), model(ids)) <= tolerance


def test_untied_output_is_its_own_matrix() -> None:
    model = CausalLM(SMALL.model_copy(update={"tie_embeddings": False}))
    assert model.lm_head.weight is not model.backbone.embeddings.word_embeddings.weight
    assert model(torch.randint(61, (1, 5))).shape == (1, 5, 64)


def test_initial_loss_is_that_of_a_uniform_guess_and_training_lowers_it() -> None:
    torch.manual_seed(0)
    model = CausalLM(SMALL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    ids = torch.randint(61, (4, 48))  # random text, to be learned by heart
    losses = []
    for _ in range(80):
        loss = model.loss(ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(4.16, abs=0.15)  # ln 64
    assert losses[-1] < 0.5


def test_no_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match="no tokens"):
        CausalLM(SMALL)(torch.zeros(1, 0, dtype=torch.long))


def test_configuration_is_checked() -> None:
    for wrong in ({"order": 1}, {"filter_embedding": 32}, {"decay_target": 0.0}, {"l_max": 5}):
        with pytest.raises(ValidationError):
            CausalModelConfig(**wrong)
