"""The reader model: scopes, boundaries, masks, and the attention baseline."""

from __future__ import annotations

import math

import pytest
import torch

from ragyena.config import ReaderModelConfig
from ragyena.model.inputs import ReaderInput
from ragyena.model.mixers.hyena import HyenaMixer
from ragyena.model.reader_model import Encoded, ReaderModel
from ragyena.ops.reference import slot_conv_reference


def tiny(**values: object) -> ReaderModelConfig:
    defaults = {
        "vocab_size": 50, "width": 24, "heads": 4, "ffn_width": 48, "mixers": ["hyena"] * 2, "context_channels": [0, 0],
        "near_taps": 3, "filter_width": 8, "filter_bands": 4, "max_slot_tokens": 40, "max_question_tokens": 16,
        "decoder_layers": 1, "max_answer_tokens": 8,
    }  # fmt: skip
    return ReaderModelConfig.model_validate(defaults | values)


def awake(config: ReaderModelConfig, seed: int = 0) -> ReaderModel:
    """A model whose filters are not at their zero start, so that far tokens matter."""
    torch.manual_seed(seed)
    model = ReaderModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "filter.output" in name or "taps" in name:
                parameter.normal_(std=0.3)
    return model


def contexts(batch: int = 2, question: int = 6, passages: int = 3, slot: int = 17, seed: int = 1) -> ReaderInput:
    generator = torch.Generator().manual_seed(seed)
    token_mask = torch.ones(batch, passages, slot, dtype=torch.bool)
    token_mask[:, :, -4:] = False
    question_mask = torch.ones(batch, question, dtype=torch.bool)
    question_mask[0, -2:] = False
    return ReaderInput(
        question_ids=torch.randint(4, 50, (batch, question), generator=generator),
        question_mask=question_mask,
        token_ids=torch.randint(4, 50, (batch, passages, slot), generator=generator),
        token_mask=token_mask,
        text_mask=token_mask.clone(),
    )


def with_token(inputs: ReaderInput, passage: int, position: int, token: int = 3) -> ReaderInput:
    ids = inputs.token_ids.clone()
    ids[:, passage, position] = token
    return ReaderInput(inputs.question_ids, inputs.question_mask, ids, inputs.token_mask, inputs.text_mask)


def change(model: ReaderModel, before: ReaderInput, after: ReaderInput) -> torch.Tensor:
    """[P] the largest change of any state of each passage."""
    with torch.no_grad():
        return (model.encode(before).passages - model.encode(after).passages).abs().amax((0, 2, 3))


@pytest.mark.parametrize(
    ("mixer", "context_channels", "boundary"),
    [("hyena", 0, "modulated"), ("hyena", 12, "reset"), ("hyena", 24, "reset"), ("local_attention", 0, "none")],
)
def test_a_passage_scope_layer_keeps_passages_apart(mixer: str, context_channels: int, boundary: str) -> None:
    model = awake(tiny(mixers=[mixer] * 2, context_channels=[context_channels] * 2, boundary=boundary))
    moved = change(model, contexts(), with_token(contexts(), 1, 5))
    assert moved[1] > 1e-3 and max(moved[0], moved[2]) < 1e-5  # a library's sums depend on how its buffers lie


@pytest.mark.parametrize(
    ("mixer", "context_channels", "boundary"),
    [("hyena", 12, "none"), ("hyena", 24, "none"), ("hyena", 12, "modulated"), ("attention", 0, "none")],
)
def test_a_context_scope_layer_joins_passages(mixer: str, context_channels: int, boundary: str) -> None:
    model = awake(tiny(mixers=[mixer] * 2, context_channels=[context_channels] * 2, boundary=boundary))
    moved = change(model, contexts(), with_token(contexts(), 1, 5))
    assert (moved > 1e-5).all()


def test_padding_has_no_effect() -> None:
    for mixer, channels in (("hyena", 12), ("attention", 0), ("local_attention", 0)):
        model = awake(tiny(mixers=[mixer] * 2, context_channels=[channels] * 2))
        inputs = contexts()
        with torch.no_grad():
            before = model.encode(inputs).passages * inputs.token_mask[..., None]
            after = model.encode(with_token(inputs, 1, -1)).passages * inputs.token_mask[..., None]
        # a context-scope filter reaches padding's neighbours through the short convolution alone: never further
        assert (before - after).abs().max() < 1e-4, mixer


def test_the_question_does_not_see_the_passages() -> None:
    for mixer, channels in (("hyena", 12), ("attention", 0), ("local_attention", 0)):
        model = awake(tiny(mixers=[mixer] * 2, context_channels=[channels] * 2))
        with torch.no_grad():
            before = model.encode(contexts()).question
            after = model.encode(with_token(contexts(), 0, 2)).question
        assert torch.equal(before, after)


