"""The task of a reader's stage: the model, its teachers, and the loss.

``ragyena.train.loop`` runs a task: it knows steps, rates and files, and nothing of readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ragyena.config import ReaderModelConfig, StageConfig, TrainConfig
from ragyena.config.training import Loss
from ragyena.errors import TrainingError
from ragyena.model.checkpoint import Storage
from ragyena.model.flops import TRAINING
from ragyena.model.pair_reader import PairReader
from ragyena.model.reader_model import Encoded, ReaderModel, SpanScores
from ragyena.model.warm_start import start_from_encoder, start_from_reader
from ragyena.train.calibration import calibrate
from ragyena.train.context_task import ContextTask
from ragyena.train.null_fit import fit_null
from ragyena.train.objectives import HiddenStateLoss, evidence_loss, polar_loss, span_loss, teacher_loss
from ragyena.train.packed import Batch, PackedData
from ragyena.train.pair_task import load_pair_reader
from ragyena.train.ranks import Ranks
from ragyena.train.task import load_trained
from ragyena.types import Progress

__all__ = ["ReaderTask"]

_STORAGE: dict[str, Mapping[str, Storage]] = {
    "float32": {"*": "float32"},
    # int8 where it loses nothing that was measured: matrices, embeddings included. The rest is small.
    "compact": {
        "*filter*": "float32",
        "span.*": "float32",
        "null.*": "float32",
        "mode.*": "float32",
        "*position*": "float16",
        "idf": "float16",
        "*.short": "float16",
        "*sink": "float16",
        "match": "float16",
        "*.weight": "int8",
    },
}


class ReaderTask(ContextTask):
    """A stage that trains a reader. ``encoder`` is the model.safetensors it may start from."""

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
        self.stage, self.seed = stage, config.seed
        self.recordable = stage.cuda_graphs
        self.model = ReaderModel(stage.model)
        self._start(encoder)
        self.model.to(device).train()
        self.model.idf.copy_(packed["idf"])
        self.teacher = self._load(stage.teacher).to(device).eval().requires_grad_(False) if stage.teacher else None
        self.pair_teacher: PairReader | None = None
        if stage.pair_teacher:
            self.pair_teacher = load_pair_reader(stage.pair_teacher, runs).to(device).eval().requires_grad_(False)
            self.pair_teacher.prepare_inference(self.dtype)
        self.hidden_loss = HiddenStateLoss(compiled=self.compiles)
        self.layers = self.layers_of(self.model)
        self.teacher_layers = self.layers_of(self.teacher) if self.teacher else []
        self.pair_layers = self.layers_of(self.pair_teacher) if self.pair_teacher else []

    def _start(self, encoder: Path) -> None:
        start = self.stage.start
        if self.stage.average_start and self._load(self._averaged_with).config != self.model.config:
            raise TrainingError(
                f"stage {self.stage.name} cannot be averaged with {self._averaged_with}: their models differ",
                hint="set average_start to 0, or give both the same model",
            )
        if start == "encoder":
            start_from_encoder(self.model, encoder)
        elif start != "scratch":
            start_from_reader(self.model, self._load(start))

    @property
    def _averaged_with(self) -> str:
        return self.stage.average_with or self.stage.start

    def _load(self, name: str) -> ReaderModel:
        return load_trained(name, self.runs, ReaderModelConfig, ReaderModel, "a reader")

    # -- what the loop asks for ----------------------------------------------------------------------------------

    @property
    def storage(self) -> Mapping[str, Storage]:
        """Storage of the finished model."""
        return _STORAGE[self.stage.storage]

    def flops(self, batch: Batch) -> float:
        """Model FLOPs of a step on the batch, the teachers' forward passes included; the answer decoder is left out."""
        shape = batch.inputs.shape
        each = TRAINING * self.model.flops(shape)
        each += sum(teacher.flops(shape) for teacher in (self.teacher, self.pair_teacher) if teacher is not None)
        return each * batch.tokens

    def held_out_scores(self, batch: Batch) -> SpanScores:
        """The scores behind the held-out loss."""
        encoded = self.model.encode(batch.inputs, dtype=self.dtype)
        return self.model.span_scores(encoded, batch.inputs.text_mask)

    def loss(self, batch: Batch, done: float | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss when the fraction ``done`` of the stage is over, and its parts."""
        stage = self.stage
        states = self._encode(self.model, batch, self.layers)
        last = states[-1]
        parts: dict[str, Tensor] = {}
        scores = self.model.span_scores(last, batch.inputs.text_mask)
        parts["span"] = span_loss(scores, batch)
        parts["polar"] = polar_loss(self.model.write_logit(last), batch)
        loss = stage.span_weight * (1 + done) * parts["span"] + Loss.POLAR_WEIGHT * parts["polar"]
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
        if self.pair_teacher is not None:
            with torch.no_grad():
                teacher_scores = self.pair_teacher.span_scores(batch.plain, dtype=self.dtype, layers=self.pair_layers)
        if teacher_scores is not None and stage.teacher_weight:
            parts["teacher"] = teacher_loss(scores, teacher_scores, batch)
            loss = loss + stage.teacher_weight * parts["teacher"]
        parts["loss"] = loss
        return loss, parts

    def finish(self, progress: Progress) -> dict[str, float]:
        """Averages the model and fits its no-answer score, where the stage says so, and calibrates the confidence on
        held-out questions, where there are some; what was measured."""
        if self.stage.average_start:
            self._average()
        measured: dict[str, float] = {}
        if self.stage.fit_null:
            fitted = fit_null(
                self.model, self.sampler, self.dtype, self.stage.fit_null, seed=self.seed, progress=progress
            )
            measured = {f"no-answer {name}": value for name, value in fitted.items()}
        if len(self.sampler.held_out):
            calibrated = calibrate(self.model, self.sampler, self.dtype, progress)
            measured |= {f"held-out {name}": value for name, value in calibrated.items()}
        return measured

    def _average(self) -> None:
        other = dict(self._load(self._averaged_with).named_parameters())
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.lerp_(other[name].to(parameter), self.stage.average_start)

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
