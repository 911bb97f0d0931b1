"""The use case of ``ragyena bench reader``: time and memory of reading a whole context, against the attention baseline.

A prefill is the cost of a question before its answer is decoded: the states of all layers (``ReaderModel.encode``) and
the scores of every span. Contexts are full of random word pieces, so that nothing is masked and attention may run
without a mask, on PyTorch's fastest backend for each shape; values narrower than their keys are padded where a backend
wants one width. All readers are run so.
"""

from __future__ import annotations

import contextlib
import functools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from ragyena import machine
from ragyena.bench.figures import Benchmark, Figure, benchmark, device_suffix, milliseconds
from ragyena.bench.figures import seconds as seconds_of
from ragyena.bench.roofline import roofline, share_of_peak
from ragyena.config import ReaderModelConfig, TrainConfig
from ragyena.errors import UsageError
from ragyena.files import expanded
from ragyena.model.checkpoint import load_config, load_into, load_state
from ragyena.model.inputs import ContextShape, ReaderInput
from ragyena.model.mixers import READER_MIXERS
from ragyena.model.reader_model import ReaderModel
from ragyena.reader.opening import chosen_dtype
from ragyena.train.run import chosen_device, load
from ragyena.train.step_graphs import compiled as compiled_layers

__all__ = ["architectures", "bench_reader"]

_LONG = 131_072
_TARGET_SPEEDUP = 12.0  # of Hyena over the attention baseline, at 131,072 tokens
_TARGET_SELECTED = 1.3  # time with selected tokens over that with none, at 131,072 tokens
_CPU_SECONDS = 3.0  # of repeated runs, at most
_MOST_CPU_FLOPS = 3e15  # of one prefill: hours on a CPU


def architectures() -> dict[str, ReaderModelConfig]:
    """Readers by name, with random weights: of the shipped reader's size, a mixer in all layers; ``selected`` is Hyena
    with selected tokens. The attention baseline, with which others are compared, comes first."""
    names = sorted(READER_MIXERS, key=lambda name: name != "attention")
    plain = {name: ReaderModelConfig(mixers=(name,) * 6, decoder_layers=0) for name in names}
    return plain | {"selected": ReaderModelConfig(selected_tokens=(0, 0, 128, 0, 128, 0), decoder_layers=0)}


def bench_reader(
    readers: Sequence[str],
    lengths: Sequence[int],
    *,
    slot_tokens: int,
    question_tokens: int,
    device: str,
    compiled: bool,
    seconds: float,
    say: Callable[[str], None],
) -> Benchmark:
    """Prefill milliseconds and peak memory of each reader at each length (rounded up to whole slots).

    ``readers`` are names of ``architectures``, ``RECIPE:STAGE``, or checkpoint folders. After ``seconds`` nothing
    further is begun; what is left out, and what fails, is named in the setting. Raises UsageError for a reader that is
    none of these, CheckpointError for a folder that does not load.
    """
    began = time.perf_counter()
    device = chosen_device(device)
    dtype = chosen_dtype("auto", torch.device(device))  # as a reader is opened
    opened = {name: _open(name) for name in readers}
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    times: dict[tuple[str, int], float] = {}
    backends: dict[str, str] = {}
    for length in lengths:
        shape = ContextShape(question_tokens, math.ceil(length / slot_tokens), slot_tokens)
        for name, model in opened.items():
            label = f"{name}, {length:,} tokens"
            if time.perf_counter() - began > seconds:
                failures[label] = f"not begun within {seconds:.0f} s"
            elif device == "cpu" and model.flops(shape) * shape.tokens > _MOST_CPU_FLOPS:
                failures[label] = "left out: hours on a CPU"
            else:
                try:
                    run = _prefill(model, shape, device, dtype, compiled)
                except (RuntimeError, torch.OutOfMemoryError) as error:
                    failures[label] = f"{type(error).__name__}: {error}"[:300]
                else:
                    times[name, length] = run.milliseconds
                    backends |= run.backends
                    measured = _figures(label, model.config, length, run, times)
                    if device == "cpu":
                        work = model.flops(shape) * shape.tokens
                        measured.append(share_of_peak(label, work, run.milliseconds / 1e3, dtype))
                    figures += measured
                    say(f"{label}: " + "; ".join(str(figure).removeprefix(f"{label}: ") for figure in measured))
            if label in failures:
                say(f"{label}: FAILED, {failures[label]}")
    if device == "cpu" and figures:
        figures += roofline(dtype)
    return benchmark(
        "-".join(["reader", *(["compiled"] if compiled else []), device_suffix(device)]),
        figures,
        {
            "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
            "dtype": str(dtype),
            "compiled": compiled,
            "slot_tokens": slot_tokens,
            "question_tokens": question_tokens,
            "prefill": "states of all layers and span scores of one context, nothing masked; without tokenising",
            "timing": "median; CUDA events around replays of a CUDA graph where one can be captured",
            "attention": backends,
            "readers": {name: model.config.model_dump(mode="json") for name, model in opened.items()},
            "failures": failures,
        },
    )


