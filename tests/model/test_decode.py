"""Decoding from constant-size state: token by token equals the whole pass at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ragyena.config import CausalModelConfig
from ragyena.errors import UsageError
from ragyena.model.decode import sample
from ragyena.model.language_model import CausalLM
from ragyena.model.mixers.causal_hyena import CausalHyena


def relative(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.detach().double(), expected.detach().double()
    return float((actual - expected).norm() / expected.norm().clamp_min(1e-30))


def make_mixer(order: int, max_length: int, short_filter: int = 3, width: int = 5) -> CausalHyena:
    torch.manual_seed(order + 7 * max_length)
    return CausalHyena(CausalModelConfig(width=width, max_length=max_length, order=order, short_filter=short_filter))


def make_model(order: int = 2, max_length: int = 64, depth: int = 2) -> CausalLM:
    torch.manual_seed(order)
    config = CausalModelConfig(
        vocab_size=61, width=24, depth=depth, ffn_width=48, order=order, max_length=max_length, filter_width=16
    )
    model = CausalLM(config)
    with torch.no_grad():  # larger than at initialisation, so that every part matters to the logits
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter *= 4
    return model.eval()


@settings(max_examples=50, deadline=None)
@given(
    order=st.integers(2, 4),
    prompt=st.integers(0, 40),
    new=st.integers(1, 30),
    max_length=st.integers(1, 50),
    short_filter=st.integers(1, 5),
    limited=st.booleans(),
)
def test_prefill_and_steps_equal_the_whole_pass(
    order: int, prompt: int, new: int, max_length: int, short_filter: int, limited: bool
) -> None:
    """In fp64, at any lengths: prompts shorter and longer than the filters, rings that wrap, no prompt at all."""
    mixer = make_mixer(order, max_length, short_filter).double()
    x = torch.randn(2, prompt + new, 5, dtype=torch.float64)
    whole = mixer(x)
    steps = new if limited else None
    if prompt:
        y, state = mixer.prefill(x[:, :prompt], steps)
        assert torch.allclose(y, whole[:, :prompt], rtol=1e-10, atol=1e-10)
    else:
        state = mixer.empty_state(2, device=torch.device("cpu"), dtype=torch.float64, steps=steps)
    for t in range(prompt, prompt + new):
        y, state = mixer.step(x[:, t], state)
        assert torch.allclose(y, whole[:, t], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(("prompt", "new"), [(1, 33), (37, 26), (63, 1)])
def test_language_model_steps_equal_the_full_pass_in_fp32(order: int, prompt: int, new: int) -> None:
    model = make_model(order)
    ids = torch.randint(61, (3, prompt + new))
    with torch.no_grad():
        whole = model(ids)
    logits, state = model.prefill(ids[:, :prompt], new)
    assert relative(logits, whole[:, prompt - 1]) <= 1e-5
    for t in range(prompt, prompt + new):
        logits, state = model.step(ids[:, t], state)
        assert relative(logits, whole[:, t]) <= 1e-5


def test_bf16_steps_agree_with_bf16_pass() -> None:
    model = make_model().to(torch.bfloat16)
    ids = torch.randint(61, (2, 40))
    with torch.no_grad():
        whole = model(ids)
    logits, state = model.prefill(ids[:, :25], 15)
    for t in range(25, 40):
        logits, state = model.step(ids[:, t], state)
        assert relative(logits, whole[:, t]) <= 3e-2


def test_state_size_depends_on_the_room_not_on_the_prompt() -> None:
    mixer = make_mixer(order=3, max_length=4096, width=8)
    sizes = {length: mixer.prefill(torch.randn(2, length, 8), 16)[1].nbytes() for length in (100, 1000, 4000)}
    assert len(set(sizes.values())) == 1
    # 2 convolutions x 2 sequences x 8 channels x (16 tail + 16 recent), 2 x 8 x 32 filter lags, and 2 x 32 x 2 history
    assert sizes[100] == 4 * (2 * 2 * 8 * 32 + 2 * 8 * 32 + 2 * 32 * 2)
    attention_cache = 2 * 4 * 2 * 4000 * 8
    assert sizes[4000] < attention_cache / 30
    model = make_model()
    _, state = model.prefill(torch.randint(61, (1, 30)), 8)
    assert state.nbytes() == sum(layer.nbytes() for layer in state.layers) > 0


def test_a_full_state_refuses_another_token() -> None:
    mixer = make_mixer(order=2, max_length=64)
    _, state = mixer.prefill(torch.randn(1, 5, 5), 2)
    for _ in range(2):
        _, state = mixer.step(torch.randn(1, 5), state)
    with pytest.raises(UsageError, match="room for 2 tokens"):
        mixer.step(torch.randn(1, 5), state)


def test_clone_is_independent_and_select_reorders() -> None:
    model = make_model(order=3)
    ids = torch.randint(61, (3, 20))
    _, state = model.prefill(ids, 4)
    kept, rows = state.clone(), torch.tensor([2, 0, 0])
    picked = state.select(rows)
    logits, _ = model.step(torch.tensor([1, 2, 3]), state)
    again, _ = model.step(torch.tensor([1, 2, 3]), kept)
    assert torch.equal(logits, again)
    chosen, _ = model.step(torch.tensor([3, 1, 1]), picked)
    assert torch.allclose(chosen, logits[rows], rtol=1e-5, atol=1e-5)


def test_greedy_generation_is_the_argmax_of_the_full_pass() -> None:
    model = make_model(order=3)
    prompt = torch.randint(61, (2, 11))
    written = model.generate(prompt, max_new_tokens=9, temperature=0.0, seed=0, stop_id=None)
    ids = prompt
    for _ in range(9):
        with torch.no_grad():
            ids = torch.cat([ids, model(ids)[:, -1, :61].argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(written, ids[:, 11:])


def test_sampled_generation_follows_its_seed() -> None:
    model = make_model()
    prompt = torch.randint(61, (2, 11))

    def write(seed: int) -> Tensor:
        return model.generate(prompt, max_new_tokens=24, temperature=1.0, seed=seed, stop_id=None)

    assert torch.equal(write(1), write(1))
    assert not torch.equal(write(1), write(2))
    assert int(write(1).max()) < 61  # never a padding row of the embedding


def test_generation_past_the_filters_length_goes_on() -> None:
    model = make_model(max_length=16)
    prompt = torch.randint(61, (1, 20))
    written = model.generate(prompt, max_new_tokens=40, temperature=0.0, seed=0, stop_id=None)
    with torch.no_grad():
        logits = model(torch.cat([prompt, written], dim=1))[:, 19:-1, :61]
    assert torch.equal(written, logits.argmax(-1))


def test_generation_stops() -> None:
    model = make_model()
    prompt = torch.randint(61, (1, 11))
    free = model.generate(prompt, max_new_tokens=12, temperature=1.0, seed=3, stop_id=None)
    stop = int(free[0, 4])
    first = free[0].tolist().index(stop)
    stopped = model.generate(prompt, max_new_tokens=12, temperature=1.0, seed=3, stop_id=stop)
    assert torch.equal(stopped, free[:, : first + 1])
    assert model.generate(prompt, max_new_tokens=0, temperature=0.0, seed=0, stop_id=None).shape == (1, 0)


def test_sampling_follows_the_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0]).expand(30_000, 3)
    drawn = sample(logits, temperature=2.0, generator=torch.Generator().manual_seed(0))
    frequency = torch.bincount(drawn, minlength=3) / len(drawn)
    assert torch.allclose(frequency, (logits[0] / 2).softmax(0), atol=0.015)
    with pytest.raises(UsageError, match="temperature is -1"):
        sample(logits, temperature=-1, generator=None)
