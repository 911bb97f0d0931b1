"""The tasks of stages on questions in contexts: a reader with its teachers, and a pair reader, which is a teacher.

``ragyena.train.loop`` runs a task: it knows steps, rates and files, and nothing of readers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ragyena.config import (
    ContextStageConfig,
    PairModelConfig,
    PairStageConfig,
    ReaderModelConfig,
    StageConfig,
    TrainConfig,
)
from ragyena.config.training import Loss, Sampling
from ragyena.errors import CheckpointError, TrainingError
from ragyena.model.checkpoint import Storage
from ragyena.model.confidence import Calibration, save_calibration
from ragyena.model.flops import TRAINING
from ragyena.model.pair_reader import PairReader, Pairs
from ragyena.model.reader_model import Encoded, ReaderModel, SpanScores
from ragyena.model.warm_start import pair_config, start_from_encoder, start_from_reader, start_pair
from ragyena.train.calibration import calibrate, fit_null
from ragyena.train.objectives import (
    HiddenStateLoss,
    evidence_loss,
    list_loss,
    polar_loss,
    span_loss,
    teacher_loss,
)
from ragyena.train.packed import Batch, PackedData
from ragyena.train.ranks import Ranks
from ragyena.train.sampler import Sampler
from ragyena.train.step_graphs import compiled, mapped
from ragyena.train.task import Task, load_trained
from ragyena.types import Progress

__all__ = ["PairTask", "ReaderTask", "check_encoder", "load_pair_reader"]

_STORAGE: dict[str, Mapping[str, Storage]] = {
    "float32": {"*": "float32"},
    # int8 where it loses nothing that was measured: matrices, embeddings included. The rest is small.
    "compact": {
        "*filter*": "float32",
        "span.*": "float32",
        "null.*": "float32",
        "mode.*": "float32",
        "list_mode.*": "float32",
        "*position*": "float16",
        "idf": "float16",
        "*.short": "float16",
        "*sink": "float16",
        "match": "float16",
        "*.weight": "int8",
    },
}
_LEFT_OUT = {"right": "right", "calibration error": "calibration_error", "AUROC": "auroc"}
"""Measures of the confidence on sources left out, by the names that the log has for them."""
_FREE = ("dropout", "reader_vocab_size")  # settings that the encoder's files do not fix


class _ContextTask(Task):
    """A stage on one device, for the share of one rank. ``runs`` holds the checkpoints of earlier stages."""

    held_out_loss = "held-out span"

    def __init__(
        self,
        config: TrainConfig,
        stage: ContextStageConfig,
        packed: PackedData,
        *,
        runs: Path,
        device: str,
        tokenizer: Path | None,
        ranks: Ranks,
    ) -> None:
        super().__init__(stage, device, ranks)
        self.context_stage, self.runs, self.tokenizer = stage, runs, tokenizer
        self.sampler = Sampler(
            packed, stage, seed=config.seed + stage.seed, question_tokens=config.data.question_tokens
        )

    def batch(self, step: int) -> Batch:
        return self._share(self.sampler.batch(step))

    def every_shape(self) -> list[Batch]:
        return [self._share(self.sampler.batch(0, shape=shape)) for shape in self.sampler.shapes()]

    @abstractmethod
    def held_out_scores(self, batch: Batch) -> SpanScores:
        """The scores behind the held-out loss."""

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """The span loss on questions never trained on, among as many passages as the stage has."""
        if not len(self.sampler.held_out):
            return {}
        losses = []
        for passages in self.context_stage.passages:
            for step in range(Sampling.HELD_OUT_BATCHES):
                batch = self.sampler.held_out_batch(step, passages)
                losses.append(span_loss(self.held_out_scores(batch), batch))
        return {self.held_out_loss: float(torch.stack(losses).mean())}

    def layers_of(self, model: nn.Module) -> list[nn.Module]:
        """The layers of a model, compiled where the stage says so."""
        layers = model.layers
        assert isinstance(layers, nn.ModuleList)
        return compiled(layers) if self.compiled else list(layers)

    def _share(self, batch: Batch) -> Batch:
        """This rank's contexts of a batch; ranks have equally many."""
        ranks = self.ranks
        if ranks.count == 1:
            return batch
        each = len(batch.start) // ranks.count
        if not each:
            raise TrainingError(
                f"stage {self.context_stage.name}: a step has {len(batch.start)} contexts for {ranks.count} processes",
                hint="raise tokens_per_step, or start fewer processes",
            )
        mine = slice(ranks.rank * each, (ranks.rank + 1) * each)
        share: Batch = mapped(batch, lambda tensor: tensor[mine])
        return share