def _figures(
    label: str, config: ReaderModelConfig, length: int, run: _Prefill, times: dict[tuple[str, int], float]
) -> list[Figure]:
    figures = [Figure(f"{label}: prefill", run.milliseconds, "ms", samples=run.samples)]
    if run.peak_gib is not None:
        figures.append(Figure(f"{label}: peak memory", 1024 * run.peak_gib, "MiB"))
    mixers, long = set(config.mixers), length == _LONG
    baseline, unselected = times.get(("attention", length)), times.get(("hyena", length))
    if baseline is not None and "attention" not in mixers:
        name, target = f"{label}: the attention baseline's time over it", _TARGET_SPEEDUP if long else None
        speedup = baseline / run.milliseconds
        figures.append(Figure(name, speedup, "x", target if mixers == {"hyena"} else None, "higher"))
    if unselected is not None and config.selecting_layers:
        name, target = f"{label}: over that without selected tokens", _TARGET_SELECTED if long else None
        figures.append(Figure(name, run.milliseconds / unselected, "x", target))
    return figures


# ---------------------------------------------------------------------------------------------------------------
# readers
# ---------------------------------------------------------------------------------------------------------------


def _open(name: str) -> ReaderModel:
    """A reader by name, recipe and stage, or folder; random weights but for a folder's."""
    torch.manual_seed(0)
    known = architectures()
    if name in known:
        return ReaderModel(known[name])
    folder = expanded(name)
    if folder.is_dir():
        config = load_config(folder)
        if not isinstance(config, ReaderModelConfig):
            raise UsageError(f"{folder} holds a {config.kind} model, not a reader", hint="give a reader's folder")
        model = ReaderModel(config)
        load_into(model, load_state(folder), str(folder))
        return model
    recipe, colon, stage = name.rpartition(":")
    if not colon:
        raise UsageError(f"no reader '{name}'", hint=f"give a folder, RECIPE:STAGE, or one of: {', '.join(known)}")
    training = load(recipe, Path(), check_data=False)
    stages = {s.name: s.model for s in training.stages} if isinstance(training, TrainConfig) else {}
    chosen = stages.get(stage)
    if not isinstance(chosen, ReaderModelConfig):
        names = [key for key, model in stages.items() if isinstance(model, ReaderModelConfig)]
        raise UsageError(f"{recipe} has no reader stage '{stage}'", hint=f"it has: {', '.join(names) or 'none'}")
    return ReaderModel(chosen)


# ---------------------------------------------------------------------------------------------------------------
# a prefill
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Prefill:
    milliseconds: float
    samples: int
    peak_gib: float | None
    """Memory of the device; on a CPU, of the process with weights and libraries."""
    backends: dict[str, str]
    """The backend of each shape of attention."""


