"""A trained reader: contexts in, readings (answers with their spans) out.

Legend: B contexts, P passages, S slot tokens.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from ragyena.config import PairModelConfig, ReaderConfig, ReaderModelConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError, ConfigError, MissingDependencyError
from ragyena.model.checkpoint import load_config, load_model
from ragyena.model.confidence import Calibration, Form, Withholding, calibration_file, load_calibration
from ragyena.model.input_ranges import RANGES_FILE, InputRanges, load_ranges, prepare_int8
from ragyena.model.inputs import collate, on_device
from ragyena.model.pair_reader import PairReader
from ragyena.model.reader_model import Encoded, ReaderModel, SpanScores
from ragyena.ops.int8_linear import int8_unavailable
from ragyena.ops.linear import has_fast_bf16
from ragyena.reader.deciding import supporting
from ragyena.reader.decoding import Stopwatch, write_answer
from ragyena.reader.evidence import TokenScores
from ragyena.reader.extraction import best_spans_of_batch
from ragyena.reader.features import log_probabilities, reading_features, span_scores_of
from ragyena.reader.lists import items_of
from ragyena.reader.rereading import Rereader
from ragyena.reader.retrieval_prior import retrieval_prior
from ragyena.readers import SMALL, is_reader_name, reader_folder, reader_folders
from ragyena.types import AnswerKind, Context, Passage, Span

__all__ = ["Reader", "Reading", "chosen_dtype", "folders_of", "in_floating_point"]

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_ALTERNATIVES = 8  # spans kept of each context
_LISTED = 0.05  # probability from which a question asks for a list: hardly one of another kind has as much
_CPU_BATCH_TOKENS = 16_384  # tokens of contexts read together, as many as keep a CPU's caches useful
_GPU_BATCH_TOKENS = 262_144  # ... and as many as keep a large GPU busy, where its memory allows
_GPU_BYTES_A_TOKEN = 49_152  # of activations at width 384, a layer's fp32 filters and products with them included
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
    ) -> None:
        self.models, self.tokenizer, self.config, self.name = tuple(models), tokenizer, config, name
        self.calibration, self.again = calibration, again
        self._device = device
        self._idf = self.model.idf.float().cpu().numpy()

    @classmethod
    def open(cls, config: ReaderConfig) -> Reader:
        """Load the reader of ``config.checkpoint``, or several that read together.

        Raises CheckpointError where one is missing, damaged or of another shape, or their tokenizers differ,
        ConfigError for settings that it cannot serve, and MissingDependencyError for a device that is not there.
        """
        folders = folders_of(config.checkpoint)
        first, *beside = folders
        device = _device(config.device)
        tokenizers = [Tokenizer.from_folder(folder) for folder in folders]
        models = [_loaded(*each, config, device) for each in zip(folders, tokenizers)]
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
        pairs = [model for model in models if isinstance(model, PairReader)]
        again = Rereader(pairs, chosen_dtype(config.dtype, device)) if pairs else None
        return cls(readers, tokenizer, config, name=name, device=device, calibration=calibration, again=again)

    @property
    def model(self) -> ReaderModel:
        """The model, the first of several."""
        return self.models[0]

    def configured(self, config: ReaderConfig) -> Reader:
        """The same loaded model under other settings; checkpoint, device and dtype stay. Raises ConfigError."""
        for model in self.models:
            _check_question_limit(config, model.config, self.name)
        return Reader(
            self.models,
            self.tokenizer,
            config,
            name=self.name,
            device=self._device,
            calibration=self.calibration,
            again=self.again,
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
        models: list[ReaderModel | PairReader] = [*self.models, *(self.again.models if self.again else ())]
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
        """The scores of contexts of the same number of passages, read as one batch."""
        batch = collate(contexts, self._device)
        scores = SpanScores.averaged([model.span_scores(model.encode(batch), batch.text_mask) for model in self.models])
        start_BPS, end_BPS = scores.start.cpu().numpy(), scores.end.cpu().numpy()
        slots = [context.token_ids.shape[1] for context in contexts]  # shorter ones are padded
        return [TokenScores(start_BPS[row, :, :slot], end_BPS[row, :, :slot]) for row, slot in enumerate(slots)]

    @torch.inference_mode()
    def _read_group(self, contexts: Sequence[Context], watch: Stopwatch | None = None) -> list[Reading]:
        """Read contexts of the same number of passages as one batch."""
        lap: Callable[[str], None] = watch.lap if watch else lambda part: None
        batch = collate(contexts, self._device)
        lap("inputs")
        states = [model.encode(batch) for model in self.models]
        encoded = states[0]
        lap("encode")
        priors = np.stack([retrieval_prior(context, self.config.retrieval_weight) for context in contexts])
        prior = on_device(torch.from_numpy(priors), self._device)
        read = list(zip(self.models, states))
        scores = SpanScores.averaged([model.span_scores(own, batch.text_mask) for model, own in read])
        if self.again is not None:
            scores = self.again.scores(scores, batch)
            lap("again")
        write = torch.stack([model.write_logit(own) for model, own in read]).mean(0).sigmoid().tolist()
        start, end, null = scores.with_prior(prior).log_probabilities()
        max_tokens = self.config.max_answer_tokens
        listed = self._asks_for_list(states)
        candidates = best_spans_of_batch(start, end, contexts, max_tokens=max_tokens, count=_ALTERNATIVES)
        items = [
            items_of(start[row], end[row], context, spans, max_tokens=max_tokens) if is_list else []
            for row, (context, (spans, _), is_list) in enumerate(zip(contexts, candidates, listed))
        ]
        no_answer = null.double().mean(1).tolist()
        chosen = [some or spans[:1] for some, (spans, _) in zip(items, candidates)]
        answers = log_probabilities(chosen, start, end)
        span_scores = span_scores_of([spans for spans, _ in candidates], scores)
        lap("extract")
        readings = []
        for row, (context, (scored, slot_scores)) in enumerate(zip(contexts, candidates)):
            spans = [s.span for s in scored[:_ALTERNATIVES]]
            text, answer = spans[0].text if spans else "", answers[row]
            kind: AnswerKind = "extracted"
            form: Form = "span"
            some = [s.span for s in items[row]]
            if some:
                text, kind, form = "; ".join(span.text for span in some), "list", "list"
                spans = [*some, *(span for span in spans if span not in some)]
            if write[row] > 0.5 and self.model.decoder is not None:
                written = write_answer(self.model, encoded.row(row), batch.row(row), self.tokenizer, max_tokens, watch)
                text, kind, form = written.text, _kind_of(written.text), "written"
                answer = math.log(max(written.confidence, 1e-9))
                copied = written.span(context, batch.question_ids.shape[1], batch.token_ids.shape[2])
                if copied is not None:  # word for word from one place: an extract
                    text, kind, spans = copied.text, "extracted", [copied, *spans]
                if kind in ("yes", "no"):
                    spans = supporting(spans, context, kind, self._decide)
                    lap("write")
            features = reading_features(
                form,
                context,
                scored,
                answer=answer,
                null=no_answer[row],
                score=span_scores[row],
                idf=self._idf,
                items=items[row] if form == "list" else (),
            )
            confidence = self.calibration.confidence(features) if text else 0.0
            none = self.calibration.no_answer_probability(features)
            withheld = ""
            if not text or self.withholding().withholds(confidence, none):
                text, kind, withheld = "", "withheld", text
            readings.append(
                Reading(
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
            )
        return readings

    def _decide(self, context: Context) -> AnswerKind:
        """The answer that is written to a short context."""
        batch = collate([context], self._device)
        most = self.config.max_answer_tokens
        return _kind_of(write_answer(self.model, self.model.encode(batch), batch, self.tokenizer, most).text)

    def _asks_for_list(self, states: Sequence[Encoded]) -> list[bool]:
        """For each context, whether its question asks for several items, by the models that tell."""
        told = [model.list_logit(own) for model, own in zip(self.models, states) if model.config.lists]
        if not told:
            return [False] * len(states[0].question)
        return [probability > _LISTED for probability in torch.stack(told).mean(0).sigmoid().tolist()]


def folders_of(checkpoint: str) -> list[Path]:
    """The folders that a reader is loaded from: pair readers first, since the first has the confidence of all. A pair
    reader alone reads with the reader in the package. Raises CheckpointError, MissingDependencyError.
    """
    folders = list(reader_folders(checkpoint))
    pairs = [folder for folder in folders if isinstance(load_config(folder), PairModelConfig)]
    readers = [folder for folder in folders if folder not in pairs]
    return [*pairs, *(readers or [reader_folder(SMALL)])]


def _loaded(folder: Path, tokenizer: Tokenizer, config: ReaderConfig, device: torch.device) -> ReaderModel | PairReader:
    """The model of a checkpoint's folder, ready to read."""
    architecture = load_config(folder)
    dtype = chosen_dtype(config.dtype, device)
    model: ReaderModel | PairReader
    if isinstance(architecture, PairModelConfig):
        model, vocabulary = load_model(PairReader, architecture, folder), architecture.reader_vocab_size
    elif isinstance(architecture, ReaderModelConfig):
        _check_question_limit(config, architecture, str(folder))
        model, vocabulary = load_model(ReaderModel, architecture, folder), architecture.vocab_size
    else:
        raise CheckpointError(
            f"{folder} holds a {architecture.kind} model, not a reader", hint="give a reader's checkpoint folder"
        )
    model.eval().requires_grad_(False)
    ranges = _ranges(folder, config.dtype, device) if isinstance(model, ReaderModel) else None
    if isinstance(model, ReaderModel) and ranges is not None:
        prepare_int8(model, ranges)
    model.prepare_inference(dtype)
    model.to(device)
    if device.type == "cpu":
        model.prepare_cpu()
    log.info("reader %s on %s in %s%s", folder, device, dtype, " and int8" if ranges is not None else "")
    if (largest := max(tokenizer.vocabulary().values())) >= vocabulary:
        raise CheckpointError(
            f"{folder}: its tokenizer has a token {largest}, its model has {vocabulary} of them",
            hint="use the tokenizer.json that the weights were saved with",
        )
    return model