class ReaderTask(_ContextTask):
    """A stage that trains a reader. ``encoder`` is the model.safetensors it may start from."""

    model: ReaderModel

    def __init__(
        self,
        config: TrainConfig,
        stage: StageConfig,
        packed: PackedData,
        *,
        runs: Path,
        encoder: Path,
        device: str,
        tokenizer: Path | None = None,
        ranks: Ranks = Ranks(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(config, stage, packed, runs=runs, device=device, tokenizer=tokenizer, ranks=ranks)
        self.stage, self.seed = stage, config.seed + stage.seed
        self.calibration: Calibration | None = None
        self.recordable = stage.cuda_graphs
        self.model = ReaderModel(stage.model)
        self._start(encoder)
        self.model.to(device).train()
        self.model.idf.copy_(packed["idf"])
        self.teacher = self._load(stage.teacher).to(device).eval().requires_grad_(False) if stage.teacher else None
        self.pair_teachers = [
            load_pair_reader(name, runs).to(device).eval().requires_grad_(False) for name in stage.pair_teacher
        ]
        for pair_teacher in self.pair_teachers:
            pair_teacher.prepare_inference(self.dtype)
        self.hidden_loss = HiddenStateLoss(compiled=self.compiled)
        self.layers = self.layers_of(self.model)
        self.teacher_layers = self.layers_of(self.teacher) if self.teacher else []
        self.pair_layers = [self.layers_of(pair_teacher) for pair_teacher in self.pair_teachers]

    def _start(self, encoder: Path) -> None:
        start = self.stage.start
        for name, _ in self._averaged():
            if not _same_but_lists(self._load(name), self.model):
                raise TrainingError(
                    f"stage {self.stage.name} cannot be averaged with {name}: their models differ",
                    hint="take it out of average, or give both the same model",
                )
        if start == "encoder":
            start_from_encoder(self.model, encoder)
        elif start != "scratch":
            start_from_reader(self.model, self._load(start))

    def _averaged(self) -> list[tuple[str, float]]:
        """The names and weights of the other models in the finished one."""
        weights = self.stage.average.items()
        return [(self.stage.start if name == "start" else name, weight) for name, weight in weights if weight]

    def _load(self, name: str) -> ReaderModel:
        return load_trained(name, self.runs, ReaderModelConfig, ReaderModel, "a reader")

    # -- what the loop asks for ----------------------------------------------------------------------------------

    @property
    def storage(self) -> Mapping[str, Storage]:
        return _STORAGE[self.stage.storage]

    def flops(self, batch: Batch) -> float:
        """Model FLOPs of a step on the batch, the teachers' forward passes included; the answer decoder is left out."""
        shape = batch.inputs.shape
        each = TRAINING * self.model.flops(shape)
        each += sum(teacher.flops(shape) for teacher in (self.teacher, *self.pair_teachers) if teacher is not None)
        return each * batch.tokens

    def held_out_scores(self, batch: Batch) -> SpanScores:
        encoded = self.model.encode(batch.inputs, dtype=self.dtype)
        return self.model.span_scores(encoded, batch.inputs.text_mask)

    def loss(self, batch: Batch, done: float | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        stage = self.stage
        states = self._encode(self.model, batch, self.layers)
        last = states[-1]
        parts: dict[str, Tensor] = {}
        scores = self.model.span_scores(last, batch.inputs.text_mask)
        parts["span"] = span_loss(scores, batch)
        parts["polar"] = polar_loss(self.model.write_logit(last), batch)
        loss = stage.span_weight * (1 + done) * parts["span"] + Loss.POLAR_WEIGHT * parts["polar"]
        if self.model.config.lists:
            parts["list"] = list_loss(self.model.list_logit(last), batch)
            loss = loss + Loss.LIST_WEIGHT * parts["list"]
        if self.model.decoder is not None and stage.write_weight:
            parts["write"] = self._write_loss(batch, last)
            loss = loss + stage.write_weight * parts["write"]
        selecting = stage.model.selecting_layers
        if selecting:
            losses = [evidence_loss(self.model.evidence_scores(i, states[i].passages), batch) for i in selecting]
            parts["evidence"] = torch.stack(losses).mean()
            loss = loss + stage.evidence_weight * parts["evidence"]
        teacher_scores: SpanScores | None = None
        if self.teacher is not None:
            with torch.no_grad():
                teacher_states = self._encode(self.teacher, batch, self.teacher_layers)
                teacher_scores = self.teacher.span_scores(teacher_states[-1], batch.inputs.text_mask)
            parts["hidden"] = self.hidden_loss(states, teacher_states, batch)
            left = 1 - (1 - stage.hidden_final) * done
            loss = loss + stage.hidden_weight * left * parts["hidden"]
        if self.pair_teachers:
            with torch.no_grad():
                teacher_scores = _averaged(
                    [
                        teacher.span_scores(batch.plain, dtype=self.dtype, layers=layers)
                        for teacher, layers in zip(self.pair_teachers, self.pair_layers)
                    ]
                )
        if teacher_scores is not None and stage.teacher_weight:
            parts["teacher"] = teacher_loss(scores, teacher_scores, batch)
            loss = loss + stage.teacher_weight * parts["teacher"]
        parts["loss"] = loss
        return loss, parts

    def finish(self, progress: Progress) -> dict[str, float]:
        """Averages the model and fits its no-answer score, where the stage says so, and calibrates the confidence on
        held-out questions, where there are some; what was measured."""
        if self.stage.average:
            self._average()
        measured: dict[str, float] = {}
        if self.stage.fit_null:
            fitted = fit_null(
                self.model, self.sampler, self.dtype, self.stage.fit_null, seed=self.seed, progress=progress
            )
            measured = {f"no-answer {name}": value for name, value in fitted.items()}
        if len(self.sampler.held_out):
            fit = calibrate(self.model, self.sampler, self.dtype, progress)
            self.calibration = fit.calibration
            measured |= {
                "held-out questions": float(fit.calibration.fitted["questions"]),
                **{f"left-out {name}": fit.mean(measure) for name, measure in _LEFT_OUT.items()},
            }
        return measured

    def save_beside(self, folder: Path) -> None:
        if self.calibration is not None:
            save_calibration(folder, self.calibration)

    def _average(self) -> None:
        """Averages every parameter over the models that have it; a head may be new in this one."""
        others = [(dict(self._load(name).named_parameters()), weight) for name, weight in self._averaged()]
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                theirs = [(other[name].to(parameter), weight) for other, weight in others if name in other]
                own = parameter * (1 - sum(weight for _, weight in others))
                total = 1 - sum(weight for other, weight in others if name not in other)
                parameter.copy_(sum((other * weight for other, weight in theirs), own) / total)

    def state(self) -> dict[str, Tensor]:
        return self.hidden_loss.state()

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        self.hidden_loss.load_state(tensors)

    # ------------------------------------------------------------------------------------------------------------

    def _write_loss(self, batch: Batch, encoded: Encoded) -> Tensor:
        """The decoder's loss on some contexts of the batch, those first whose answers only it can give: it learns from
        fewer, and costs less, than the encoder."""
        assert self.model.decoder is not None
        urgency = (batch.has_span & (batch.polar != 1)).long() + 2 * (~batch.answer_mask.any(1)).long()
        some = urgency.argsort(stable=True)[: Loss.WRITE_CONTEXTS]
        return self.model.decoder.loss(
            batch.answer_ids[some],
            batch.answer_mask[some],
            encoded.question[some],
            encoded.passages[some],
            batch.inputs.rows(some),
            self.model.word.weight,
        )

    def _encode(self, model: ReaderModel, batch: Batch, layers: list[nn.Module]) -> list[Encoded]:
        return list(model.encode_layers(batch.inputs, dtype=self.dtype, layers=layers))


class PairTask(_ContextTask):
    """A stage that trains a pair reader. ``encoder`` is the folder of the encoder it may start from."""

    model: PairReader
    recordable = False  # dropout draws anew in each step, and whole layers are few and large

    def __init__(
        self,
        config: TrainConfig,
        stage: PairStageConfig,
        packed: PackedData,
        *,
        runs: Path,
        encoder: Path | None,
        device: str,
        tokenizer: Path,
        ranks: Ranks = Ranks(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(config, stage, packed, runs=runs, device=device, tokenizer=tokenizer, ranks=ranks)
        self.stage = stage
        self.model = self._started(encoder, tokenizer).to(device).train()
        longest = max(
            Pairs.of(batch.inputs.row(0), stage.model.separators).ids.shape[1] for batch in self.every_shape()
        )
        if longest > self.model.longest():
            raise TrainingError(
                f"stage {stage.name}: pairs of {longest} tokens, and the encoder reads {self.model.longest()}",
                hint="lower data.question_tokens or data.passage_tokens",
            )
        self.layers = self.layers_of(self.model)

    def _started(self, encoder: Path | None, tokenizer: Path) -> PairReader:
        stage = self.stage
        if stage.start != "pair-encoder":
            return load_pair_reader(stage.start, self.runs)
        if encoder is None:
            raise TrainingError(f"stage {stage.name} starts from an encoder", hint="name its folder: --pair-encoder")
        check_encoder(stage, encoder)
        model = PairReader(stage.model)
        start_pair(model, encoder, tokenizer)
        return model

    @property
    def storage(self) -> Mapping[str, Storage]:
        return {"*": self.stage.storage}

    def flops(self, batch: Batch) -> float:
        return TRAINING * self.model.flops(batch.inputs.shape) * batch.tokens

    def held_out_scores(self, batch: Batch) -> SpanScores:
        return self.model.span_scores(batch.plain, dtype=self.dtype)

    def loss(self, batch: Batch, done: float | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = span_loss(self.model.span_scores(batch.plain, dtype=self.dtype, layers=self.layers), batch)
        return loss, {"span": loss, "loss": loss}


def _averaged(scores: Sequence[SpanScores]) -> SpanScores:
    """The scores of several readers as those of one: the mean of their log probabilities."""
    if len(scores) == 1:
        return scores[0]
    parts = (torch.stack(part).mean(0) for part in zip(*(one.log_probabilities() for one in scores)))
    return SpanScores(*parts)


def _same_but_lists(one: ReaderModel, other: ReaderModel) -> bool:
    """True for models whose weights can be averaged; the heads of lists may be new."""
    return one.config.model_copy(update={"lists": other.config.lists}) == other.config


def check_encoder(stage: PairStageConfig, encoder: Path) -> None:
    """Raises CheckpointError where the folder holds no encoder, or another one than the stage describes."""
    actual = pair_config(encoder, stage.model.reader_vocab_size).model_dump(exclude=set(_FREE))
    expected = stage.model.model_dump(exclude=set(_FREE))
    if wrong := [f"{name}: {actual[name]}" for name in expected if expected[name] != actual[name]]:
        raise CheckpointError(
            f"the encoder {encoder} is not what stage {stage.name} describes",
            hint=f"set in its model: {', '.join(wrong)}",
        )


def load_pair_reader(name: str, runs: Path) -> PairReader:
    """The pair reader of an earlier stage, or of a checkpoint folder. Raises CheckpointError, TrainingError."""
    return load_trained(name, runs, PairModelConfig, PairReader, "a pair reader")