def _prefill(model: ReaderModel, shape: ContextShape, device: str, dtype: torch.dtype, compiled: bool) -> _Prefill:
    model = model.to(device).eval().requires_grad_(False)
    model.prepare_inference(dtype)
    if device == "cpu":
        model.prepare_cpu()
    batch = _random_context(model.config, shape, device)
    layers = compiled_layers(model.layers) if compiled else None
    attention = _FastestAttention()

    @torch.inference_mode()
    def work() -> object:
        return model.span_scores(model.encode(batch, layers=layers), batch.text_mask)

    try:
        # Compiled layers run as they are written: the mode would break their graphs.
        with contextlib.nullcontext() if compiled else attention:
            work()  # chooses backends, compiles
            machine.forget_peak_memory(device)
            if not device.startswith("cuda"):
                times = [1e3 * seconds_of(work)]
                while sum(times) < 1e3 * _CPU_SECONDS:
                    times.append(1e3 * seconds_of(work))
                return _Prefill(statistics.median(times), len(times), machine.peak_resident_gib(), attention.chosen)
            work()
            peak = machine.peak_memory_gib(device)  # before graphs are captured
            return _Prefill(milliseconds(work), 1, peak, attention.chosen)
    finally:
        model.to("cpu")
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def _random_context(config: ReaderModelConfig, shape: ContextShape, device: str) -> ReaderInput:
    question, slots, slot = shape
    if slot > config.max_slot_tokens or question > config.max_question_tokens:
        raise UsageError(
            f"slots of {slot} tokens and a question of {question}",
            hint=f"this reader takes {config.max_slot_tokens} and {config.max_question_tokens} at most",
        )
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(config.vocab_size, size, generator=generator) for size in ((1, question), (1, slots, slot))]
    of_question, of_passages = (tensor.to(device) for tensor in ids)
    every = torch.ones_like(of_passages, dtype=torch.bool)
    return ReaderInput(of_question, torch.ones_like(of_question, dtype=torch.bool), of_passages, every, every)


class _FastestAttention(TorchFunctionMode):
    """Runs ``scaled_dot_product_attention`` without its mask, on the backend that is fastest for its shape.

    Only for contexts in which nothing is masked. Each shape is timed once, when it is first seen.
    """

    _BACKENDS = (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)

    def __init__(self) -> None:
        super().__init__()
        self.chosen: dict[str, str] = {}
        self._choices: dict[tuple[Any, ...], SDPBackend | None] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        mask = (kwargs or {}).get("attn_mask")
        adds = mask is not None and mask.dtype != torch.bool  # hides keys that only fill a CPU's vectors
        if func is not F.scaled_dot_product_attention or adds:
            return func(*args, **(kwargs or {}))
        return self._attend(*args[:3], scale=(kwargs or {}).get("scale"))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float | None) -> Tensor:
        shape = (tuple(query.shape), tuple(key.shape), tuple(value.shape))
        if shape not in self._choices:
            self._choices[shape] = self._fastest(query, key, value, scale) if query.is_cuda else None
            choice = self._choices[shape]
            label = f"queries {query.shape[2]} x {query.shape[3]}, keys {key.shape[2]}, batch {query.shape[0]}"
            self.chosen[label] = "default" if choice is None else choice.name.lower()
        return self._on(self._choices[shape], query, key, value, scale)

    def _fastest(self, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> SDPBackend | None:
        times: dict[SDPBackend, float] = {}
        for backend in self._BACKENDS:
            # A shape that a backend does not take is an error, and no choice.
            with contextlib.suppress(RuntimeError):
                times[backend] = milliseconds(
                    functools.partial(self._on, backend, query, key, value, scale), graph=False
                )
        return min(times, key=lambda backend: times[backend]) if times else None

    @staticmethod
    def _on(backend: SDPBackend | None, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        width = value.shape[-1]
        if backend in (None, SDPBackend.FLASH_ATTENTION) and width < query.shape[-1]:
            value = F.pad(value, (0, query.shape[-1] - width))
        if backend is None:
            return F.scaled_dot_product_attention(query, key, value, scale=scale)[..., :width]
        with sdpa_kernel([backend]):
            return F.scaled_dot_product_attention(query, key, value, scale=scale)[..., :width]