def test_modulation_is_a_filter_of_both_lags() -> None:
    """The factored form equals the definition: h(dt) cos(theta ds), summed over all tokens."""
    config = tiny(context_channels=[24, 24], boundary="modulated")
    mixer = awake(config).layers[0].mixer
    assert isinstance(mixer, HyenaMixer)
    batch, question, passages, slot, width = 2, 5, 3, 7, 24
    q = torch.randn(batch, question, width)
    p = torch.randn(batch * passages, slot, width)
    with torch.no_grad():
        _, got = mixer._convolve(q, p, passages)
        length = question + passages * slot
        taps = mixer.context_filter(length)
        flat = torch.cat([q, p.view(batch, -1, width)], 1)
        segment = torch.cat([torch.zeros(question), torch.arange(1, passages + 1).repeat_interleave(slot).float()])
        apart = segment[:, None] - segment[None, :]
        lags = torch.arange(length)[:, None] - torch.arange(length)[None, :] + length - 1
        weights = taps[:, lags] * torch.cos(mixer.boundary_angle[:, None, None] * apart)
        want = torch.einsum("dts,bsd->btd", weights.double(), flat.double())[:, question:]
    assert (got.view(batch, -1, width).double() - want).norm() <= 1e-5 * want.norm()


def test_passage_filters_convolve_each_slot() -> None:
    mixer = awake(tiny()).layers[0].mixer
    q, p = torch.randn(2, 5, 24), torch.randn(6, 11, 24)
    with torch.no_grad():
        got_q, got_p = mixer._convolve(q, p, 3)
        taps = mixer.passage_filter(11)
    assert (got_p - slot_conv_reference(p, taps)).norm() <= 1e-5 * got_p.norm()
    assert (got_q - slot_conv_reference(q, taps[:, 6:-6])).norm() <= 1e-5 * got_q.norm()


def test_match_features_mark_words_and_pairs_of_the_question() -> None:
    model = ReaderModel(tiny())
    model.idf.copy_(torch.linspace(0, 1, 50))
    inputs = ReaderInput(
        question_ids=torch.tensor([[1, 10, 11, 12, 2, 0]]),
        question_mask=torch.tensor([[True, True, True, True, True, False]]),
        token_ids=torch.tensor([[[10, 11, 30, 12, 1, 2, 11, 0]]]),
        token_mask=torch.tensor([[[True] * 7 + [False]]]),
        text_mask=torch.tensor([[[True] * 7 + [False]]]),
    )
    word, weighted, pair = model.match_features(inputs)[0, 0].unbind(-1)
    assert word.tolist() == [1, 1, 0, 1, 0, 0, 1, 0]  # begin, end and padding match nothing
    assert pair.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert weighted.tolist() == pytest.approx(
        [i / 49 * w for i, w in zip([10, 11, 30, 12, 1, 2, 11, 0], word.tolist())]
    )


def test_one_softmax_runs_over_the_whole_context() -> None:
    model, inputs = awake(tiny()), contexts()
    scores = model.span_scores(model.encode(inputs), inputs.text_mask)
    start, end, null = scores.log_probabilities()
    for part, none in ((start, null[:, 0]), (end, null[:, 1])):
        total = part.exp().sum((1, 2)) + none.exp()
        assert torch.allclose(total, torch.ones(2), atol=1e-5)
        assert (part.exp()[~inputs.text_mask] == 0).all()


@torch.no_grad()
def test_no_answer_looks_at_where_the_likeliest_answer_is() -> None:
    model, inputs = awake(tiny(null_width=8)), contexts()
    encoded = model.encode(inputs)
    head = model.null_of_span
    assert head is not None
    scores = model.span_scores(encoded, inputs.text_mask)
    assert torch.equal(scores.null, model.null(encoded.question[:, 0]))  # it starts with nothing to say
    head.contract.weight.normal_()
    model.span.weight *= 1e3  # one token has all the probability
    scores = model.span_scores(encoded, inputs.text_mask)

    def change_of_null(token: int) -> float:
        moved = encoded.passages.clone()
        moved.view(2, -1, 24)[0, token] *= 1.1
        return float(
            (model.span_scores(Encoded(encoded.question, moved), inputs.text_mask).null - scores.null).abs().max()
        )

    start, end = scores.start[0].flatten(), scores.end[0].flatten()
    assert change_of_null(int(start.argmax())) > 1e-3
    assert change_of_null(int(torch.maximum(start, end).argmin())) == 0.0


def test_no_answer_moves_no_span_score() -> None:
    model, inputs = awake(tiny(null_width=8)), contexts()
    assert model.null_of_span is not None
    torch.nn.init.normal_(model.null_of_span.contract.weight)
    model.span_scores(model.encode(inputs), inputs.text_mask).null.sum().backward()
    assert model.span.weight.grad is None
    assert model.null_of_span.expand.weight.grad is not None


def test_batching_changes_nothing() -> None:
    model, inputs = awake(tiny(context_channels=[0, 12])), contexts()
    with torch.no_grad():
        together = model.encode(inputs).passages
        for row in range(2):
            alone = model.encode(inputs.row(row)).passages
            assert torch.allclose(together[row], alone[0], atol=1e-5)


def test_half_precision_weights_give_nearly_the_same_states() -> None:
    model, inputs = awake(tiny()), contexts()
    with torch.no_grad():
        full = model.encode(inputs).passages
        model.prepare_inference(torch.bfloat16)
        half = model.encode(inputs).passages
    assert half.dtype == torch.bfloat16
    assert (half.float() - full).norm() < 0.03 * full.norm()


