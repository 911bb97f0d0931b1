"""The bundled embedder's network in plain torch: a BERT encoder, the mean of its token states, unit length.

sentence-transformers computes the same, but takes longer to import than a whole question takes to answer. A test
compares the two.

The tokens of several texts stand one after another, so that none is padded; each text attends to its own alone.

Legend: B texts, T rows (tokens of all texts), D width, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import groupby
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
"""Part by which the tokens of a text are exceeded at most to leave no rest."""
_BATCH_ROWS = 3328
"""Tokens that go through the network at once: few batches suit the caches of a CPU."""
_ROW_MULTIPLE = 64
"""Number that the rows of several texts are a multiple of: a library prepares its kernels for few numbers of rows."""
_SHORT = 64
"""Tokens up to which reading the matrices takes longest: so many are multiplied by half floats, where they can be."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Texts of one length whose rows follow one another."""

    first: int
    """First row of the first text."""
    count: int
    length: int
    """Tokens of each text."""
    window: int
    """Rows of each that attend and are attended to: its own, and maybe rows after it that are masked."""
    visible: Tensor | None
    """[1 or count, 1, 1, window] bool, False where rows are masked; None without such, since a mask takes time."""

    def of(self, x_TD: Tensor) -> Tensor:
        """[count, length, D]: a view of their rows."""
        return x_TD[self.first : self.first + self.count * self.length].view(self.count, self.length, -1)

    def heads(self, x_TD: Tensor) -> Tensor:
        """[count, H, window, D / H]: a view of their windows."""
        row, size = x_TD.stride(0), WIDTH // HEADS
        return x_TD.as_strided(
            (self.count, HEADS, self.window, size),
            (self.length * row, size, row, 1),
            x_TD.storage_offset() + self.first * row,
        )


def _runs(lengths: Sequence[int], *, windows: bool) -> tuple[list[_Run], int]:
    """The runs of texts of these lengths, and the number of rows that they need; ``windows`` may be longer than a
    text."""
    runs: list[_Run] = []
    first = rows = 0
    for length, equal in groupby(lengths):
        more = -length % _LANES
        window = length + more if windows and more <= _MORE * length else length
        visible = (torch.arange(window) < length)[None, None, None] if window > length else None
        runs.append(_Run(first, sum(1 for _ in equal), length, window, visible))
        first += runs[-1].count * length
        rows = max(rows, first + window - length)
    return runs, rows + (-rows % _ROW_MULTIPLE if len(lengths) > 1 else 0)


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
    def embed(self, ids_T: Tensor, lengths: Sequence[int]) -> Tensor:
        """[B, D] fp32 of unit length, on the CPU. ``ids_T`` are the ids of all texts, each with its begin and end
        marks; ``lengths`` their numbers: texts of one length that follow one another are attended to together."""
        runs, rows = _runs(lengths, windows=self._prepared and not self._is_short(ids_T))
        place_T = torch.cat([torch.arange(length) for length in lengths])
        more = (0, rows - len(ids_T))
        x_TD = self._states(F.pad(ids_T, more), F.pad(place_T, more), runs)
        mean_BD = torch.cat([run.of(x_TD).sum(1) / run.length for run in runs])
        return F.normalize(mean_BD.float(), dim=1)

    @torch.inference_mode()
    def embed_padded(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, D] as ``embed``, of texts padded to one length, which suits a GPU; mask_BT bool, False at padding."""
        count, length = ids_BT.shape
        # Where nothing is padded the mask only costs time.
        run = _Run(0, count, length, length, None if bool(mask_BT.all()) else mask_BT[:, None, None, :])
        place_T = torch.arange(length, device=ids_BT.device).repeat(count)
        x_BTD = run.of(self._states(ids_BT.flatten(), place_T, [run]))
        weights_BT1 = mask_BT[:, :, None].to(x_BTD.dtype)
        mean_BD = (x_BTD * weights_BT1).sum(1) / weights_BT1.sum(1)
        return F.normalize(mean_BD.float(), dim=1)

    def _states(self, ids_T: Tensor, place_T: Tensor, runs: Sequence[_Run]) -> Tensor:
        x_TD = self._embed(ids_T, place_T)
        for layer in range(LAYERS):
            x_TD = self._layer(x_TD, runs, f"encoder.layer.{layer}.")
        return x_TD

    def _embed(self, ids_T: Tensor, place_T: Tensor) -> Tensor:
        w = self._weights
        positions_TD = w["embeddings.position_embeddings.weight"].index_select(0, place_T)
        words_TD = w[_WORDS].index_select(0, ids_T).to(positions_TD.dtype)
        kind_D = w["embeddings.token_type_embeddings.weight"][0]
        return self._norm(words_TD + positions_TD + kind_D, "embeddings.LayerNorm.")

    def _layer(self, x_TD: Tensor, runs: Sequence[_Run], name: str) -> Tensor:
        maps = self._attention_maps(x_TD, name)
        mixed_TD = torch.zeros_like(x_TD)
        for run in runs:
            q, k, v = map(run.heads, maps)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=run.visible)[:, :, : run.length]
            run.of(mixed_TD).copy_(mixed.transpose(1, 2).flatten(2))
        x_TD = self._norm(
            self._plus(mixed_TD, x_TD, f"{name}attention.output.dense."), f"{name}attention.output.LayerNorm."
        )
        inner = self._gelu(x_TD, f"{name}intermediate.dense.")
        return self._norm(self._plus(inner, x_TD, f"{name}output.dense."), f"{name}output.LayerNorm.")

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
        return bool(self._halves) and len(x) <= _SHORT

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
        self._tokenizer.no_padding()  # which its file asks for

    def prepared_for_cpu(self, dtype: torch.dtype) -> MiniLM:
        """The same encoder in ``dtype``, as fast as this CPU can."""
        other = copy(self)
        other._network = self._network.prepared_for_cpu(dtype)
        return other

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32 [N, D], unit length."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        result = np.empty((len(ids), WIDTH), np.float32)
        for batch in _batches([len(one) for one in ids]):
            ids_T = torch.tensor([token for text in batch for token in ids[text]])
            result[batch] = self._network.embed(ids_T, [len(ids[text]) for text in batch]).numpy()
        return result


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """The texts of these lengths in parts of at most ``_BATCH_ROWS`` tokens, or one text, those of one length together
    and the longest first."""
    batches: list[list[int]] = []
    tokens = _BATCH_ROWS
    for text in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        tokens += lengths[text]
        if tokens > _BATCH_ROWS:
            batches.append([])
            tokens = lengths[text]
        batches[-1].append(text)
    return batches
