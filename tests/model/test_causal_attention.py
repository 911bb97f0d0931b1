"""The Transformer baseline: causal, aware of distance alone, the same function at once and token by token."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from ragyena.config import CausalModelConfig
from ragyena.errors import ConfigError, UsageError
from ragyena.model.checkpoint import load_config, load_into, load_state, save_checkpoint
from ragyena.model.language_model import CausalLM
from ragyena.model.mixers import check_mixers
from ragyena.model.mixers.causal_attention import CausalAttention, rotate, rotation

TRANSFORMER = CausalModelConfig(
    vocab_size=61, width=24, depth=2, ffn_width=48, max_length=64, filter_width=16, heads=4,
    mixers=("attention", "attention"),
)  # fmt: skip
HYBRID = TRANSFORMER.model_copy(update={"mixers": ("hyena", "attention")})


@pytest.fixture(params=["transformer", "hybrid"])
def model(request: pytest.FixtureRequest) -> CausalLM:
    torch.manual_seed(0)
    return CausalLM(TRANSFORMER if request.param == "transformer" else HYBRID).double()


def test_no_token_sees_those_after_it(model: CausalLM) -> None:
    ids = torch.randint(61, (2, 30))
    changed = ids.clone()
    changed[:, 17:] = (changed[:, 17:] + 1) % 61
    before, after = model(ids), model(changed)
    assert torch.allclose(before[:, :17], after[:, :17], atol=1e-12)
    assert not torch.allclose(before[:, 17:], after[:, 17:], atol=1e-3)


def test_attention_is_the_softmax_of_rotated_products() -> None:
    """The definition, written out with complex numbers: scores depend on distance alone."""
    torch.manual_seed(1)
    mixer = CausalAttention(CausalModelConfig(width=8, heads=2, rotary_base=100.0)).double()
    x = torch.randn(1, 9, 8, dtype=torch.float64)
    query, key, value = (part.view(9, 2, 4) for part in mixer.in_proj(x)[0].chunk(3, -1))
    frequency = 100.0 ** -(torch.arange(2, dtype=torch.float64) / 2)
    outputs = torch.zeros(9, 2, 4, dtype=torch.float64)
    for t in range(9):
        turn = torch.exp(1j * (t - torch.arange(t + 1))[:, None] * frequency)
        for head in range(2):
            q, k = query[t, head], key[: t + 1, head]
            product = torch.complex(q[:2], q[2:]) * torch.complex(k[:, :2], -k[:, 2:]) * turn
            weights = (product.real.sum(1) / 2).softmax(0)
            outputs[t, head] = weights @ value[: t + 1, head]
    assert torch.allclose(mixer(x)[0], mixer.out_proj(outputs.flatten(1)), atol=1e-6)  # angles are fp32


def test_rotation_keeps_lengths() -> None:
    x = torch.randn(1, 2, 5, 6)
    angle = torch.randn(5, 3)
    turned = rotate(x, (angle.cos(), angle.sin()))
    assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-5)


def test_layers_that_share_their_rotation_attend_alike() -> None:
    torch.manual_seed(2)
    mixer, x = CausalAttention(CausalModelConfig(width=12, heads=3, rotary_base=100.0)), torch.randn(2, 7, 12)
    assert torch.equal(mixer(x, mixer.shared(7, x.device)), mixer(x))
    assert not torch.allclose(mixer(x, rotation(4, 7.0, 7, x.device)), mixer(x))  # those given are those used


@pytest.mark.parametrize("steps", [13, None])
def test_steps_after_a_prompt_equal_the_whole(model: CausalLM, steps: int | None) -> None:
    ids = torch.randint(61, (2, 30))
    whole = model(ids)
    logits, state = model.prefill(ids[:, :17], steps)
    copy = state.clone()
    for t in range(17, 30):
        assert torch.allclose(logits, whole[:, t - 1], atol=1e-9)
        logits, state = model.step(ids[:, t], state)
    assert torch.allclose(logits, whole[:, -1], atol=1e-9)
    swapped, _ = model.step(ids[[1, 0], 17], copy.select(torch.tensor([1, 0])))
    assert torch.allclose(swapped, whole[[1, 0], 17], atol=1e-9)
    assert copy.nbytes() > 0


def test_a_full_state_says_so() -> None:
    model = CausalLM(TRANSFORMER)
    _, state = model.prefill(torch.randint(61, (1, 4)), 1)
    model.step(torch.tensor([1]), state)
    with pytest.raises(UsageError, match="no room"):
        model.step(torch.tensor([1]), state)


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    model = CausalLM(HYBRID)
    save_checkpoint(tmp_path, model.state_dict(), HYBRID, tokenizer=None, card=None, storage="float32")
    config = load_config(tmp_path)
    assert config == HYBRID
    again = CausalLM(HYBRID)
    load_into(again, load_state(tmp_path), str(tmp_path))
    ids = torch.randint(61, (1, 12))
    assert torch.equal(again(ids), model(ids))


def test_configuration_is_checked() -> None:
    with pytest.raises(ValidationError):
        CausalModelConfig.model_validate({"width": 24, "depth": 2, "mixers": ["attention"]})
    for wrong, problem in (
        ({"mixers": ["attention"] * 2, "heads": 5}, "width 24 is not an even multiple of heads 5"),
        ({"mixers": ["mlp"] * 2}, "unknown mixer 'mlp' of a language model; known: hyena, attention"),
    ):
        config = CausalModelConfig.model_validate({"width": 24, "depth": 2, **wrong})
        for build in (check_mixers, CausalLM):
            with pytest.raises(ConfigError, match=problem):
                build(config)