def test_decoding_step_by_step_equals_the_full_pass() -> None:
    model, inputs = awake(tiny(decoder_layers=2)), contexts()
    decoder, word = model.decoder, model.word.weight
    assert decoder is not None
    ids = torch.randint(4, 50, (2, 7), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        encoded = model.encode(inputs)
        memory = decoder.memory(encoded.question, encoded.passages, inputs)
        full = decoder.hidden(ids, memory, word)
        states = decoder.begin(2, ids.device, torch.float32)
        for position in range(7):
            step, states = decoder.step(ids[:, position], states, memory, word)
            expected = decoder.distribution(full[:, position : position + 1], memory, word)
            assert torch.allclose(step.vocabulary, expected.vocabulary, atol=1e-4)
            assert torch.allclose(step.copy, expected.copy, atol=1e-5)
            assert torch.allclose(step.gate, expected.gate, atol=1e-5)


def test_the_decoders_loss_is_the_probability_of_its_own_distribution() -> None:
    model, inputs = awake(tiny(decoder_layers=2)), contexts()
    decoder, word = model.decoder, model.word.weight
    assert decoder is not None
    answer = torch.tensor([[7, 9, 2, 0], [5, 2, 0, 0]])
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    with torch.no_grad():
        encoded = model.encode(inputs)
        loss = decoder.loss(answer, mask, encoded.question, encoded.passages, inputs, word)
        memory = decoder.memory(encoded.question, encoded.passages, inputs)
        total = 0.0
        for row in range(2):
            states = decoder.begin(2, answer.device, torch.float32)
            previous = memory.begin_ids
            for position in range(int(mask[row].sum())):
                step, states = decoder.step(previous, states, memory, word)
                target = answer[row, position]
                copied = step.copy[row][memory.ids[row] == target].sum()
                p = (1 - step.gate[row]) * step.vocabulary[row, target].exp() + step.gate[row] * copied
                total -= math.log(float(p))
                previous = answer[:, position]
    assert float(loss) == pytest.approx(total / 5, rel=1e-4)


@torch.no_grad()
def test_attention_across_passages_knows_how_far_apart_they_are() -> None:
    """Two passages swapped about a third: only their distances to it change, and so its attention to them."""
    model, inputs = awake(tiny(mixers=["attention"] * 2, context_channels=[0, 0])), contexts()
    passages = inputs.token_ids.shape[1]
    assert passages > 2
    order = torch.tensor([0, passages - 1, *range(2, passages - 1), 1])
    moved = ReaderInput(
        inputs.question_ids, inputs.question_mask, inputs.token_ids[:, order], inputs.token_mask[:, order],
        inputs.text_mask[:, order],
    )  # fmt: skip
    one, other = model.encode(inputs), model.encode(moved)
    assert not torch.allclose(one.passages[:, 0], other.passages[:, 0], atol=1e-4)


@torch.no_grad()
def test_one_passage_is_attended_as_alone() -> None:
    across = awake(tiny(mixers=["attention"] * 2, context_channels=[0, 0]))
    alone = awake(tiny(mixers=["local_attention"] * 2, context_channels=[0, 0]))
    alone.load_state_dict(across.state_dict())
    inputs = contexts()
    single = ReaderInput(
        inputs.question_ids, inputs.question_mask, inputs.token_ids[:, :1], inputs.token_mask[:, :1],
        inputs.text_mask[:, :1],
    )  # fmt: skip
    assert torch.allclose(across.encode(single).passages, alone.encode(single).passages, atol=1e-5)


def test_attention_without_padding_is_attention_under_a_mask() -> None:
    """Inference leaves padding out of one long row, on a CPU with wider heads of values; training masks it."""
    model, inputs = awake(tiny(mixers=["attention"] * 2, context_channels=[0, 0])), contexts()
    single = ReaderInput(*(tensor[:1] for tensor in (inputs.question_ids, inputs.question_mask, inputs.token_ids,
                                                     inputs.token_mask, inputs.text_mask)))  # fmt: skip
    assert not bool(single.token_mask.all()), "there is padding to leave out"
    masked = model.encode(single).passages[single.token_mask]
    assert masked.requires_grad, "with gradients the mask stays"
    with torch.inference_mode():
        dense = model.encode(single).passages[single.token_mask]
    assert torch.allclose(masked.detach(), dense, atol=1e-5)


def test_every_passage_attends_to_the_question_alike_across_passages() -> None:
    """The same passage in every slot, and only the question to attend to: the same states in every slot."""
    model, inputs = awake(tiny(mixers=["attention"], context_channels=[0])), contexts()
    mixer = model.reader_layers[0].mixer
    question, passages = model.embed(inputs, torch.float32)
    passages[:] = passages[:, :1]
    updated = mixer(question, passages, inputs.question_mask, torch.zeros_like(inputs.token_mask))[1]
    assert torch.allclose(updated[:, 0], updated[:, 2], atol=1e-5)
