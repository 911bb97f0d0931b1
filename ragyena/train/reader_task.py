"""The task of a stage that trains a reader, with its teachers: another reader of whole contexts, and pair readers.

``ragyena.train.loop`` runs a task: it knows steps, rates and files, and nothing of readers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ragyena.config import PairModelConfig, ReaderModelConfig, StageConfig, TrainConfig
from ragyena.config.training import Loss
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import TrainingError
from ragyena.model.checkpoint import Storage, load_config
from ragyena.model.confidence import Calibration, save_calibration
from ragyena.model.flops import TRAINING
from ragyena.model.pair_reader import PairReader
from ragyena.model.reader_model import Encoded, ReaderModel, SpanScores
from ragyena.model.warm_start import start_from_encoder, start_from_pair, start_from_reader
from ragyena.train.calibration import calibrate, fit_null
from ragyena.train.context_task import SpanTask
from ragyena.train.objectives import (
    HiddenStateLoss,
    evidence_loss,
    first_token_loss,
    list_loss,
    polar_loss,
    soft_label_loss,
    span_loss,
    teacher_loss,
    yes_no_loss,
)
from ragyena.train.packed import Batch, PackedData
from ragyena.train.pair_task import encoder_started, load_pair_reader
from ragyena.train.polar_teacher import PolarTeacher
from ragyena.train.ranks import Ranks
from ragyena.train.task import average_with, load_trained, trained_folder
from ragyena.types import Progress

__all__ = ["STORAGE", "ReaderTask"]

STORAGE: dict[str, Mapping[str, Storage]] = {
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
"""The storage of a reader's tensors by the name that a recipe has for it."""
_LEFT_OUT = {"right": "right", "calibration error": "calibration_error", "AUROC": "auroc"}
"""Measures of the confidence on sources left out, by the names that the log has for them."""


