"""The bundled embedder's network in plain torch: a BERT encoder, the mean of its token states, unit length.

sentence-transformers computes the same, but takes longer to import than a whole question takes to answer. A test
compares the two.

Legend: B texts, T tokens, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from ragyena.ops.linear import fbgemm_unavailable, onednn_unavailable

__all__ = ["MATRIX_WEIGHTS", "MAX_TOKENS", "MiniLM", "MiniLMNetwork"]

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12
MATRIX_WEIGHTS = LAYERS * 12 * WIDTH**2
"""Entries of all matrices that each token is multiplied by."""
MAX_TOKENS = 256
"""Longer texts are cut here, their two marks included, as sentence-transformers does with this model."""
_WORDS = "embeddings.word_embeddings.weight"
_ROWS = 4096  # for which oneDNN chooses a layout; it serves other numbers of rows
_LANES = 16
"""Attention on a CPU takes up to twice as long where the tokens of a text leave a rest of many after so many."""
_MORE = 1 / 16
"""Part by which texts are padded at most to leave no rest."""
_SHORT = 64
"""Tokens up to which reading the matrices takes longest: so many are multiplied by half floats, where they can be."""


class MiniLMNetwork:
    """The encoder as a function of token ids, on the device and in the type of its weights."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """``weights`` of a BERT-layout model.safetensors, six layers of width 384."""
        self._weights = weights
        self._prepared = False
        self._laid_out: dict[str, Tensor] = {}
        self._halves: dict[str, Any] = {}

    def prepared_for_cpu(self, dtype: torch.dtype) -> MiniLMNetwork:
        """The same network in ``dtype``. Where oneDNN has the type on this CPU the matrices are in its layout, it also
        computes what follows a product, and the three maps of an attention become one: a question takes half the time,
        since torch's own product lays a matrix out anew each time. In float32, a question is multiplied by FBGEMM from
        matrices of half floats, where torch has it: there are half as many bytes to read."""
        weights = {
            key: value if key == _WORDS else value.to(dtype)  # a text needs few of the words
            for key, value in self._weights.items()
            if value.is_floating_point()
        }
        network = MiniLMNetwork(weights)
        if onednn_unavailable(dtype):
            return network
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}."
            for part in ("weight", "bias"):
                maps = [weights[f"{name}attention.self.{one}.{part}"] for one in ("query", "key", "value")]
                weights[f"{name}attention.self.all.{part}"] = torch.cat(maps)
            for matrix in ("attention.self.all", "attention.output.dense", "intermediate.dense", "output.dense"):
                key = f"{name}{matrix}."
                if dtype == torch.float32 and fbgemm_unavailable() is None:
                    network._halves[key] = torch.ops.quantized.linear_prepack_fp16(
                        weights[f"{key}weight"], weights[f"{key}bias"]
                    )
                else:
                    network._laid_out[key] = _laid_out(weights.pop(f"{key}weight"))
            for one in ("query", "key", "value"):
                del weights[f"{name}attention.self.{one}.weight"]
        network._prepared = True
        return network

    @torch.inference_mode()
    def embed(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, D] fp32 of unit length, from ids with their begin and end marks; mask_BT bool, False at padding."""
        if (
            self._prepared
            and not self._is_short(ids_BT)
            and 0 < (more := -ids_BT.shape[1] % _LANES) <= _MORE * ids_BT.shape[1]
        ):
            ids_BT, mask_BT = F.pad(ids_BT, (0, more)), F.pad(mask_BT, (0, more))
        x_BTD = self._embed(ids_BT)
        # Where nothing is padded the mask only costs time.
        visible = None if bool(mask_BT.all()) else mask_BT[:, None, None, :]
        for layer in range(LAYERS):
            x_BTD = self._layer(x_BTD, visible, f"encoder.layer.{layer}.")
        weights_BT1 = mask_BT[:, :, None].to(x_BTD.dtype)
        mean_BD = (x_BTD * weights_BT1).sum(1) / weights_BT1.sum(1)
        return F.normalize(mean_BD.float(), dim=1)

    def _embed(self, ids_BT: Tensor) -> Tensor:
        w = self._weights
        positions_TD = w["embeddings.position_embeddings.weight"][: ids_BT.shape[1]]
        words_BTD = w[_WORDS][ids_BT].to(positions_TD.dtype)
        kind_D = w["embeddings.token_type_embeddings.weight"][0]
        return self._norm(words_BTD + positions_TD + kind_D, "embeddings.LayerNorm.")

    def _layer(self, x_BTD: Tensor, visible: Tensor | None, name: str) -> Tensor:
        q, k, v = (part.view(*x_BTD.shape[:2], HEADS, -1).transpose(1, 2) for part in self._attention_maps(x_BTD, name))
        mixed_BTD = F.scaled_dot_product_attention(q, k, v, attn_mask=visible).transpose(1, 2).flatten(2)
        x_BTD = self._norm(
            self._plus(mixed_BTD, x_BTD, f"{name}attention.output.dense."), f"{name}attention.output.LayerNorm."
        )
        inner = self._gelu(x_BTD, f"{name}intermediate.dense.")
        return self._norm(self._plus(inner, x_BTD, f"{name}output.dense."), f"{name}output.LayerNorm.")

    def _attention_maps(self, x: Tensor, name: str) -> tuple[Tensor, ...]:
        if self._is_short(x):
            return self._linear(x, f"{name}attention.self.all.").chunk(3, -1)
        if self._prepared:
            return self._onednn(x, f"{name}attention.self.all.", "none").chunk(3, -1)
        return tuple(self._linear(x, f"{name}attention.self.{part}.") for part in ("query", "key", "value"))

    def _gelu(self, x: Tensor, name: str) -> Tensor:
        if self._prepared and not self._is_short(x):
            return self._onednn(x, name, "gelu")
        return F.gelu(self._linear(x, name))

    def _plus(self, x: Tensor, other: Tensor, name: str) -> Tensor:
        """The linear map of ``x``, plus ``other``."""
        if not self._prepared or self._is_short(x):
            return other + self._linear(x, name)
        bias = self._weights[f"{name}bias"]
        y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self._matrix(name), bias, "add")
        return y

    def _matrix(self, name: str) -> Tensor:
        """A matrix in the layout of oneDNN; where questions are multiplied by half floats, made for the first text."""
        if name not in self._laid_out:
            self._laid_out[name] = _laid_out(self._weights[f"{name}weight"])
        return self._laid_out[name]

    def _is_short(self, x: Tensor) -> bool:
        return bool(self._halves) and x.shape[0] * x.shape[1] <= _SHORT

    def _onednn(self, x: Tensor, name: str, then: str) -> Tensor:
        bias = self._weights[f"{name}bias"]
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._matrix(name), bias, then, [], "none")
        return y

    def _linear(self, x: Tensor, name: str) -> Tensor:
        if self._is_short(x):
            y: Tensor = torch.ops.quantized.linear_dynamic_fp16(x, self._halves[name])
            return y
        return F.linear(x, self._weights[f"{name}weight"], self._weights[f"{name}bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (WIDTH,), self._weights[f"{name}weight"], self._weights[f"{name}bias"], EPSILON)


def _laid_out(matrix: Tensor) -> Tensor:
    laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(matrix, _ROWS)
    return laid_out


class MiniLM:
    """The encoder of a folder with ``model.safetensors`` and ``tokenizer.json`` in the layout of all-MiniLM-L6-v2."""

    dimension = WIDTH

    def __init__(self, folder: Path) -> None:
        """Raises OSError or ValueError where a file is missing or damaged."""
        self._network = MiniLMNetwork(load_file(folder / "model.safetensors"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

    def prepared_for_cpu(self, dtype: torch.dtype) -> MiniLM:
        """The same encoder in ``dtype``, as fast as this CPU can."""
        other = copy(self)
        other._network = self._network.prepared_for_cpu(dtype)
        return other

    def encode(self, texts: Sequence[str], *, batch_size: int) -> npt.NDArray[np.float32]:
        """float32 [N, D], unit length; texts of like length should follow one another."""
        parts = [self._encode(texts[first : first + batch_size]) for first in range(0, len(texts), batch_size)]
        return np.concatenate([np.empty((0, WIDTH), np.float32), *parts])

    def _encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch(list(texts))
        ids_BT = torch.tensor([encoding.ids for encoding in encodings])
        mask_BT = torch.tensor([encoding.attention_mask for encoding in encodings], dtype=torch.bool)
        result: npt.NDArray[np.float32] = self._network.embed(ids_BT, mask_BT).numpy()
        return result
