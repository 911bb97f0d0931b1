"""The energy that a GPU takes for a reading, as NVML counts it: of the whole board, idle power included.

The counter of a GPU moves a few times a second, so that one reading may fall between two of its steps: contexts are
read again and again for some seconds, and the energy divided by the readings. Needs nvidia-ml-py, which is optional:
what is not measured has a reason that the report gives, and stops nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ragyena.reader.reader import Reader
from ragyena.types import Context

__all__ = ["Energy", "energy_counter", "measure_energy"]

_LEAST_SECONDS = 3.0
"""Against steps of the counter of a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Of questions read one after the other, without a pause."""

    joules: float
    """Of a question."""
    watts: float
    """On average."""
    readings: int
    seconds: float
    """What all of them took."""


def energy_counter(device: str) -> Callable[[], float] | str:
    """What gives the joules that a device has taken since its driver was loaded, NaN where it no longer can; or why
    there is none. The device is found by its UUID: CUDA numbers those that it is shown, NVML all."""
    if not device.startswith("cuda"):
        return "energy is read from NVIDIA GPUs alone"
    try:
        import pynvml
    except ImportError:
        return "nvidia-ml-py is not installed: pip install nvidia-ml-py"
    try:
        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(torch.device(device)).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        return f"NVML does not report it here: {error}"
    except AttributeError as error:  # another package of the name, or a torch that knows no UUID
        return f"it cannot be asked for here: {error}"

    def joules() -> float:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # from millijoules
        except pynvml.NVMLError:
            return math.nan

    return joules


def measure_energy(reader: Reader, asked: Sequence[Sequence[Context]], joules: Callable[[], float]) -> Energy | str:
    """Reads the contexts of one question after the other, over and over, until the counter can be trusted; they have
    been read before. Else why there is no figure."""
    if not asked:
        return "no question could be asked"
    readings = 0
    first, began = joules(), time.perf_counter()
    while (seconds := time.perf_counter() - began) < _LEAST_SECONDS:
        for context in asked[readings % len(asked)]:
            reader.read(context)
        readings += 1
    used = joules() - first
    if not used > 0:  # NaN, too
        return "NVML stopped reporting it" if math.isnan(used) else "the counter of NVML does not move"
    return Energy(used / readings, used / seconds, readings, seconds)
