"""Checks of an installation; each runs the part that it checks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ragyena.config import PipelineConfig
from ragyena.errors import IndexNotFoundError, RagyenaError

__all__ = ["Check", "examine"]

Verdict = Literal["ok", "absent", "unsound"]

QUESTION = "Where is the harbour bridge?"
RELATED = "The harbour bridge stands at the mouth of the river, next to the old light house."
UNRELATED = "Compilers translate source code into instructions for a machine."


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one part, and what to do where it is ``unsound``. ``absent`` parts are optional."""

    name: str
    verdict: Verdict
    result: str
    hint: str = ""


def examine(config: PipelineConfig, index: Path | None) -> Iterator[Check]:
    """Check every part in turn, and the index at ``index`` unless it is None."""
    yield _python()
    yield from _packages()
    yield _guarded("device", _device)
    yield _guarded("embedder", lambda: _embedder(config))
    yield _guarded("reader", lambda: _reader(config))
    yield _guarded("index", lambda: _index(index)) if index else Check("index", "absent", "none given")


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except RagyenaError as error:
        return Check(name, "unsound", error.message, error.hint)
    except Exception as error:
        # A broken installation fails in any way it likes; each is a finding, not a fault of this command.
        return Check(name, "unsound", f"{type(error).__name__}: {error}", "install ragyena again")


# --- the parts -------------------------------------------------------------------------------------------------


def _python() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check(
        "python", "ok", f"{platform.python_version()}, {platform.system()} {platform.machine()}, {cores} cores"
    )


def _packages() -> Iterator[Check]:
    """Required and optional packages with their installed versions."""
    for requirement in importlib.metadata.requires("ragyena") or []:
        name, extra = _parse(requirement)
        try:
            yield Check(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            if extra:
                yield Check(name, "absent", f"comes with: pip install 'ragyena[{extra}]'")
            else:
                yield Check(name, "unsound", "not installed", f"pip install '{name}'")


def _parse(requirement: str) -> tuple[str, str]:
    """Name and extra (empty for none) of a line such as ``datasets>=3.0; extra == 'train'``."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    extra = re.search(r"extra\s*==\s*['\"](.+?)['\"]", requirement)
    return name.group() if name else requirement, extra.group(1) if extra else ""


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        device = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
        return Check("device", "ok", f"{device}; {_convolution('cuda')}")
    return Check("device", "ok", f"CPU, {torch.get_num_threads()} threads; {_convolution('cpu')}")


def _convolution(device: str) -> str:
    """Compare a long convolution with its definition."""
    import torch

    from ragyena.ops.long_conv import long_conv
    from ragyena.ops.reference import long_conv_reference

    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(1, 3, 400, generator=generator).to(device)
    taps = torch.randn(3, 400, generator=generator).to(device)
    exact = long_conv_reference(signal, taps, direction="causal")
    error = float((long_conv(signal, taps, direction="causal").double() - exact).norm() / exact.norm())
    if error > 1e-5:
        raise RuntimeError(f"the long convolution on {device} is off by {error:.1e}")
    return f"long convolutions agree with their definition to {error:.0e}"


def _embedder(config: PipelineConfig) -> Check:
    from ragyena.index.embedder import Embedder

    began = time.perf_counter()
    embedder = Embedder.open(config.index.embedder)
    question, *texts = embedder.embed([QUESTION, RELATED, UNRELATED])
    related, unrelated = (float(question @ text) for text in texts)
    if not related > unrelated + 0.1:
        problem = f"{embedder.name} does not separate related from unrelated texts ({related:.2f}, {unrelated:.2f})"
        return Check("embedder", "unsound", problem, "choose another (setting index.embedder), or install it again")
    facts = f"{embedder.name}, {embedder.dimension} dimensions, weights {embedder.fingerprint[:12]}"
    return Check("embedder", "ok", f"{facts}, {time.perf_counter() - began:.1f} s to load")


def _reader(config: PipelineConfig) -> Check:
    from ragyena.reader.packing import pack
    from ragyena.reader.reader import Reader
    from ragyena.types import Passage, ScoredPassage

    began = time.perf_counter()
    reader = Reader.open(config.reader)
    loaded = time.perf_counter() - began
    text = RELATED
    passage = Passage(text, 0, len(text), 1, 1, None, "", (), "self-check", 0, 0)
    limit = config.reader.max_question_tokens
    context = pack(QUESTION, [ScoredPassage(passage, 1.0)], reader.tokenizer, config.packer, max_question_tokens=limit)
    reading = reader.read(context)
    misplaced = [span.text for span in reading.spans if text[span.start : span.end] != span.text]
    if misplaced or not 0.0 <= reading.confidence <= 1.0:
        hint = "install ragyena again, or train the checkpoint again"
        return Check("reader", "unsound", f"{reader.name} reads wrongly: {misplaced or reading.confidence}", hint)
    facts = f"{reader.name}, {reader.parameters / 1e6:.1f}M parameters, {reader.dtype} on {reader.device}"
    best = reading.spans[0].text if reading.spans else "nothing"
    return Check("reader", "ok", f"{facts}, {loaded:.1f} s to load; read '{best}' in its self-check")


def _index(index: Path) -> Check:
    from ragyena.index.index import Index
    from ragyena.index.inspection import verify

    try:
        with Index.open(index, lazy=True) as opened:
            counts = opened.status().counts
    except IndexNotFoundError:
        return Check("index", "absent", f"none at {index} yet; make one with: ragyena index add PATH")
    report = verify(index)
    described = f"{index}: {counts.documents:,} documents, {counts.passages:,} passages"
    if report.problems:
        return Check("index", "unsound", f"{described}; {'; '.join(report.problems)}", "ragyena index verify")
    return Check("index", "ok", described)
