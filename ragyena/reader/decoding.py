"""Answers written token by token, each token with its provenance.

Greedy: answers are short, and the confidence is the probability of exactly this answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ragyena.model.inputs import ReaderInput
from ragyena.model.reader_model import Encoded, ReaderModel
from ragyena.text.tokenizer import Tokenizer

__all__ = ["WrittenAnswer", "write_answer"]


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """A written answer and where its tokens came from."""

    text: str
    confidence: float
    """Geometric mean of the token probabilities."""
    copied_from: tuple[int | None, ...]
    """For each token the memory position it was most copied from; None for a token of the vocabulary."""

    def source_slot(self, question_tokens: int, slot_tokens: int) -> int | None:
        """The slot that most copied tokens came from; None where none came from a passage."""
        slots = [
            (p - question_tokens) // slot_tokens for p in self.copied_from if p is not None and p >= question_tokens
        ]
        return max(set(slots), key=slots.count) if slots else None


def write_answer(
    model: ReaderModel, encoded: Encoded, inputs: ReaderInput, tokenizer: Tokenizer, max_tokens: int
) -> WrittenAnswer:
    """Decodes one context's answer (batch of one), at most ``max_tokens`` tokens and what the decoder was built for."""
    decoder = model.decoder
    assert decoder is not None
    word = model.word.weight
    memory = decoder.memory(encoded.question, encoded.passages, inputs)
    states = decoder.begin(1, memory.ids.device, memory.copy_keys.dtype)
    previous = memory.begin_ids
    ids: list[int] = []
    sources: list[int | None] = []
    log_probability = 0.0
    for _ in range(min(max_tokens, decoder.max_answer_tokens - 1) + 1):
        step, states = decoder.step(previous, states, memory, word)
        gate = step.gate[0]
        copied = torch.zeros_like(step.vocabulary[0]).index_add_(0, memory.ids[0], step.copy[0])
        probability = (1 - gate) * step.vocabulary[0].exp() + gate * copied
        chosen = int(probability.argmax())
        log_probability += math.log(max(float(probability[chosen]), 1e-9))
        if chosen == tokenizer.sep_id:
            break
        ids.append(chosen)
        from_memory = float(gate * copied[chosen]) > 0.5 * float(probability[chosen])
        attention = step.copy[0].masked_fill(memory.ids[0] != chosen, 0.0)
        sources.append(int(attention.argmax()) if from_memory else None)
        previous = torch.full_like(previous, chosen)
    confidence = math.exp(log_probability / (len(ids) + 1))
    return WrittenAnswer(tokenizer.decode(ids), confidence, tuple(sources))
