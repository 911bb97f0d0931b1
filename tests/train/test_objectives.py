"""Losses against their definitions."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from ragyena.model.inputs import ReaderInput
from ragyena.model.reader_model import Encoded, SpanScores
from ragyena.train.objectives import (
    HiddenStateLoss,
    evidence_loss,
    first_token_loss,
    list_loss,
    polar_loss,
    soft_label_loss,
    span_loss,
    teacher_loss,
)
from ragyena.train.packed import Batch

BATCH, QUESTION, PASSAGES, SLOT, WIDTH = 3, 5, 2, 7, 4


def scores(seed: int) -> SpanScores:
    g = torch.Generator().manual_seed(seed)
    shape = (BATCH, PASSAGES, SLOT)
    return SpanScores(
        torch.randn(shape, generator=g), torch.randn(shape, generator=g), torch.randn(BATCH, 2, generator=g)
    )


def states(seed: int, layers: int = 3) -> list[Encoded]:
    g = torch.Generator().manual_seed(seed)
    return [
        Encoded(
            torch.randn(BATCH, QUESTION, WIDTH, generator=g), torch.randn(BATCH, PASSAGES, SLOT, WIDTH, generator=g)
        )
        for _ in range(layers)
    ]


def batch(has_span: tuple[bool, bool, bool] = (True, True, False)) -> Batch:
    token_mask = torch.ones(BATCH, PASSAGES, SLOT, dtype=torch.bool)
    token_mask[..., -2:] = False
    question_mask = torch.ones(BATCH, QUESTION, dtype=torch.bool)
    question_mask[1, -1] = False
    ids = torch.zeros(BATCH, PASSAGES, SLOT, dtype=torch.long)
    inputs = ReaderInput(torch.zeros(BATCH, QUESTION, dtype=torch.long), question_mask, ids, token_mask, token_mask)
    return Batch(
        inputs=inputs,
        start=torch.tensor([3, 0, 0]),
        end=torch.tensor([4, 0, 0]),
        has_span=torch.tensor(has_span),
        more=torch.full((BATCH, 2, 2), -1),
        answer_ids=torch.zeros(BATCH, 2, dtype=torch.long),
        answer_mask=torch.zeros(BATCH, 2, dtype=torch.bool),
        polar=torch.tensor([0.0, 1.0, -1.0]),
        listed=torch.tensor([1.0, 0.0, -1.0]),
        evidence=torch.zeros_like(token_mask),
        plain_ids=torch.zeros(BATCH, QUESTION, dtype=torch.long),
        plain_mask=question_mask,
    )


def spoilt(s: SpanScores, row: int) -> SpanScores:
    """The scores with one context's changed."""
    start = s.start.clone()
    start[row] += torch.arange(SLOT)
    return dataclasses.replace(s, start=start)


def test_the_span_loss_is_the_mean_surprise_of_start_and_end() -> None:
    s = scores(1)
    start, end, null = s.log_probabilities()
    known = -(start[0].flatten()[2] + end[0].flatten()[3] + null[1, 0] + null[1, 1])
    held = -(1 - null[2].exp()).log().sum()  # of the third only that its context does hold an answer
    assert float(span_loss(s, batch())) == pytest.approx(float(known + held) / 6, rel=1e-5)


def test_contexts_whose_answer_is_no_span_teach_only_that_there_is_one() -> None:
    s = scores(1)
    start = s.start.clone().requires_grad_()
    null = s.null.clone().requires_grad_()
    loss = span_loss(SpanScores(start, s.end, null), batch((False, False, False)))
    by_start, by_null = torch.autograd.grad(loss, [start, null])
    assert (by_null > 0).all()  # no answer is to be less likely
    own = by_start.flatten(1) / by_start.flatten(1).sum(1, keepdim=True)
    weights = s.start.flatten(1).softmax(1)
    assert torch.allclose(own, weights, atol=1e-5)  # and no token more than another
    assert teacher_loss(spoilt(s, 2), scores(2), batch()) == teacher_loss(s, scores(2), batch())
    assert teacher_loss(s, scores(2), batch((False, False, False))) == 0


def test_evidence_and_the_rest_weigh_the_same() -> None:
    b = batch()
    evidence = torch.zeros_like(b.evidence)
    evidence[0, 0, 1] = True
    b = dataclasses.replace(b, evidence=evidence)
    logits = torch.zeros(evidence.shape)
    assert float(evidence_loss(logits, b)) == pytest.approx(0.6931, abs=1e-4)
    logits[0, 0, 1] = 20.0
    assert float(evidence_loss(logits, b)) == pytest.approx(0.6931 / 2, abs=1e-4)
    logits[2] = 50.0  # what is evidence there is not known
    logits[..., -2:] = 50.0  # padding
    assert float(evidence_loss(logits, b)) == pytest.approx(0.6931 / 2, abs=1e-4)


