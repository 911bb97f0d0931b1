"""``ragyena eval-compare``: is one reader better than another on the same questions?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragyena.cli.console import output

__all__ = ["command"]


def command(
    first: Annotated[Path, typer.Argument(metavar="A.json", help="A result of ragyena eval, its answers beside it.")],
    second: Annotated[Path, typer.Argument(metavar="B.json", help="Another reader's result of the same recipe.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Also write the comparison as JSON.")
    ] = None,
) -> None:
    """Compare two results question by question: differences with 95% intervals, p-values, and who is better.

    Intervals are of a paired bootstrap, p-values of a paired permutation test, both over whole contexts. `Holm` is p
    corrected for the other tests of the comparison; `better` is `neither` where that is 0.05 or more.
    """
    from ragyena.cli.eval_views import comparison_lines
    from ragyena.eval.compare import compare, write

    comparison = compare(first, second)
    console = output()
    for line in comparison_lines(comparison):
        console.print(line)
    if out is not None:
        write(comparison, out)
        console.print(f"\n  {out}")