class ReaderTask(SpanTask):
    """A stage that trains a reader. ``encoder`` is the model.safetensors it may start from, ``pair_encoder`` the folder
    of the encoder it may."""

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
        pair_encoder: Path | None = None,
        tokenizer: Path | None = None,
        ranks: Ranks = Ranks(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(config, stage, packed, runs=runs, device=device, tokenizer=tokenizer, ranks=ranks)
        self.stage, self.seed = stage, config.seed + stage.seed
        self.calibration: Calibration | None = None
        self.recordable = stage.cuda_graphs
        self.model = ReaderModel(stage.model)
        self._start(encoder, pair_encoder)
        self.model.to(device).train()
        self.model.idf.copy_(packed["idf"])
        self.teacher = self._load(stage.teacher).to(device).eval().requires_grad_(False) if stage.teacher else None
        self.pair_teachers = [
            load_pair_reader(name, runs).to(device).eval().requires_grad_(False) for name in stage.pair_teacher
        ]
        for pair_teacher in self.pair_teachers:
            pair_teacher.prepare_inference(self.dtype)
        self._check_hidden()
        self._set_up_polar()
        self.hidden_loss = HiddenStateLoss(ranks, compiled=self.compiled)
        self.layers = self.layers_of(self.model)
        self.teacher_layers = self.layers_of(self.teacher) if self.teacher else []
        self.pair_layers = [self.layers_of(pair_teacher) for pair_teacher in self.pair_teachers]

    def _start(self, encoder: Path, pair_encoder: Path | None) -> None:
        start = self.stage.start
        for name, _ in self.averaged():
            if not _same_but_lists(self._load(name), self.model):
                raise TrainingError(
                    f"stage {self.stage.name} cannot be averaged with {name}: their models differ",
                    hint="take it out of average, or give both the same model",
                )
        if start == "encoder":
            start_from_encoder(self.model, encoder)
        elif start == "pair-encoder":
            start_from_pair(
                self.model, encoder_started(self.stage.name, pair_encoder, self.model.config, self.tokenizer)
            )
        elif start != "scratch":
            if isinstance(load_config(trained_folder(start, self.runs)), PairModelConfig):
                start_from_pair(self.model, load_pair_reader(start, self.runs))
            else:
                start_from_reader(self.model, self._load(start))

    def _check_hidden(self) -> None:
        """Raises TrainingError where states are to be distilled from a teacher of another shape."""
        for name, teacher in self._hidden_teachers():
            theirs = (teacher.config.width, len(teacher.layers))
            mine = (self.model.config.width, len(self.model.layers))
            if theirs != mine:
                raise TrainingError(
                    f"stage {self.stage.name}: its teacher {name} has width {theirs[0]} and {theirs[1]} layers, its "
                    f"model width {mine[0]} and {mine[1]} layers: no states to learn from",
                    hint="set the stage's hidden_weight (of a pair reader: pair_hidden_weight) to 0",
                )

    def _set_up_polar(self) -> None:
        """Loads what teaches yes and no, and the words that they are written with. Raises TrainingError where no pair
        teacher has it."""
        self.polar_teacher: PolarTeacher | None = None
        if not self.stage.polar_weight:
            return
        assert self.tokenizer is not None
        self.polar_teacher = PolarTeacher.beside(
            self.stage.pair_teacher, self.pair_teachers, self.runs, self.dtype, self.device
        )
        words = Tokenizer.from_folder(self.tokenizer.parent).vocabulary()
        self.polar_words = words["yes"], words["no"]

    def _hidden_teachers(self) -> list[tuple[str, ReaderModel | PairReader]]:
        """The teachers whose hidden states are distilled, with their names."""
        stage = self.stage
        teachers: list[tuple[str, ReaderModel | PairReader]] = []
        if self.teacher is not None and stage.hidden_weight:
            teachers.append((stage.teacher, self.teacher))
        if stage.pair_hidden_weight:
            teachers.append((stage.pair_teacher[0], self.pair_teachers[0]))
        return teachers

    def _load(self, name: str) -> ReaderModel:
        return load_trained(name, self.runs, ReaderModelConfig, ReaderModel, "a reader")

    # -- what the loop asks for ----------------------------------------------------------------------------------

    @property
    def storage(self) -> Mapping[str, Storage]:
        return STORAGE[self.stage.storage]

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
        if self.teacher is not None or self.pair_teachers:
            loss = loss + self._teachers_loss(batch, states, scores, parts, done)
        parts["loss"] = loss
        return loss, parts

    def _teachers_loss(
        self,
        batch: Batch,
        states: list[Encoded],
        scores: SpanScores,
        parts: dict[str, Tensor],
        done: float | Tensor,
    ) -> Tensor:
        """The weighted losses against the teachers, noted in ``parts``. Spans are those of the pair readers where there
        are some."""
        stage = self.stage
        left = 1 - (1 - stage.hidden_final) * done
        total = scores.null.new_zeros(())
        taught: SpanScores | None = None
        if self.teacher is not None:
            with torch.no_grad():
                teacher_states = self._encode(self.teacher, batch, self.teacher_layers)
                taught = self.teacher.span_scores(teacher_states[-1], batch.inputs.text_mask)
            if stage.hidden_weight:
                parts["hidden"] = self.hidden_loss(states, teacher_states, batch)
                total = total + stage.hidden_weight * left * parts["hidden"]
            if stage.mode_weight:
                parts["modes"] = self._modes_loss(self.teacher, teacher_states[-1], states[-1], batch)
                total = total + stage.mode_weight * parts["modes"]
        if self.pair_teachers:
            with torch.no_grad():
                read = [
                    teacher.read(
                        batch.plain, dtype=self.dtype, layers=layers, states=bool(stage.pair_hidden_weight) and not n
                    )
                    for n, (teacher, layers) in enumerate(zip(self.pair_teachers, self.pair_layers))
                ]
                taught = SpanScores.averaged([one_scores for one_scores, _ in read])
            if stage.pair_hidden_weight:
                parts["hidden"] = self.hidden_loss(states, read[0][1], batch)
                total = total + stage.pair_hidden_weight * left * parts["hidden"]
        if self.polar_teacher is not None:
            assert taught is not None
            parts["yes or no"] = self._polar_loss(self.polar_teacher, taught, states[-1], batch)
            total = total + stage.polar_weight * parts["yes or no"]
        if stage.teacher_weight:
            assert taught is not None
            parts["teacher"] = teacher_loss(scores, taught, batch, everywhere=not self.pair_teachers)
            total = total + stage.teacher_weight * parts["teacher"]
        return total

    def _polar_loss(self, teacher: PolarTeacher, taught: SpanScores, mine: Encoded, batch: Batch) -> Tensor:
        """Against the teacher's yes or no, on some contexts of the batch, those of yes/no questions first."""
        model = self.model
        assert model.decoder is not None
        some = (batch.polar != 1).long().argsort(stable=True)[: Loss.POLAR_CONTEXTS]
        scores = SpanScores(taught.start[some], taught.end[some], taught.null[some])
        yes = teacher.yes(batch.plain.rows(some), scores)
        inputs = batch.inputs.rows(some)
        own = model.decoder.first_token(mine.question[some], mine.passages[some], inputs, model.word.weight)
        return yes_no_loss(own, self.polar_words, yes, batch.polar[some])

    def _modes_loss(self, teacher: ReaderModel, theirs: Encoded, mine: Encoded, batch: Batch) -> Tensor:
        """Against the teacher's probabilities that the answer is to be written, that it is a list, and of the first
        token that is written to a yes/no question."""
        model = self.model
        loss = soft_label_loss(model.write_logit(mine), teacher.write_logit(theirs))
        if model.config.lists and teacher.config.lists:
            loss = loss + soft_label_loss(model.list_logit(mine), teacher.list_logit(theirs))
        if model.decoder is not None and teacher.decoder is not None:
            some = self._urgent(batch)
            inputs = batch.inputs.rows(some)
            with torch.no_grad():
                target = teacher.decoder.first_token(
                    theirs.question[some], theirs.passages[some], inputs, teacher.word.weight
                )
            own = model.decoder.first_token(mine.question[some], mine.passages[some], inputs, model.word.weight)
            loss = loss + first_token_loss(own, target, batch.polar[some])
        return loss

    def finish(self, progress: Progress) -> dict[str, float]:
        """Averages the model and fits its no-answer score, where the stage says so, and calibrates the confidence on
        held-out questions, where there are some; what was measured."""
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
            left_out = {f"left-out {name}": fit.mean(measure) for name, measure in _LEFT_OUT.items()}
            measured["held-out questions"] = float(fit.calibration.fitted["questions"])
            measured |= {name: value for name, value in left_out.items() if math.isfinite(value)}
        return measured

    def save_beside(self, folder: Path) -> None:
        if self.calibration is not None:
            save_calibration(folder, self.calibration)

    def _average(self) -> None:
        average_with(self.model, [(self._load(name), share) for name, share in self.averaged()])

    def state(self) -> dict[str, Tensor]:
        return self.hidden_loss.state()

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        self.hidden_loss.load_state(tensors)

    # ------------------------------------------------------------------------------------------------------------

    def _write_loss(self, batch: Batch, encoded: Encoded) -> Tensor:
        """The decoder's loss on some contexts of the batch."""
        assert self.model.decoder is not None
        some = self._urgent(batch)
        return self.model.decoder.loss(
            batch.answer_ids[some],
            batch.answer_mask[some],
            encoded.question[some],
            encoded.passages[some],
            batch.inputs.rows(some),
            self.model.word.weight,
        )

    def _urgent(self, batch: Batch) -> Tensor:
        """The contexts that the decoder learns from, those first whose answers only it can give: fewer, and they cost
        less, than the encoder's."""
        urgency = (batch.has_span & (batch.polar != 1)).long() + 2 * (~batch.answer_mask.any(1)).long()
        return urgency.argsort(stable=True)[: Loss.WRITE_CONTEXTS]

    def _encode(self, model: ReaderModel, batch: Batch, layers: list[nn.Module]) -> list[Encoded]:
        return list(model.encode_layers(batch.inputs, dtype=self.dtype, layers=layers))


def _same_but_lists(one: ReaderModel, other: ReaderModel) -> bool:
    """True for models whose weights can be averaged; the heads of lists may be new."""
    return one.config.model_copy(update={"lists": other.config.lists}) == other.config
