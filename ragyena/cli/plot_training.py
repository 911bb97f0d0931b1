"""``ragyena plot-training``: curves of training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs or stages, or log.jsonl files.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A .svg, .png or .pdf to write.")],
    metric: Annotated[str, typer.Option(help="Which held-out measure of the logs.")] = "held-out perplexity",
) -> None:
    """Draw a held-out measure of training runs against tokens and against model FLOPs."""
    from ragyena.train.plot import curves, draw

    found = curves(runs, metric)
    draw(found, metric, out)
    for curve in found:
        print(
            f"{curve.name}: {metric} {curve.values[-1]:.4g} after {curve.tokens[-1] / 1e6:.1f}M tokens, "
            f"{curve.flops[-1]:.3g} FLOPs; from {min(curve.values):.4g} to {max(curve.values):.4g} on the way"
        )
    print(out)
