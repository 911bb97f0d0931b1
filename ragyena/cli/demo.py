"""``ragyena demo``: index and ask the shipped corpus."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.cli.console import TerminalProgress, interruptible, output, short_path
from ragyena.cli.options import IndexOption, PipelineOption, QuietOption, configure, index_path

if TYPE_CHECKING:
    from ragyena.demo import DemoAnswer

__all__ = ["command"]


def command(index: IndexOption = None, pipeline: PipelineOption = None, quiet: QuietOption = False) -> None:
    """Index the demo corpus and ask it questions.

    The index is temporary, unless --index names one to keep.
    """
    config = configure(pipeline)
    with interruptible("a temporary index was removed; one given by --index keeps what was added"):
        from ragyena import demo

        began = time.perf_counter()
        console = output()
        with ExitStack() as stack:
            if index is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ragyena-demo-"))) / "index"
            else:
                folder = index_path(index, config)
            console.print(f"Indexing {short_path(str(demo.corpus()))}")
            with TerminalProgress(quiet=quiet) as progress:
                report = demo.build(folder, config, progress)
            held = f"{report.total_documents:,} documents, {report.total_passages:,} passages"
            console.print(f"{held} in {report.seconds:.1f} s\n", style="dim")
            results = []
            for result in demo.ask_all(folder, config):
                results.append(result)
                _show(result)
        right = sum(result.correct for result in results)
        console.print(
            f"{right} of {len(results)} answers right, {time.perf_counter() - began:.0f} s in all", style="bold"
        )
        console.print("Now your own documents:  ragyena index add PATH   then   ragyena ask QUESTION")


def _show(result: DemoAnswer) -> None:
    from ragyena.cli.views import answer_view

    console = output()
    console.print(f"> {result.question.question}", style="cyan")
    console.print(answer_view(result.answer, console))
    if not result.correct:
        expected = " or ".join(result.question.answers) or "no answer: the corpus does not hold one"
        console.print(f"  expected: {expected}", style="red")
    console.print()
