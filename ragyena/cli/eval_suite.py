"""How ``ragyena eval`` runs a suite: every recipe with every reader, then one page of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.cli.console import TerminalProgress, interruptible, output

if TYPE_CHECKING:
    from ragyena.config import PipelineConfig
    from ragyena.pipelines.suite import Suite

__all__ = ["run"]


def run(
    suite: Suite,
    settings: Sequence[PipelineConfig],
    *,
    data_root: Path,
    out: Path,
    index_cache: Path,
    quiet: bool,
) -> None:
    """Prints a line for each part and reader, then where the report is."""
    from ragyena.cli.eval_views import summary_line
    from ragyena.pipelines.report import report as write_report
    from ragyena.pipelines.suite import run_suite

    console = output()
    count = sum(1 if part.config.task == "retrieval" else len(settings) for part in suite.parts)
    console.print(f"{suite.name}: {len(suite.parts)} recipes, {count} results to make, in {out}")
    results: list[Path] = []
    safe = f"what is finished is kept in {out}; the same command goes on"
    with interruptible(safe), TerminalProgress(quiet=quiet) as progress:

        def began(part: str, reader: str) -> None:
            if not quiet:
                progress.note(f"{len(results) + 1} of {count}: {part}, {reader}")

        for one in run_suite(
            suite,
            settings,
            data_root=data_root,
            out=out,
            index_cache=index_cache,
            progress=progress,
            began=began,
        ):
            results.append(one.result)
            console.print(summary_line(one.result, kept=one.kept))
        for path in write_report(results, out, progress):
            console.print(f"  {path}")
