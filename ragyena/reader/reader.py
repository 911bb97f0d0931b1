"""A trained reader: contexts in, readings (answers with their spans) out.

Legend: B contexts, P passages, S slot tokens.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from ragyena.config import ReaderConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError
from ragyena.model.confidence import Calibration, Form, Withholding, calibration_file, load_calibration
from ragyena.model.inference_graphs import InferenceGraphs, rounded
from ragyena.model.inputs import ContextShape, ReaderInput, collate, collated, on_device, shape_of
from ragyena.model.pair_reader import PairReader
from ragyena.model.polar_branch import PolarBranch
from ragyena.model.reader_model import Encoded, ReaderModel, SpanScores
from ragyena.reader.deciding import supporting
from ragyena.reader.decoding import Stopwatch, write_answer
from ragyena.reader.device_steps import (
    Asked,
    Found,
    FoundOnDevice,
    Scored,
    SlotRows,
    ToFind,
    Told,
    find,
    rows_of,
    score,
)
from ragyena.reader.evidence import TokenScores
from ragyena.reader.extraction import PieceNumbers, ScoredSpan, spans_apart
from ragyena.reader.features import log_probability, reading_features, span_score_of
from ragyena.reader.lists import items_of
from ragyena.reader.opening import check_question_limit, chosen_device, chosen_dtype, folders_of, loaded, polar_branch
from ragyena.reader.rereading import Rereader
from ragyena.reader.retrieval_prior import retrieval_prior
from ragyena.readers import is_reader_name, reader_folder
from ragyena.types import AnswerKind, Context, Passage, Span

__all__ = ["DeviceGraphs", "Reader", "Reading"]

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_ALTERNATIVES = 8  # spans kept of each context
_LISTED = 0.05  # probability from which a question asks for a list: hardly one of another kind has as much
_CPU_BATCH_TOKENS = 16_384  # tokens of contexts read together, as many as keep a CPU's caches useful
_GPU_BATCH_TOKENS = 262_144  # ... and as many as keep a large GPU busy, where its memory allows
_GPU_BYTES_A_TOKEN = 49_152  # of activations at width 384, a layer's fp32 filters and products with them included
_FILLED = 0.85  # of the slots of contexts that are read together
_BATCHES_AT_ONCE = 4  # batches' worth of contexts given together to a GPU, so that those of one shape can be grouped


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The result of reading one context."""

    kind: AnswerKind
    text: str
    confidence: float
    """Calibrated probability of the answer being right, also of one that is withheld."""
    no_answer_probability: float
    """Calibrated probability of the context holding no answer."""
    spans: tuple[Span, ...]
    """Candidate spans, best first; also for written and withheld answers. Of a list, first its items as they stand."""
    slot_scores: npt.NDArray[np.float32]
    """[P] log probability of each slot's best span."""
    items: int = 0
    """Number of items of a list, the first of ``spans``; 0 for other answers."""
    withheld: str = ""
    """The answer that was too doubtful to give; empty where one is given, and where there is none."""
    features: Mapping[str, float] = field(default_factory=dict)
    """The scores that both probabilities are computed from (``ragyena.model.confidence``); empty without an answer."""
    computed: str = ""
    """The computation that gave the answer (``ragyena.reader.tables``): ``lowest Price of 40 rows``; empty for what
    the reader answered."""
    rows: tuple[tuple[Passage, Span], ...] = ()
    """The place of a computed answer, then those of the rows it was compared with, each in its passage."""


class _Extracted(NamedTuple):
    """The spans of one context."""

    spans: list[ScoredSpan]
    """Best first."""
    items: list[ScoredSpan]
    """The items of a list, as they stand."""
    slot_scores: npt.NDArray[np.float32]
    """[P] log probability of each slot's best span."""
    rows: SlotRows
    """The scores in the passage of the best span."""