def _kind_of(written: str) -> AnswerKind:
    match written.casefold():
        case "yes":
            return "yes"
        case "no":
            return "no"
        case _:
            return "written"


def _fits(group: Sequence[int], index: int, contexts: Sequence[Context], most: int) -> bool:
    """True where a context can join a group: same number of passages, and at most ``most`` tokens together."""
    first, new = contexts[group[0]].token_ids, contexts[index].token_ids
    return first.shape[0] == new.shape[0] and (len(group) + 1) * new.size <= most


def _nothing_to_read() -> Reading:
    return Reading("withheld", "", 0.0, 1.0, (), np.zeros(0, np.float32))


def _check_question_limit(config: ReaderConfig, architecture: ReaderModelConfig, name: str) -> None:
    if config.max_question_tokens > architecture.max_question_tokens:
        raise ConfigError(
            f"reader.max_question_tokens is over the {architecture.max_question_tokens} that {name} takes",
            hint=f"set it to {architecture.max_question_tokens} or less",
        )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"reader.device is '{name}'", hint="use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise MissingDependencyError(
            f"there is no device {name} here", hint="use --device auto or cpu; `ragyena doctor` says what is there"
        )
    return device


def in_floating_point(config: ReaderConfig) -> ReaderConfig:
    """The settings without int8, whose ranges are measured by a reader without it."""
    return config.model_copy(update={"dtype": "auto"}) if config.dtype == "int8" else config


def _ranges(folder: Path, name: str, device: torch.device) -> InputRanges | None:
    """The ranges of what enters the maps of a reader that is to multiply in int8; None for other arithmetic. Raises
    MissingDependencyError where the device cannot, CheckpointError where the reader has none."""
    if name != "int8":
        return None
    reason = int8_unavailable() if device.type == "cpu" else f"the device is {device}"
    if reason is not None:
        raise MissingDependencyError(
            f"reader.dtype is int8, and {reason}", hint="set reader.dtype to auto, float32 or bfloat16"
        )
    ranges = load_ranges(folder)
    if ranges is None:
        raise CheckpointError(
            f"reader.dtype is int8, and {folder} has no {RANGES_FILE} of its weights",
            hint="measure them: ragyena train calibrate; or set reader.dtype to auto",
        )
    return ranges


def chosen_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type of activations: bfloat16 where the device multiplies matrices faster in it than in float32."""
    if name not in ("auto", "int8"):
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if has_fast_bf16() else torch.float32
