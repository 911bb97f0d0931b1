"""Greedy decoding of written answers, each token with its provenance; timing of the parts of a reading."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from ragyena.documents.tokenizer import Tokenizer
from ragyena.model.inputs import ReaderInput
from ragyena.model.reader_model import Encoded, ReaderModel
from ragyena.types import Context, Span

__all__ = ["PARTS", "Stopwatch", "WrittenAnswer", "write_answer"]

PARTS = ("inputs", "encode", "again", "extract", "first_token", "write")
"""Parts of a reading in their order. ``inputs``: token ids padded and copied to the device. ``encode``: embeddings and
layers. ``again``: the likeliest passages, read by a pair reader where there is one. ``extract``: span scores, the
softmax over the context, the best spans and the confidence, on the host. ``first_token``: of an answer that is written,
the projection of the context for the decoder and the first token; ``write``: its further tokens, and of a yes or no the
sentences that are read alone (``ragyena.reader.deciding``). Where a GPU replays graphs, the second reading and the span
scores are a part of ``encode``."""


class Stopwatch:
    """Laps of one reading. On a CUDA device each lap ends with what was launched in it."""

    def __init__(self, device: torch.device) -> None:
        """Start the first lap."""
        self._device = device
        self.parts: dict[str, float] = {}
        """Seconds by part; only parts that occurred."""
        self.tokens_written = 0
        """Tokens that the decoder wrote, the end token included."""
        self._last = self._now()

    def lap(self, part: str) -> None:
        """Add the time since the last lap, or the start, to ``part``."""
        now = self._now()
        self.parts[part] = self.parts.get(part, 0.0) + now - self._last
        self._last = now

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """A written answer and the provenance of its tokens."""

    text: str
    confidence: float
    """Probability of exactly this answer: the product of its tokens' probabilities, the end token's included."""
    copied_from: tuple[int | None, ...]
    """For each token the memory position it was most copied from; None for a token of the vocabulary."""

    def span(self, context: Context, question_tokens: int, slot_tokens: int) -> Span | None:
        """The part of a passage's text that the answer copies, token after token; None where it does not.

        ``question_tokens`` and ``slot_tokens`` are those of the batch that was read, padding included.
        """
        origin = self.copied_from[0] if self.copied_from else None
        if origin is None or self.copied_from != tuple(range(origin, origin + len(self.copied_from))):
            return None
        slot, first = divmod(origin - question_tokens, slot_tokens)
        last = first + len(self.copied_from) - 1
        if slot < 0 or last >= context.token_ids.shape[1] or not context.text_mask[slot, first : last + 1].all():
            return None
        passage = context.passages[slot].passage
        start, end = int(context.char_starts[slot, first]), int(context.char_ends[slot, last])
        text = passage.text[start - passage.start : end - passage.start]
        return Span(slot, first, last + 1, start, end, text, self.confidence)


def write_answer(
    model: ReaderModel,
    encoded: Encoded,
    inputs: ReaderInput,
    tokenizer: Tokenizer,
    max_tokens: int,
    watch: Stopwatch | None = None,
) -> WrittenAnswer:
    """Decode one context's answer (batch of one), at most ``max_tokens`` tokens and as many as the decoder takes.

    ``watch`` laps after the first token and after the last.
    """
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
        best = probability.argmax(0, keepdim=True)
        attention = step.copy[0].masked_fill(memory.ids[0] != best, 0.0)
        likely, from_copy = probability.gather(0, best), gate * copied.gather(0, best)
        # All in one transfer, for which the device is waited for once a token.
        told = torch.cat([part.double() for part in (best, likely, from_copy, attention.argmax(0, keepdim=True))])
        chosen, likelihood, copying, source = told.tolist()
        log_probability += math.log(max(likelihood, 1e-9))
        if watch:
            watch.tokens_written += 1
            if watch.tokens_written == 1:
                watch.lap("first_token")
        if chosen == tokenizer.sep_id:
            break
        ids.append(int(chosen))
        sources.append(int(source) if copying > 0.5 * likelihood else None)
        previous = best
    if watch and watch.tokens_written > 1:
        watch.lap("write")
    return WrittenAnswer(tokenizer.decode(ids), math.exp(log_probability), tuple(sources))
