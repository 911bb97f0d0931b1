"""The task of a stage that trains a pair reader, which is a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ragyena.config import PairModelConfig, PairStageConfig, ReaderModelConfig, TrainConfig
from ragyena.errors import CheckpointError, TrainingError
from ragyena.model.checkpoint import Storage, load_config
from ragyena.model.flops import TRAINING
from ragyena.model.pair_reader import PairReader, Pairs
from ragyena.model.reader_model import SpanScores
from ragyena.model.warm_start import pair_config, start_pair
from ragyena.train.context_task import SpanTask
from ragyena.train.objectives import span_loss
from ragyena.train.packed import Batch, PackedData
from ragyena.train.ranks import Ranks
from ragyena.train.task import average_with, load_trained, trained_folder
from ragyena.types import Progress

__all__ = ["STORAGE", "PairTask", "check_encoder", "encoder_started", "load_pair_reader"]

_FREE = ("dropout", "reader_vocab_size")  # settings that the encoder's files do not fix

STORAGE: dict[str, Mapping[str, Storage]] = {
    "float32": {"*": "float32"},
    "bfloat16": {"*": "bfloat16"},
    "compact": {"relative_bias": "float32", "*": "int8"},
}
"""The storage of a pair reader's tensors by the name that a recipe has for it."""


class PairTask(SpanTask):
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
        for name, _ in self.averaged():
            if load_config(trained_folder(name, runs)) != stage.model:
                raise TrainingError(
                    f"stage {stage.name} cannot be averaged with {name}: their models differ",
                    hint="take it out of average, or give both the same model",
                )
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
            raise _no_encoder(stage.name)
        check_encoder(stage, encoder)
        model = PairReader(stage.model)
        start_pair(model, encoder, tokenizer)
        return model

    @property
    def storage(self) -> Mapping[str, Storage]:
        return STORAGE[self.stage.storage]

    def flops(self, batch: Batch) -> float:
        return TRAINING * self.model.flops(batch.inputs.shape) * batch.tokens

    def held_out_scores(self, batch: Batch) -> SpanScores:
        return self.model.span_scores(batch.plain, dtype=self.dtype)

    def loss(self, batch: Batch, done: float | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = span_loss(self.model.span_scores(batch.plain, dtype=self.dtype, layers=self.layers), batch)
        return loss, {"span": loss, "loss": loss}

    def finish(self, progress: Progress) -> dict[str, float]:
        """Averages the model where the stage says so, and measures the average."""
        if not self.averaged():
            return {}
        average_with(self.model, [(load_pair_reader(name, self.runs), share) for name, share in self.averaged()])
        return {f"averaged {name}": value for name, value in self.held_out().items()}


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


def encoder_started(stage: str, encoder: Path | None, reader: ReaderModelConfig, tokenizer: Path | None) -> PairReader:
    """The encoder in a folder, as it is, for a reader to start from. Raises CheckpointError, TrainingError."""
    if encoder is None:
        raise _no_encoder(stage)
    assert tokenizer is not None
    model = PairReader(pair_config(encoder, reader.vocab_size))
    start_pair(model, encoder, tokenizer)
    return model


def _no_encoder(stage: str) -> TrainingError:
    return TrainingError(f"stage {stage} starts from an encoder", hint="name its folder: --pair-encoder")
