"""A pair reader's first weights: a BERT or MPNet encoder in the Hugging Face layout, whose words are the reader's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
import torch
from torch import Tensor

from ragyena.config import PairModelConfig, parse
from ragyena.errors import CheckpointError
from ragyena.model.encoder_start import read_encoder
from ragyena.model.layers import LayerNorm, Linear
from ragyena.model.pair_reader import PairReader

__all__ = ["pair_config", "start_pair", "words_mapped"]

_HINT = "name the folder of a BERT or MPNet encoder: config.json, model.safetensors, tokenizer.json"
_UNKNOWN_AT_MOST = 0.05  # of the reader's word pieces that the encoder may lack ("[unused7]" and the like)
_ROLES = (("<s>", "[CLS]"), ("</s>", "[SEP]"), ("<pad>", "[PAD]"), ("<unk>", "[UNK]"))
"""Begin, end, padding and unknown tokens. MPNet has BERT's too, without meaning: its own count first."""
_LAYOUTS: dict[str, dict[str, str]] = {
    "bert": {
        "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
        "out": "attention.output.dense", "mixer_norm": "attention.output.LayerNorm",
    },
    "mpnet": {
        "query": "attention.attn.q", "key": "attention.attn.k", "value": "attention.attn.v",
        "out": "attention.attn.o", "mixer_norm": "attention.LayerNorm",
    },
}  # fmt: skip
"""Where the layers of a kind keep what, by our names; the rest is alike."""


def pair_config(folder: Path, reader_vocabulary: int) -> PairModelConfig:
    """The architecture of the encoder in a folder. Raises CheckpointError where it is of another kind or not there."""
    values = _encoder_config(folder)
    kind = values["model_type"]
    mpnet = kind == "mpnet"
    return parse(
        PairModelConfig,
        {
            "vocab_size": values.get("vocab_size"),
            "reader_vocab_size": reader_vocabulary,
            "width": values.get("hidden_size"),
            "depth": values.get("num_hidden_layers"),
            "heads": values.get("num_attention_heads"),
            "ffn_width": values.get("intermediate_size"),
            "positions": values.get("max_position_embeddings"),
            "first_position": values.get("pad_token_id", 1) + 1 if mpnet else 0,
            "segments": 0 if mpnet else values.get("type_vocab_size", 2),
            "relative_buckets": values.get("relative_attention_num_buckets", 32) if mpnet else 0,
            "separators": 2 if mpnet else 1,
            "norm_eps": values.get("layer_norm_eps", 1e-12),
            "dropout": values.get("hidden_dropout_prob", 0.1),
        },
        source=str(folder / "config.json"),
    )


def start_pair(model: PairReader, folder: Path, reader_tokenizer: Path) -> None:
    """Copies the encoder's weights into the model, and the table from the reader's word pieces to the encoder's.

    Raises CheckpointError where the folder's files are missing, of another shape, or cut words otherwise.
    """
    layout = _LAYOUTS[_encoder_config(folder)["model_type"]]
    state = read_encoder(folder / "model.safetensors")
    prefix = next((n.split("embeddings.", 1)[0] for n in state if n.endswith("embeddings.word_embeddings.weight")), "")
    state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    try:
        with torch.no_grad():
            _copy(model, state, layout)
            model.vocabulary.copy_(words_mapped(reader_tokenizer, folder / "tokenizer.json"))
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{folder} does not fit its config.json: {error}", hint=_HINT) from error


def words_mapped(reader: Path, encoder: Path) -> Tensor:
    """[reader's word pieces] int64: the encoder's word piece of each, its unknown one where it has none.

    Raises CheckpointError where the two vocabularies are not, but for a few, the same.
    """
    ours, theirs = _vocabulary(reader), _vocabulary(encoder)
    for names in _ROLES:
        other = next((theirs[name] for name in names if name in theirs), None)
        if other is None:
            raise CheckpointError(f"{encoder} has none of the tokens {', '.join(names)}", hint=_HINT)
        theirs |= dict.fromkeys(names, other)
    unknown = theirs["[UNK]"]
    missing = sum(piece not in theirs for piece in ours)
    if missing > _UNKNOWN_AT_MOST * len(ours):
        raise CheckpointError(
            f"{encoder} lacks {missing:,} of the reader's {len(ours):,} word pieces: the two cut words otherwise",
            hint="use an encoder of the reader's vocabulary (BERT's uncased word pieces for the shipped reader)",
        )
    table = torch.full((max(ours.values()) + 1,), unknown, dtype=torch.long)
    for piece, number in ours.items():
        table[number] = theirs.get(piece, unknown)
    return table


def _vocabulary(tokenizer: Path) -> dict[str, int]:
    try:
        return dict(tokenizers.Tokenizer.from_str(tokenizer.read_text(encoding="utf-8")).get_vocab())
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"{tokenizer} cannot be read: {error}", hint=_HINT) from error


def _encoder_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint=_HINT) from error
    if not isinstance(values, dict) or values.get("model_type") not in _LAYOUTS:
        kind = values.get("model_type") if isinstance(values, dict) else None
        raise CheckpointError(f"{path} describes an encoder of kind {kind!r}, not of bert or mpnet", hint=_HINT)
    return values


def _copy(model: PairReader, state: Mapping[str, Tensor], layout: Mapping[str, str]) -> None:
    model.word.weight.copy_(state["embeddings.word_embeddings.weight"])
    model.position.weight.copy_(state["embeddings.position_embeddings.weight"])
    if model.segment is not None:
        model.segment.weight.copy_(state["embeddings.token_type_embeddings.weight"])
    _affine(model.embedding_norm, state, "embeddings.LayerNorm")
    if model.config.relative_buckets:
        model.relative_bias.copy_(state["encoder.relative_attention_bias.weight"])
    for index, layer in enumerate(model.pair_layers):
        source = f"encoder.layer.{index}"
        for part in ("weight", "bias"):
            joined = torch.cat([state[f"{source}.{layout[name]}.{part}"] for name in ("query", "key", "value")])
            getattr(layer.project, part).copy_(joined)
        for name in ("out", "mixer_norm"):
            _affine(getattr(layer, name), state, f"{source}.{layout[name]}")
        _affine(layer.ffn.expand, state, f"{source}.intermediate.dense")
        _affine(layer.ffn.contract, state, f"{source}.output.dense")
        _affine(layer.ffn_norm, state, f"{source}.output.LayerNorm")


def _affine(module: Linear | LayerNorm, state: Mapping[str, Tensor], name: str) -> None:
    module.weight.copy_(state[f"{name}.weight"])
    module.bias.copy_(state[f"{name}.bias"])
