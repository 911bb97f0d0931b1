"""Check the convolutions of ragyena.ops against fp64, then time them beside attention: with torch and Triton alone.

    pip install torch triton
    python benchmarks/ops_standalone.py                       # a CUDA device: lengths 2,048 to 131,072
    python benchmarks/ops_standalone.py --device cpu          # the transforms of torch on a CPU: lengths to 8,192

Each size is checked first, output and gradients; one that is wrong is not timed. Attention is the fastest of cuDNN and
flash attention of torch with the same mask, on a CPU torch's own. Writes OUT/DATE-operator-DEVICE.json with machine and
versions; exits with 1 where a size was wrong or failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ragyena.bench.figures import write  # noqa: E402 - from the checkout around this file
from ragyena.bench.operator import OperatorSize, Scope, bench_operator, bench_operator_on_cpu  # noqa: E402

LENGTHS = {"cuda": [2048, 4096, 8192, 16384, 32768, 65536, 131072], "cpu": [1024, 2048, 4096, 8192]}
SCOPES: tuple[Scope, ...] = ("causal", "two_sided", "passage")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=LENGTHS, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--lengths", type=int, nargs="+", help="positions")
    parser.add_argument("--width", type=int, default=768, help="channels; attention needs a multiple of 128")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--scopes", nargs="+", choices=SCOPES, default=SCOPES)
    parser.add_argument("--slot-tokens", type=int, default=256, help="positions of a slot in passage scope")
    parser.add_argument("--dtype", choices=["float16", "bfloat16", "float32"], help="bfloat16; on a CPU float32")
    parser.add_argument("--seconds", type=float, default=1800.0, help="start no further size after so many")
    parser.add_argument("--workers", type=int, default=8, help="processes that compile kernels in advance")
    parser.add_argument("--out", type=Path, default=Path.cwd(), help="folder of the JSON file")
    given = parser.parse_args()
    lengths = sorted(given.lengths or LENGTHS[given.device], reverse=given.device == "cuda")
    sizes = [
        OperatorSize(length, given.width, given.batch, scope, given.slot_tokens)
        for length in lengths
        for scope in given.scopes
    ]
    dtype = getattr(torch, given.dtype or ("bfloat16" if given.device == "cuda" else "float32"))
    if given.device == "cuda":
        result = bench_operator(sizes, dtype=dtype, workers=given.workers, budget=given.seconds, say=print)
    else:
        result = bench_operator_on_cpu(sizes, dtype=dtype, budget=given.seconds, say=print)
    print(write(result, given.out))
    failed = [size for size in map(str, sizes) if size in result.setting["failures"]]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
