"""Hard negatives: for each question the passages nearest to it in embedding space that do not hold its answer.

Mining runs on the training device, on token ids: on a GPU a few hundred thousand passages take seconds. The embedder is
the encoder that the reader starts from, of MiniLM's size and BERT's layout, whose mean token state embeds a text.

Legend: R rows, P passages, N negatives, H hits, S tokens of a passage, D width.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ragyena.config.training import Mining, Sampling
from ragyena.index.minilm import MAX_TOKENS, MiniLMNetwork
from ragyena.model.warm_start import read_encoder
from ragyena.train.packed import Edit, PackedData
from ragyena.types import Progress

__all__ = ["Miner", "mine"]

_EMBED_TOKENS = {"cuda": 1 << 18, "cpu": 1 << 13}  # tokens embedded at once
_SEARCH_ROWS = {"cuda": 512, "cpu": 64}  # questions searched for at once


def mine(
    data: PackedData, encoder: Path, *, negatives: int, question_tokens: int, progress: Progress
) -> dict[str, Tensor]:
    """Arrays to join to ``data``: ``gold`` [R] settled, ``negatives`` [R, N]; ``cloze_gold`` [R] (-1: nothing holds
    the answer), ``cloze_span`` [R, 2], ``cloze_negatives`` [R, N]. Cloze questions find their answer in their own
    passage where it recurs there, else in a near one.

    ``encoder`` is a BERT-layout model.safetensors of all-MiniLM-L6-v2's size; CheckpointError where it is not.
    """
    miner = Miner(data, encoder, question_tokens=question_tokens, progress=progress)
    return {**miner.questions(negatives), **miner.clozes(Mining.CLOZE_NEGATIVES)}


class Miner:
    """Nearest passages of questions. ``embeddings`` [P, D] are of every passage under its header, in half precision on
    a GPU."""

    def __init__(self, data: PackedData, encoder: Path, *, question_tokens: int, progress: Progress) -> None:
        self.data, self.question_tokens, self.progress, self.device = data, question_tokens, progress, data.device
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        state = {n: t.to(self.device, self.dtype) for n, t in read_encoder(encoder).items() if t.is_floating_point()}
        self.network = MiniLMNetwork(state)
        self.embeddings = self._embed_passages()
        longest = int(data.lengths("passages").max())
        everything = torch.arange(data.passages, device=self.device)
        ids, mask = data.rows("passages", everything, longest)
        self.tokens_PS = ids.masked_fill(~mask, -1).int()
        self.generator = torch.Generator(self.device).manual_seed(0)

    def _embed_passages(self) -> Tensor:
        data = self.data
        header, text = data.lengths("headers"), data.lengths("passages")
        total = (header + text + 2).clamp(max=MAX_TOKENS)
        self.progress.start("embedding passages", data.passages, "passages")
        result: Tensor | None = None
        for rows in self._batches(total):
            size = int(total[rows].max())
            ids, _ = data.rows("headers", rows, size)
            body, _ = data.rows("passages", rows, size)
            position = torch.arange(size, device=self.device)
            source = (position - header[rows][:, None]).clamp(min=0)
            ids = torch.where(position < header[rows][:, None], ids, body.gather(1, source))
            embedded = self._framed(ids, total[rows] - 2)
            if result is None:
                result = torch.empty(data.passages, embedded.shape[1], dtype=self.dtype, device=self.device)
            result[rows] = embedded.to(self.dtype)
            self.progress.advance(len(rows))
        assert result is not None
        return result

    def _batches(self, lengths: Tensor) -> list[Tensor]:
        """Rows in order of length, about equally many tokens together."""
        order = lengths.argsort()
        sizes = lengths[order].tolist()
        most = _EMBED_TOKENS[self.device.type]
        batches, begin = [], 0
        for place, size in enumerate(sizes):
            if size * (place + 1 - begin) > most and place > begin:
                batches.append(order[begin:place])
                begin = place
        return [*batches, order[begin:]]

    def _framed(self, ids: Tensor, length: Tensor) -> Tensor:
        """Embeddings [R, D] of the first ``length`` of ids [R, n], with begin and end tokens."""
        framed = torch.nn.functional.pad(ids, (1, 1))
        framed[:, 0] = self.data.cls_id
        position = torch.arange(framed.shape[1], device=self.device)
        framed = torch.where(position == length[:, None] + 1, self.data.sep_id, framed)
        mask = position <= length[:, None] + 1
        return self.network.embed_padded(framed * mask, mask)

    def questions(self, negatives: int) -> dict[str, Tensor]:
        data = self.data
        gold, context_of = data["gold"].long(), data["context_of"].long()
        own_context = context_of[gold]
        # A yes/no question's span is its evidence, and where it stands is known.
        spanned = (data["span"][:, 0] >= 0) & (data["polar"] != 1)
        unsettled = ~data["settled"].bool()
        answer_length = (data.lengths("answers") - 1) * spanned  # without its end mark; 0 matches nothing
        answers, _ = data.rows("answers", torch.arange(len(gold), device=self.device), Sampling.COMPARED_TOKENS)
        settled, chosen = gold.clone(), []
        self.progress.start("mining questions", len(gold), "questions")
        for rows in self._blocks(len(gold)):
            ids, mask = data.rows("questions", rows, self.question_tokens)
            hits = self._search(self._framed(ids, mask.sum(1)))
            holds, _ = self._holds(hits, answers[rows], answer_length[rows])
            own = context_of[hits] == own_context[rows, None]
            # Of an answer that is no span, the nearest passage of its context is gold, and none of them is a negative.
            nearest = hits.gather(1, own.long().argmax(1, keepdim=True))[:, 0]
            settled[rows] = torch.where(unsettled[rows] & own.any(1), nearest, settled[rows])
            bad = holds | (hits == settled[rows, None]) | (unsettled[rows, None] & own)
            chosen.append(self._first(hits, bad, negatives))
            self.progress.advance(len(rows))
        return {"gold": settled, "negatives": torch.cat(chosen)}

    def clozes(self, negatives: int) -> dict[str, Tensor]:
        data = self.data
        own = data["cloze_passage"].long()
        sentence, answer = data["cloze_sentence"].long(), data["cloze_answer"].long()
        elsewhere, context_of = data["cloze_elsewhere"].long(), data["context_of"].long()
        begin = data["passages_offsets"].long()[own]
        answer_length = answer[:, 1] - answer[:, 0]
        answers, _ = data.stretch("passages", begin + answer[:, 0], begin + answer[:, 1], Sampling.COMPARED_TOKENS)
        golds, spans, chosen = [], [], []
        self.progress.start("mining cloze questions", len(own), "questions")
        for rows in self._blocks(len(own)):
            inside = answer[rows] - sentence[rows, :1]
            blank = Edit(inside[:, 0], inside[:, 1], inside[:, :1], torch.zeros_like(inside[:, 0]))
            start, end = begin[rows] + sentence[rows, 0], begin[rows] + sentence[rows, 1]
            ids, mask = data.stretch("passages", start, end, self.question_tokens, blank)
            hits = self._search(self._framed(ids, mask.sum(1)))
            holds, place = self._holds(hits, answers[rows], answer_length[rows])
            other = context_of[hits] != context_of[own[rows]][:, None]
            # Only the first tokens of a long answer are compared: its gold passage is its own.
            candidate = holds & other & (answer_length[rows] <= Sampling.COMPARED_TOKENS)[:, None]
            candidate[:, Mining.GOLD_HITS :] = False
            best = candidate.long().argmax(1, keepdim=True)
            gold = torch.where(candidate.any(1), hits.gather(1, best)[:, 0], -1)
            first = place.gather(1, best)[:, 0]
            recurs = elsewhere[rows, 0] >= 0
            golds.append(torch.where(recurs, own[rows], gold))
            span = torch.stack([first, first + answer_length[rows]], 1)
            spans.append(torch.where(recurs[:, None], elsewhere[rows], span))
            bad = holds | (hits == own[rows, None]) | (hits == golds[-1][:, None])
            chosen.append(self._first(hits, bad, negatives))
            self.progress.advance(len(rows))
        if not golds:
            nothing = torch.zeros(0, dtype=torch.long, device=self.device)
            return {
                "cloze_gold": nothing,
                "cloze_span": nothing.view(0, 2),
                "cloze_negatives": nothing.view(0, 1).expand(0, negatives),
            }
        return {"cloze_gold": torch.cat(golds), "cloze_span": torch.cat(spans), "cloze_negatives": torch.cat(chosen)}

    def _blocks(self, count: int) -> tuple[Tensor, ...]:
        everything = torch.arange(count, device=self.device)
        return torch.split(everything, _SEARCH_ROWS[self.device.type]) if count else ()

    def _search(self, queries_RD: Tensor) -> Tensor:
        """[R, H] passages, nearest first."""
        count = min(Mining.HITS, self.data.passages)
        return (queries_RD.to(self.dtype) @ self.embeddings.T).topk(count, dim=1).indices

    def _holds(self, hits_RH: Tensor, answers: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Mask [R, H] of passages that hold the first tokens of an answer, and the place of the first match.

        An answer of length 0 is held by none."""
        tokens = self.tokens_PS[hits_RH]
        match = (length > 0)[:, None, None].expand(tokens.shape).clone()
        for k in range(min(Sampling.COMPARED_TOKENS, tokens.shape[-1])):
            same = tokens[..., k:] == answers[:, k, None, None]
            same = torch.nn.functional.pad(same, (0, k))
            match &= same | (k >= length)[:, None, None]
        return match.any(-1), match.long().argmax(-1)

    def _first(self, hits: Tensor, bad: Tensor, count: int) -> Tensor:
        """The first hits that are not bad, random passages where all are: [R, count]."""
        order = hits.gather(1, bad.long().argsort(dim=1, stable=True))
        good = (~bad).sum(1, keepdim=True)
        turn = torch.arange(count, device=self.device) % good.clamp(min=1)  # too few: those there are, again
        random = torch.randint(self.data.passages, (len(hits), count), generator=self.generator, device=self.device)
        return torch.where(good > 0, order.gather(1, turn), random).int()