class DeviceGraphs:
    """The graphs of both steps of a reading, one reading at a time. Readers of the same models share them."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self.score, self.find = InferenceGraphs(), InferenceGraphs()


class Reader:
    """A reader model with its tokenizer, on its device. Use ``Reader.open``.

    Several models can read together: their log probabilities are averaged, and the first writes what is written. Pair
    readers among them read again what the others find likeliest (``ragyena.reader.rereading``).
    """

    def __init__(
        self,
        models: Sequence[ReaderModel],
        tokenizer: Tokenizer,
        config: ReaderConfig,
        *,
        name: str,
        device: torch.device,
        calibration: Calibration,
        again: Rereader | None = None,
        graphs: DeviceGraphs | None = None,
    ) -> None:
        self.models, self.tokenizer, self.config, self.name = tuple(models), tokenizer, config, name
        self.calibration, self.again = calibration, again
        self._device, self._graphs = device, graphs or DeviceGraphs()
        self._idf = self.model.idf.float().cpu().numpy()

    @classmethod
    def open(cls, config: ReaderConfig) -> Reader:
        """Load the reader of ``config.checkpoint``, or several that read together.

        Raises CheckpointError where one is missing, damaged or of another shape, or their tokenizers differ,
        ConfigError for settings that it cannot serve, and MissingDependencyError for a device that is not there.
        """
        folders = folders_of(config.checkpoint)
        first, *beside = folders
        device = chosen_device(config.device)
        tokenizers = [Tokenizer.from_folder(folder) for folder in folders]
        models = [loaded(*each, config, device) for each in zip(folders, tokenizers)]
        tokenizer = tokenizers[0]
        for other, theirs in zip(beside, tokenizers[1:]):
            if theirs.fingerprint != tokenizer.fingerprint:
                raise CheckpointError(
                    f"{first} and {other} cannot read together: their tokenizers differ", hint="name one of them"
                )
        name = config.checkpoint if is_reader_name(config.checkpoint) else "+".join(map(str, folders))
        if beside and not calibration_file(first, beside).is_file():
            log.warning("%s: the confidence is that of %s alone; fit it: ragyena train calibrate", name, first)
            beside = []
        calibration = load_calibration(first, beside)
        readers = [model for model in models if isinstance(model, ReaderModel)]
        dtype = chosen_dtype(config.dtype, device)
        pairs = [(folder, model) for folder, model in zip(folders, models) if isinstance(model, PairReader)]
        branches = [polar_branch(folder, model, dtype, device) for folder, model in pairs]
        again = Rereader([model for _, model in pairs], dtype, branches) if pairs else None
        return cls(readers, tokenizer, config, name=name, device=device, calibration=calibration, again=again)

    @property
    def model(self) -> ReaderModel:
        """The model, the first of several."""
        return self.models[0]

    def configured(self, config: ReaderConfig) -> Reader:
        """The same loaded model under other settings; checkpoint, device and dtype stay. Raises ConfigError."""
        for model in self.models:
            check_question_limit(config, model.config, self.name)
        return Reader(
            self.models,
            self.tokenizer,
            config,
            name=self.name,
            device=self._device,
            calibration=self.calibration,
            again=self.again,
            graphs=self._graphs,
        )

    @staticmethod
    def tokenizer_of(config: ReaderConfig) -> Tokenizer:
        """Load the tokenizer of ``config.checkpoint`` without its weights. Raises CheckpointError."""
        return Tokenizer.from_folder(reader_folder(config.checkpoint))

    @property
    def parameters(self) -> int:
        """Number of parameters, of all models."""
        own = sum(p.numel() for model in self.models for p in model.parameters())
        return own + (self.again.parameters if self.again else 0)

    @property
    def device(self) -> str:
        return str(self._device)

    @property
    def dtype(self) -> str:
        return "int8" if self.model.int8 else str(self.model.dtype).removeprefix("torch.")

    def withholding(self, config: ReaderConfig | None = None) -> Withholding:
        """The rule by which answers are withheld: the threshold of the settings, its own unless others are given; where
        these name none, what was fitted with the confidence."""
        named = (config or self.config).threshold
        return Withholding(self.calibration.threshold, self.calibration.odds) if named is None else Withholding(named)

    @property
    def fingerprint(self) -> str:
        """sha256 of the architecture, the calibration and the weights as loaded; identifies the reader in evaluation
        results."""
        digest = hashlib.sha256(self.model.config.model_dump_json().encode())
        digest.update(self.calibration.model_dump_json(exclude={"fitted", "format"}).encode())
        models: list[ReaderModel | PairReader | PolarBranch] = [*self.models]
        if self.again:
            models += [*self.again.models, *(branch for _, branch in self.again.deciding)]
        for number, model in enumerate(models):
            digest.update(model.config.model_dump_json().encode() if number else b"")
            digest.update(b"int8" if isinstance(model, ReaderModel) and model.int8 else b"")
            for name, tensor in sorted(model.state_dict().items()):
                digest.update(name.encode())
                digest.update(tensor.float().cpu().numpy().tobytes())
        return digest.hexdigest()

    @property
    def batch_tokens(self) -> int:
        """Approximate number of tokens read at once: as many as keep the device busy and its memory holds."""
        if self._device.type != "cuda":
            return _CPU_BATCH_TOKENS
        free, _ = torch.cuda.mem_get_info(self._device)
        free += torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return min(_GPU_BATCH_TOKENS, max(_CPU_BATCH_TOKENS, free // _GPU_BYTES_A_TOKEN))

    @property
    def group_tokens(self) -> int:
        """Approximate number of tokens of contexts to give to ``read_batch`` together where there are many."""
        return self.batch_tokens * (_BATCHES_AT_ONCE if self._device.type == "cuda" else 1)

    def read(self, context: Context) -> Reading:
        """Read one context."""
        return self.read_batch([context])[0]

    def read_timed(self, context: Context) -> tuple[Reading, Stopwatch]:
        """As ``read``, with the seconds of each part; a context without passages has none."""
        watch = Stopwatch(self._device)
        (reading,) = self._read_group([context], watch) if context.passages else [_nothing_to_read()]
        return reading, watch

    def read_batch(self, contexts: Sequence[Context]) -> list[Reading]:
        """Read contexts, those of like shape together. Results are in the order given."""
        return self._in_groups(contexts, self._read_group, _nothing_to_read)

    def token_scores(self, contexts: Sequence[Context]) -> list[TokenScores]:
        """The score of each token to start or end an answer, of contexts read as by ``read_batch``; nothing is
        extracted or written."""
        return self._in_groups(contexts, self._score_group, TokenScores.of_nothing)

    def _in_groups(
        self,
        contexts: Sequence[Context],
        read: Callable[[Sequence[Context]], Sequence[Result]],
        of_nothing: Callable[[], Result],
    ) -> list[Result]:
        """The results of reading those of like shape together, in the order given; of a context without passages
        ``of_nothing``."""
        results: dict[int, Result] = {}
        most = self.batch_tokens
        groups: list[list[int]] = []
        for index in sorted(range(len(contexts)), key=lambda i: contexts[i].token_ids.shape):
            if not contexts[index].passages:
                results[index] = of_nothing()
            elif groups and _fits(groups[-1], index, contexts, most):
                groups[-1].append(index)
            else:
                groups.append([index])
        for group in groups:
            results.update(zip(group, read([contexts[i] for i in group])))
        return [results[index] for index in range(len(contexts))]

    @torch.inference_mode()
    def _score_group(self, contexts: Sequence[Context]) -> list[TokenScores]:
        """The scores of contexts of like shapes, read as one batch."""
        batch = collate(contexts, self._device)
        scores = SpanScores.averaged([model.span_scores(model.encode(batch), batch.text_mask) for model in self.models])
        start_BPS, end_BPS = torch.stack([scores.start, scores.end]).cpu().numpy()
        shapes = [context.token_ids.shape for context in contexts]  # smaller ones are padded
        return [
            TokenScores(start_BPS[row, :passages, :slot], end_BPS[row, :passages, :slot])
            for row, (passages, slot) in enumerate(shapes)
        ]

    @torch.inference_mode()
    def _read_group(self, contexts: Sequence[Context], watch: Stopwatch | None = None) -> list[Reading]:
        """Read contexts of like shapes as one batch."""
        shape = shape_of(contexts)
        padded = rounded(shape, longest_question=min(model.config.max_question_tokens for model in self.models))
        if not self._takes_graphs(contexts, padded):
            return self._read_shape(contexts, shape, None, watch)
        with self._graphs.turn:
            return self._read_shape(contexts, padded, self._graphs, watch)

    def _takes_graphs(self, contexts: Sequence[Context], shape: ContextShape) -> bool:
        """True for what is read by graphs: contexts one by one. Several together keep a GPU busy without."""
        if self._device.type != "cuda" or not self.config.cuda_graphs or len(contexts) > 1:
            return False
        return self.again is None or self.again.takes(shape)

    def _read_shape(
        self,
        contexts: Sequence[Context],
        shape: ContextShape,
        graphs: DeviceGraphs | None,
        watch: Stopwatch | None,
    ) -> list[Reading]:
        """Read contexts padded to ``shape``."""
        lap: Callable[[str], None] = watch.lap if watch else lambda part: None
        asked = self._asked(contexts, shape)
        batch = asked.inputs
        lap("inputs")
        max_tokens = self.config.max_answer_tokens
        if graphs is None:
            scored = score(self.models, self.again, asked, lap=lap)
        else:
            scored = graphs.score(lambda given: score(self.models, self.again, given, trim=False), asked)
        pieces = [PieceNumbers(context, shape.slot) for context in contexts]
        if self._device.type == "cuda":  # it is at work
            for each in pieces:
                each.look_ahead()
        if graphs is not None:
            lap("encode")
        told = Told.of(scored)
        numbers = np.stack([each.of(one.likeliest) for each, one in zip(pieces, told)])
        given = ToFind(
            scored.scores,
            scored.start,
            scored.end,
            batch.text_mask,
            scored.likeliest,
            *on_device([numbers], self._device),
        )

        def best(given: ToFind) -> FoundOnDevice:
            return find(given, max_tokens=max_tokens, count=_ALTERNATIVES)

        found = Found.of(best(given) if graphs is None else graphs.find(best, given, of=max_tokens), shape[1:])
        extracted = [
            self._extracted(context, scored, row, found[row], told[row]) for row, context in enumerate(contexts)
        ]
        lap("extract")
        return [
            self._reading(context, each, told[row], scored.encoded.row(row), batch.row(row), watch)
            for row, (context, each) in enumerate(zip(contexts, extracted))
        ]

    def _asked(self, contexts: Sequence[Context], shape: ContextShape) -> Asked:
        """The contexts with the retriever's priors, on the device."""
        priors = np.zeros((len(contexts), shape.passages), np.float32)
        for row, context in enumerate(contexts):
            prior = retrieval_prior(context, self.config.retrieval_weight)
            priors[row, : len(prior)] = prior
        *inputs, prior_BP = on_device([*collated(contexts, shape=shape), priors], self._device)
        return Asked(ReaderInput(*inputs), prior_BP)

    def _extracted(self, context: Context, scored: Scored, row: int, found: Found, told: Told) -> _Extracted:
        """The candidates of one context, and its items if it asks for several."""
        slot_tokens = scored.start.shape[2]
        spans = spans_apart(found.scores, found.places, found.more, context, slot_tokens, _ALTERNATIVES)
        slot = spans[0].span.slot if spans else found.slot
        rows = found.rows if slot == found.slot else rows_of(scored, row, slot)
        items: list[ScoredSpan] = []
        if told.several > _LISTED:
            items = items_of(rows.start, rows.end, context, spans, max_tokens=self.config.max_answer_tokens)
        slot_scores = found.slot_scores[: len(context.passages)].astype(np.float32)
        return _Extracted(spans, items, slot_scores, rows)

    def _reading(
        self,
        context: Context,
        extracted: _Extracted,
        told: Told,
        encoded: Encoded,
        inputs: ReaderInput,
        watch: Stopwatch | None,
    ) -> Reading:
        """The reading of one context: what was extracted, or what is written in its place, and its confidence.

        ``encoded`` and ``inputs`` are a batch of one.
        """
        max_tokens = self.config.max_answer_tokens
        scored, items, slot_scores, rows = extracted
        spans = [s.span for s in scored[:_ALTERNATIVES]]
        text, answer = spans[0].text if spans else "", log_probability(items or scored[:1], rows)
        kind: AnswerKind = "extracted"
        form: Form = "span"
        some = [s.span for s in items]
        if some:
            text, kind, form = "; ".join(span.text for span in some), "list", "list"
            spans = [*some, *(span for span in spans if span not in some)]
        if told.write > 0.5 and self.model.decoder is not None:
            written = write_answer(self.model, encoded, inputs, self.tokenizer, max_tokens, watch)
            text, kind, form = written.text, _kind_of(written.text), "written"
            answer = math.log(max(written.confidence, 1e-9))
            copied = written.span(context, inputs.shape.question, inputs.shape.slot)
            if copied is not None:  # word for word from one place: an extract
                text, kind, spans = copied.text, "extracted", [copied, *spans]
            if kind in ("yes", "no"):
                kind, answer = self._decided(kind, written.confidence, inputs, slot_scores)
                text = kind
                spans = supporting(spans, context, kind, self._decide)
                if watch:
                    watch.lap("write")
        features = reading_features(
            form,
            context,
            scored,
            answer=answer,
            null=told.no_answer,
            score=span_score_of(scored, rows),
            idf=self._idf,
            items=items if form == "list" else (),
        )
        confidence = self.calibration.confidence(features) if text else 0.0
        none = self.calibration.no_answer_probability(features)
        withheld = ""
        if not text or self.withholding().withholds(confidence, none):
            text, kind, withheld = "", "withheld", text
        return Reading(
            kind=kind,
            text=text,
            confidence=confidence,
            no_answer_probability=none,
            spans=tuple(spans),
            slot_scores=slot_scores,
            items=len(some) if kind == "list" else 0,
            withheld=withheld,
            features=features,
        )

    def _decided(
        self, kind: AnswerKind, probability: float, inputs: ReaderInput, slot_scores: npt.NDArray[np.float32]
    ) -> tuple[AnswerKind, float]:
        """Yes or no, and its log probability, where the reader wrote ``kind`` and pair readers may have a say."""
        verdict = self.again.verdict(inputs, slot_scores) if self.again else None
        if verdict is None:
            return kind, math.log(max(probability, 1e-9))
        yes = verdict.joined(probability if kind == "yes" else 1 - probability)
        return ("yes", math.log(yes)) if yes >= 0.5 else ("no", math.log1p(-yes))

    def _decide(self, context: Context) -> AnswerKind:
        """The answer to a short context: what pair readers say, else what is written."""
        batch = collate([context], self._device)
        verdict = self.again.verdict(batch, np.zeros(1, np.float32)) if self.again else None
        if verdict is not None:
            return "yes" if verdict.yes > 0.5 else "no" if verdict.no > 0.5 else "written"
        most = self.config.max_answer_tokens
        return _kind_of(write_answer(self.model, self.model.encode(batch), batch, self.tokenizer, most).text)


def _kind_of(written: str) -> AnswerKind:
    match written.casefold():
        case "yes":
            return "yes"
        case "no":
            return "no"
        case _:
            return "written"


def _fits(group: Sequence[int], index: int, contexts: Sequence[Context], most: int) -> bool:
    """True where a context can join a group: at most ``most`` tokens together, few of them padding. Contexts of one
    budget differ in the number of their passages and in the length of the longest."""
    shapes = [contexts[one].token_ids.shape for one in (*group, index)]
    cells = len(shapes) * max(passages for passages, _ in shapes) * max(slot for _, slot in shapes)
    filled = sum(passages * slot for passages, slot in shapes)
    return bool(cells <= most and filled >= _FILLED * cells)


def _nothing_to_read() -> Reading:
    return Reading("withheld", "", 0.0, 1.0, (), np.zeros(0, np.float32))
