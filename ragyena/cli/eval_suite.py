"""How ``ragyena eval`` runs a suite: every recipe with every reader, then one page of all; or their contexts alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.cli.console import TerminalProgress, interruptible, output

if TYPE_CHECKING:
    from ragyena.config import PipelineConfig
    from ragyena.eval.suite_parts import Suite

__all__ = ["freeze", "run"]


def freeze(
    suite: Suite, settings: PipelineConfig, folder: Path, *, data_root: Path, index_cache: Path, quiet: bool
) -> None:
    """Prints a line for each file of contexts, and which parts have none."""
    from ragyena.eval.freeze_suite import freeze_suite

    console, done, count = output(), 0, len(suite.reading)
    console.print(f"{suite.name}: contexts of {count} recipes, in {folder}")
    safe = f"what is frozen is kept in {folder}; the same command goes on"
    with interruptible(safe), TerminalProgress(quiet=quiet) as progress:

        def began(part: str) -> None:
            if not quiet:
                progress.note(f"{done + 1} of {count}: {part}")

        for one in freeze_suite(
            suite,
            settings,
            folder,
            data_root=data_root,
            index_cache=index_cache,
            progress=progress,
            began=began,
        ):
            done += 1
            console.print(
                f"  {one.path}: {one.questions:,} questions, {one.passages:,} passages, "
                f"{one.path.stat().st_size / 2**20:.1f} MiB{' (frozen before)' if one.kept else ''}"
            )
    for part in suite.searching:
        console.print(f"  {part.name}: not frozen, it searches an index and reads nothing")


def run(
    suite: Suite,
    settings: Sequence[PipelineConfig],
    *,
    data_root: Path,
    out: Path,
    index_cache: Path,
    frozen: Path | None,
    quiet: bool,
) -> None:
    """Prints a line for each part and reader, then where the report is."""
    from ragyena.cli.eval_views import summary_line
    from ragyena.eval.suite import run_suite
    from ragyena.report.write import report as write_report

    console = output()
    left_out = suite.searching if frozen else ()
    count = len(suite.reading) * len(settings) + len(suite.searching) - len(left_out)
    console.print(f"{suite.name}: {len(suite.parts) - len(left_out)} recipes, {count} results to make, in {out}")
    for part in left_out:
        console.print(
            f"  {part.name}: left out, it searches an index, and reads nothing that could be frozen; where data and "
            f"index are: ragyena eval {part.name} --data-root FOLDER"
        )
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
            frozen=frozen,
            progress=progress,
            began=began,
        ):
            results.append(one.result)
            console.print(summary_line(one.result, kept=one.kept))
        for path in write_report(results, out, progress):
            console.print(f"  {path}")
