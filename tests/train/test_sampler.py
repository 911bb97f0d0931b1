"""Batches: drawn alike whenever asked for, and their targets point at the answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest
import torch

from ragyena.config import StageConfig
from ragyena.train.packed import Batch
from ragyena.train.sampler import Sampler

Stages = Callable[..., StageConfig]


def sampler(world: Any, stage: StageConfig, seed: int = 0) -> Sampler:
    return Sampler(world.data, stage, seed=seed, question_tokens=world.config.question_tokens)


def tensors(batch: Batch) -> Iterator[torch.Tensor]:
    for part in (batch, batch.inputs):
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, torch.Tensor):
                yield value


ALIAS_PHRASES = ("is another name for", "is also called", "is a name for", "refers to")


def question(world: Any, batch: Batch, row: int) -> str:
    ids = batch.inputs.question_ids[row][batch.inputs.question_mask[row]].tolist()
    assert ids[0] == world.tokenizer.cls_id and ids[-1] == world.tokenizer.sep_id
    text: str = world.tokenizer.decode(ids[1:-1])
    return text


def rows(batch: Batch) -> range:
    return range(batch.start.shape[0])


def test_a_batch_depends_on_its_step_alone(world: Any, stage: Stages) -> None:
    config = stage(cloze=0.3, unanswerable=0.2, perturbed=0.2, sentence_removed=0.2, alias=0.5)
    first, second = sampler(world, config), sampler(world, config)
    expected = [first.batch(step) for step in range(12)]
    for step in reversed(range(12)):
        got = second.batch(step)
        for a, b in zip(tensors(got), tensors(expected[step]), strict=True):
            assert torch.equal(a, b)
    other = sampler(world, config, seed=1)
    assert any(other.batch(s).inputs.token_ids.tolist() != expected[s].inputs.token_ids.tolist() for s in range(12))


@pytest.mark.parametrize("header", [0.0, 1.0])
@pytest.mark.parametrize("passages", [1, 4])
def test_targets_point_at_the_answers_tokens(world: Any, stage: Stages, passages: int, header: float) -> None:
    draw = sampler(world, stage(passages=[passages], passage_weights=[1.0], header=header, tokens_per_step=4000))
    slots, spans, unspanned = set(), 0, 0
    for step in range(12):
        batch = draw.batch(step)
        inputs = batch.inputs
        assert inputs.token_ids.shape[1] == passages
        for row in rows(batch):
            answer = world.answers[question(world, batch, row)]
            written = batch.answer_ids[row][batch.answer_mask[row]].tolist()
            assert written[-1] == world.tokenizer.sep_id
            assert world.tokenizer.decode(written[:-1]) == answer
            if not batch.has_span[row]:
                assert answer == "yes" and batch.polar[row] == 1 and batch.start[row] == batch.end[row] == 0
                unspanned += 1
                continue
            start, end = int(batch.start[row]) - 1, int(batch.end[row])
            assert world.tokenizer.decode(inputs.token_ids[row].flatten()[start:end].tolist()) == answer
            assert inputs.text_mask[row].flatten()[start:end].all()
            assert batch.polar[row] == 0
            slots.add(start // inputs.token_ids.shape[2])
            spans += 1
    assert slots == set(range(passages))
    assert spans and unspanned


def test_passages_are_framed_by_separators_and_padded(world: Any, stage: Stages) -> None:
    for header in (0.0, 1.0):
        batch = sampler(world, stage(passages=[4], passage_weights=[1.0], header=header)).batch(3)
        inputs = batch.inputs
        assert not inputs.token_ids[~inputs.token_mask].any()
        assert (inputs.text_mask & ~inputs.token_mask).sum() == 0
        ids, text = inputs.token_ids.flatten(0, 1), inputs.text_mask.flatten(0, 1)
        for slot, mask, own in zip(ids, text, inputs.token_mask.flatten(0, 1)):
            places = mask.nonzero()[:, 0]
            assert places.tolist() == list(range(int(places[0]), int(places[-1]) + 1))
            assert slot[places[-1] + 1] == world.tokenizer.sep_id and own.sum() == places[-1] + 2
            assert (places[0] > 0) == bool(header)
            if header:
                assert slot[places[0] - 1] == world.tokenizer.sep_id


def test_a_context_without_its_gold_passage_targets_null(world: Any, stage: Stages) -> None:
    draw = sampler(world, stage(unanswerable=1.0, tokens_per_step=4000, passages=[4], passage_weights=[1.0]))
    for step in range(4):
        batch = draw.batch(step)
        assert not batch.start.any() and not batch.end.any()
        assert batch.has_span.all()
        assert not batch.answer_mask.any()


def test_some_contexts_lack_their_gold_passage(world: Any, stage: Stages) -> None:
    draw = sampler(world, stage(unanswerable=0.4, passages=[4], passage_weights=[1.0], tokens_per_step=8000))
    batches = [draw.batch(step) for step in range(20)]
    null = torch.cat([~b.answer_mask.any(1) for b in batches]).float().mean()
    assert 0.25 < null < 0.55


def test_held_out_contexts_are_never_trained_on(world: Any, stage: Stages) -> None:
    draw = sampler(world, stage(tokens_per_step=8000))
    held_out = world.data["held_out"].bool()
    assert 0 < held_out.sum() < len(held_out) / 2
    ids, mask = world.data.rows("questions", torch.arange(len(held_out)), world.config.question_tokens)
    names = [world.tokenizer.decode(row[own].tolist()) for row, own in zip(ids, mask)]
    kept_back = {name for name, out in zip(names, held_out.tolist()) if out}
    trained, tested = set(), set()
    for step in range(25):
        batch = draw.batch(step)
        trained |= {question(world, batch, row) for row in rows(batch)}
        batch = draw.held_out_batch(step, 4)
        tested |= {question(world, batch, row) for row in rows(batch)}
    assert not trained & kept_back
    assert trained <= set(names) and len(trained) > 20
    assert tested <= kept_back and len(tested) > 1


def context(world: Any, batch: Batch, row: int) -> list[str]:
    """The text of each slot."""
    inputs = batch.inputs
    return [
        world.tokenizer.decode(ids[mask].tolist()) for ids, mask in zip(inputs.token_ids[row], inputs.text_mask[row])
    ]


def answer(world: Any, batch: Batch, row: int) -> str:
    start, end = int(batch.start[row]) - 1, int(batch.end[row])
    text: str = world.tokenizer.decode(batch.inputs.token_ids[row].flatten()[start:end].tolist())
    return text


@pytest.mark.parametrize("passages", [1, 4])
def test_a_cloze_question_is_a_sentence_whose_blank_the_context_fills(world: Any, stage: Stages, passages: int) -> None:
    draw = sampler(world, stage(cloze=1.0, passages=[passages], passage_weights=[1.0], tokens_per_step=4000))
    texts = [
        world.tokenizer.decode(row[mask].tolist())
        for row, mask in zip(*world.data.rows("passages", torch.arange(world.data.passages), 100))
    ]
    blanks = ("who", "what", "which", "where", "when", "how many")
    restored = 0
    for step in range(6):
        batch = draw.batch(step)
        assert not batch.answer_mask.any() and batch.has_span.all() and (batch.polar == -1).all()
        for row in rows(batch):
            cloze, filled = question(world, batch, row), answer(world, batch, row)
            assert filled in context(world, batch, row)[(int(batch.start[row]) - 1) // batch.inputs.token_ids.shape[2]]
            sentences = [cloze.replace(blank, filled, 1) for blank in blanks if blank in cloze]
            restored += any(sentence in whole for sentence in sentences for whole in texts)
    assert restored > 10


def test_a_removed_sentence_takes_the_answer_with_it(world: Any, stage: Stages) -> None:
    whole = sampler(world, stage(passages=[1], passage_weights=[1.0], tokens_per_step=4000, header=0.0)).batch(1)
    cut = sampler(
        world, stage(sentence_removed=1.0, passages=[1], passage_weights=[1.0], tokens_per_step=4000, header=0.0)
    ).batch(1)
    removed = 0
    for row in rows(whole):
        if not whole.start[row]:
            continue
        (before,), (after,) = context(world, whole, row), context(world, cut, row)
        if before == after:  # the answer recurs elsewhere: there it stays
            assert int(cut.start[row]) == int(whole.start[row])
            continue
        removed += 1
        assert answer(world, whole, row) not in after and not cut.start[row] and cut.has_span[row]
        assert before.startswith(after[:20]) and not cut.answer_mask[row].any()
    assert removed > 5


def test_a_perturbed_question_keeps_its_gold_passage_and_has_no_answer(world: Any, stage: Stages) -> None:
    plain = sampler(world, stage(passages=[1], passage_weights=[1.0], tokens_per_step=4000)).batch(1)
    batch = sampler(world, stage(perturbed=1.0, passages=[1], passage_weights=[1.0], tokens_per_step=4000)).batch(1)
    changed = [row for row in rows(batch) if question(world, batch, row) != question(world, plain, row)]
    assert len(changed) > 3
    assert torch.equal(batch.inputs.token_ids, plain.inputs.token_ids)
    for row in changed:
        assert not batch.start[row] and batch.has_span[row] and not batch.answer_mask[row].any()


def test_a_question_is_perturbed_in_several_ways(world: Any, stage: Stages) -> None:
    draw = sampler(world, stage(perturbed=1.0, passages=[1], passage_weights=[1.0], tokens_per_step=4000))
    questions: set[str] = set()
    for step in range(40):
        batch = draw.batch(step)
        questions |= {question(world, batch, row) for row in rows(batch)}
    assert len(questions) > len(world.data["gold"])  # of one perturbation each there could be no more
    texts = [
        world.data.rows(name, torch.arange(len(world.data.lengths(name))), 64) for name in ("perturbed", "questions")
    ]
    known = {world.tokenizer.decode(ids[mask].tolist()) for some, masks in texts for ids, mask in zip(some, masks)}
    assert questions <= known


def test_an_alias_is_explained_in_another_passage(world: Any, stage: Stages) -> None:
    draw = sampler(world, stage(alias=1.0, passages=[4], passage_weights=[1.0], tokens_per_step=8000, header=0.0))
    seen = 0
    for step in range(6):
        batch = draw.batch(step)
        slot = batch.inputs.token_ids.shape[2]
        for row in rows(batch):
            words = world.tokenizer.decode(batch.inputs.token_ids[row][batch.evidence[row]].tolist())
            says = [t for t in context(world, batch, row) if any(f" {s} " in t for s in ALIAS_PHRASES)]
            if not says:
                continue
            seen += 1
            assert len(says) == 2  # one explains, one is a decoy
            alias = question(world, batch, row).removesuffix(" born?").split("was ")[-1].removesuffix("?")
            true = [text for text in says if text.startswith(alias)]
            assert len(true) == 1
            gold = (int(batch.start[row]) - 1) // slot
            assert true[0] != context(world, batch, row)[gold]
            assert answer(world, batch, row) in words and alias in words
    assert seen > 10


def test_a_name_is_described_by_a_row_of_a_table(world: Any, stage: Stages) -> None:
    values = {"passages": [4], "passage_weights": [1.0], "tokens_per_step": 8000, "header": 0.0}
    draw = sampler(world, stage(alias=1.0, entity_bridge=1.0, **values))
    seen = 0
    for step in range(6):
        batch = draw.batch(step)
        slot = batch.inputs.token_ids.shape[2]
        for row in rows(batch):
            bridged = question(world, batch, row)
            match = re.search(r"the (\w+) (?:whose (\w+) is|with (\w+)) (\S+?)[ ?]", f"{bridged} ")
            if match is None:
                continue
            seen += 1
            head, key, value = match[1], match[2] or match[3], match[4]
            tables = [text for text in context(world, batch, row) if text.count(f"{head} : ") == 2]
            assert len(tables) == 1 and f"{key} : {value}" in tables[0]
            assert tables[0] != context(world, batch, row)[(int(batch.start[row]) - 1) // slot]
            plain = world.tokenizer.decode(batch.plain_ids[row][batch.plain_mask[row]].tolist())
            assert plain != bridged
            words = world.tokenizer.decode(batch.inputs.token_ids[row][batch.evidence[row]].tolist())
            assert answer(world, batch, row) in words and f"{key} : {value}" in words
    assert seen > 10


def test_tokens_count_the_whole_context(world: Any, stage: Stages) -> None:
    for step in range(6):
        batch = sampler(world, stage(tokens_per_step=2000)).batch(step)
        assert batch.inputs.token_ids.numel() <= 2000
        assert batch.tokens == batch.inputs.token_ids.numel() + batch.inputs.question_ids.numel()


def test_forced_shapes_are_those_that_can_occur(world: Any, stage: Stages) -> None:
    draw = sampler(world, stage())
    shapes = draw.shapes()
    assert all(tuple(draw.batch(step).inputs.token_ids.shape[1:]) in shapes for step in range(12))


def test_long_contexts_take_passages_near_the_question(world: Any, stage: Stages) -> None:
    """Beyond the hard negatives come those of questions asked of one of them, none of which holds the answer."""
    passages, hard = 40, world.data["negatives"].long()
    assert passages > hard.shape[1] == 24
    values = {"passages": [passages], "passage_weights": [1.0], "tokens_per_step": 40_000}
    near = sampler(world, stage(**values, related=1.0))
    question_on = near.question_on
    questions = question_on[question_on >= 0]
    assert torch.equal(world.data["gold"].long()[questions], (question_on >= 0).nonzero()[:, 0])
    assert not world.data["held_out"].bool()[questions].any()
    gold, span = world.data["gold"].long(), world.data["span"].long()
    rows = torch.arange(len(gold))
    generator = torch.Generator().manual_seed(0)
    nothing = torch.full((len(gold), 300), -1)
    related = near._related(gold, span, hard, nothing, generator)
    texts, mask = world.data.rows("passages", torch.arange(world.data.passages), 240)
    whole = [" ".join(map(str, ids[own].tolist())) for ids, own in zip(texts, mask)]
    taken = 0
    for row in rows.tolist():
        begin, end = span[row].tolist()
        answer = " ".join(map(str, texts[gold[row], begin:end].tolist())) if begin >= 0 else None
        questions = question_on[hard[row]]
        allowed = set(hard[questions[questions >= 0]].flatten().tolist())
        for passage in set(related[row].tolist()) - {-1}:
            taken += 1
            assert passage in allowed
            assert answer is None or f" {answer} " not in f" {whole[passage]} "
    assert taken > 500
    held = near._holds(gold[:, None], gold, span)
    assert torch.equal(held[:, 0], span[:, 0] >= 0)
    plain, again = sampler(world, stage(**values)).batch(1), sampler(world, stage(**values, related=0.0)).batch(1)
    assert torch.equal(plain.inputs.token_ids, again.inputs.token_ids)
    assert not torch.equal(plain.inputs.token_ids, near.batch(1).inputs.token_ids)