def test_a_student_like_its_teacher_has_nothing_to_learn() -> None:
    s = scores(1)
    assert float(teacher_loss(s, s, batch())) == pytest.approx(0, abs=1e-6)
    shifted = SpanScores(s.start + 3, s.end - 2, s.null + torch.tensor([3.0, -2.0]))  # the same distributions
    assert float(teacher_loss(shifted, s, batch())) == pytest.approx(0, abs=1e-5)
    assert float(teacher_loss(scores(2), s, batch())) > 0.1
    assert float(HiddenStateLoss()(states(1), states(1), batch())) == 0
    assert float(HiddenStateLoss()(states(2), states(1), batch())) > 0.1


def test_following_the_gradient_leads_to_the_teacher() -> None:
    teacher = scores(1)
    student = SpanScores(*(t.clone().requires_grad_() for t in (scores(2).start, scores(2).end, scores(2).null)))
    before = float(teacher_loss(student, teacher, batch()).detach())
    for _ in range(200):
        loss = teacher_loss(student, teacher, batch())
        wanted = torch.autograd.grad(loss, [student.start, student.end, student.null])
        with torch.no_grad():
            for value, gradient in zip((student.start, student.end, student.null), wanted):
                value -= 2 * gradient
    assert float(teacher_loss(student, teacher, batch()).detach()) < 0.1 * before


def test_padding_and_the_embeddings_say_nothing() -> None:
    loss = HiddenStateLoss()
    base = loss(states(2), states(1), batch())
    changed = states(2)
    changed[0].passages.add_(5)
    for layer in changed:
        layer.passages[:, :, -2:] = 9
        layer.question[1, -1] = 9
    assert torch.equal(loss(changed, states(1), batch()), base)
    changed[1].passages[0, 0, 0] += 1
    assert not torch.equal(loss(changed, states(1), batch()), base)


def test_the_hidden_state_error_is_in_units_of_the_first_batchs_spread() -> None:
    def wider(encoded: list[Encoded], factor: float) -> list[Encoded]:
        return [Encoded(e.question * factor, e.passages * factor) for e in encoded]

    plain = HiddenStateLoss()(states(2), states(1), batch())
    scaled = HiddenStateLoss()(wider(states(2), 10), wider(states(1), 10), batch())
    assert float(scaled) == pytest.approx(float(plain), rel=1e-4)
    fixed = HiddenStateLoss()
    fixed(states(2), states(1), batch())
    later = fixed(wider(states(2), 10), wider(states(1), 10), batch())
    assert float(later) == pytest.approx(100 * float(plain), rel=1e-4)


def test_a_restored_loss_keeps_its_units() -> None:
    first, second = HiddenStateLoss(), HiddenStateLoss()
    assert first.state() == {}
    first(states(2), states(1), batch())
    second.load_state(first.state())
    assert torch.equal(first(states(3), states(4), batch()), second(states(3), states(4), batch()))


def test_only_questions_of_a_known_mode_teach_it() -> None:
    def loss(*logits: float) -> Tensor:
        return polar_loss(torch.tensor(logits, dtype=torch.float32), batch())

    assert float(loss(0, 0, 5)) == pytest.approx(0.6931, abs=1e-3)
    assert loss(0, 0, 5) == loss(0, 0, -5)
    assert loss(-4, 4, 0) < 0.05 < loss(4, -4, 0)


def test_the_list_loss_counts_the_questions_that_are_known() -> None:
    right, wrong = (list_loss(torch.tensor(logits), batch()) for logits in ([9.0, -9.0, 5.0], [-9.0, -9.0, 5.0]))
    assert right < 0.01 and wrong > 4


def test_a_pair_reader_teaches_where_the_answer_is_a_span_another_teacher_everywhere() -> None:
    student, teacher, each = scores(1), scores(2), batch()
    spans = float(teacher_loss(student, teacher, each))
    moved = SpanScores(teacher.start.clone(), teacher.end, teacher.null)
    (row,) = (~each.has_span).nonzero()[:1, 0].tolist()
    moved.start[row, 0, 0] += 5
    assert float(teacher_loss(student, moved, each)) == spans
    everywhere = (float(teacher_loss(student, one, each, everywhere=True)) for one in (teacher, moved))
    assert len({spans, *everywhere}) == 3


def test_a_teachers_probabilities_are_matched_not_its_choices() -> None:
    teacher = torch.tensor([2.0, -1.0])
    assert float(soft_label_loss(teacher, teacher)) == pytest.approx(0, abs=1e-6)
    assert float(soft_label_loss(torch.tensor([9.0, -9.0]), teacher)) > 0.1
    words = torch.tensor([[4.0, 1.0, 0.0], [0.0, 3.0, 1.0]]).log_softmax(-1)
    asked = torch.tensor([1.0, 0.0])
    assert float(first_token_loss(words, words, asked)) == pytest.approx(0, abs=1e-6)
    turned = words.clone()
    turned[1] = words[1].flip(0)  # of a question that is not answered by yes or no
    assert float(first_token_loss(turned, words, asked)) == pytest.approx(0, abs=1e-6)
    assert float(first_token_loss(words.flip(1), words, asked)) > 1
