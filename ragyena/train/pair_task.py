"""The task of a pair reader's stage: gold spans over all passages of a context.

It draws the batches of ``ragyena.train.reader_task`` for another model, with one loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ragyena.config import PairModelConfig, PairStageConfig, TrainConfig
from ragyena.errors import CheckpointError, TrainingError
from ragyena.model.checkpoint import Storage
from ragyena.model.flops import TRAINING
from ragyena.model.pair_reader import PairReader, Pairs
from ragyena.model.reader_model import SpanScores
from ragyena.model.warm_start import pair_config, start_pair
from ragyena.train.context_task import ContextTask
from ragyena.train.objectives import span_loss
from ragyena.train.packed import Batch, PackedData
from ragyena.train.ranks import Ranks
from ragyena.train.task import load_trained

__all__ = ["PairTask", "check_encoder", "load_pair_reader"]

_FREE = ("dropout", "reader_vocab_size")  # settings that the encoder's files do not fix


class PairTask(ContextTask):
    """A stage that trains a pair reader. ``encoder`` is the folder of the encoder it may start from."""

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
        """Storage of the finished model."""
        return {"*": self.stage.storage}

    def flops(self, batch: Batch) -> float:
        """Model FLOPs of a step on the batch."""
        return TRAINING * self.model.flops(batch.inputs.shape) * batch.tokens

    def held_out_scores(self, batch: Batch) -> SpanScores:
        """The scores behind the held-out loss."""
        return self.model.span_scores(batch.plain, dtype=self.dtype)

    def loss(self, batch: Batch, done: float | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its parts."""
        loss = span_loss(self.model.span_scores(batch.plain, dtype=self.dtype, layers=self.layers), batch)
        return loss, {"span": loss, "loss": loss}


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
