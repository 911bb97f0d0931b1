"""The bundled embedder's network in plain torch: a BERT encoder, the mean of its token states, unit length.

sentence-transformers computes the same, but takes longer to import than a whole question takes to answer. A test
compares the two.

Legend: B texts, T tokens, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

__all__ = ["MAX_TOKENS", "MiniLM", "MiniLMNetwork"]

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12
MAX_TOKENS = 256
"""Longer texts are cut here, their two marks included, as sentence-transformers does with this model."""


class MiniLMNetwork:
    """The encoder as a function of token ids, on the device and in the type of its weights."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """``weights`` of a BERT-layout model.safetensors, six layers of width 384."""
        self._weights = weights

    @torch.inference_mode()
    def embed(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, D] fp32 of unit length, from ids with their begin and end marks; mask_BT bool, False at padding."""
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
        words_BTD = w["embeddings.word_embeddings.weight"][ids_BT]
        positions_TD = w["embeddings.position_embeddings.weight"][: ids_BT.shape[1]]
        kind_D = w["embeddings.token_type_embeddings.weight"][0]
        return self._norm(words_BTD + positions_TD + kind_D, "embeddings.LayerNorm.")

    def _layer(self, x_BTD: Tensor, visible: Tensor | None, name: str) -> Tensor:
        q, k, v = (
            self._linear(x_BTD, f"{name}attention.self.{part}.").view(*x_BTD.shape[:2], HEADS, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed_BTD = F.scaled_dot_product_attention(q, k, v, attn_mask=visible).transpose(1, 2).flatten(2)
        x_BTD = self._norm(
            x_BTD + self._linear(mixed_BTD, f"{name}attention.output.dense."), f"{name}attention.output.LayerNorm."
        )
        inner = F.gelu(self._linear(x_BTD, f"{name}intermediate.dense."))
        return self._norm(x_BTD + self._linear(inner, f"{name}output.dense."), f"{name}output.LayerNorm.")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}weight"], self._weights[f"{name}bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (WIDTH,), self._weights[f"{name}weight"], self._weights[f"{name}bias"], EPSILON)


class MiniLM:
    """The encoder of a folder with ``model.safetensors`` and ``tokenizer.json`` in the layout of all-MiniLM-L6-v2."""

    dimension = WIDTH

    def __init__(self, folder: Path) -> None:
        """Raises OSError or ValueError where a file is missing or damaged."""
        self._network = MiniLMNetwork(load_file(folder / "model.safetensors"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

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
