"""``ragyena index sync``: an index that follows folders, once or for as long as it runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragyena.cli.console import TerminalProgress, count, emit_json, interruptible, output, short_path
from ragyena.cli.options import ExcludeOption, IndexOption, JsonOption, PipelineOption, QuietOption, configure
from ragyena.errors import NothingToIndexError, PartialFailureError, RagyenaError

if TYPE_CHECKING:
    from ragyena.index.add import AddReport
    from ragyena.index.index import Index
    from ragyena.index.sync import Watch
    from ragyena.index.tracking import Stamp

__all__ = ["command"]

SHOWN = 20
"""Files that are named one by one after a pass."""
MARKS = {"added": "+", "replaced": "~", "renamed": ">", "removed": "-"}


def command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders to follow.")],
    index: IndexOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until Ctrl-C: changed files follow when they have been quiet.")
    ] = False,
    exclude: ExcludeOption = None,
    pipeline: PipelineOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Follow files: add new ones, replace changed ones, follow renamed ones, remove those that are gone.

    A path that does not exist is refused and removes nothing: the disk may not be mounted. With --json, --watch prints
    one line of JSON an event.
    """
    config = configure(pipeline, {"index.exclude": tuple(exclude) if exclude else None})
    safe = "the index is whole; the same command goes on from here"
    with interruptible(safe), _ended_as_by_ctrl_c(), TerminalProgress(quiet=quiet) as progress:
        from ragyena.cli.index import announce
        from ragyena.index.index import Index
        from ragyena.index.sync import Watch

        announce(index, config, paths, progress, empty=watch)
        with Index.open(index, create=True, lazy=True, settings=config) as opened:
            if watch:
                with Watch(paths, opened.folder) as changes:
                    _Following(opened, paths, changes, progress, json=json).run()
                return
            report = opened.sync(paths, progress=progress)
        _note_problems(report, progress)
    if json:
        emit_json({"schema": "ragyena.index.sync/1", **asdict(report)})
    else:
        _print(report)
    if report.failed or report.skipped:
        what = [count(len(report.failed), "file")] * bool(report.failed) + [count(len(report.skipped), "row")] * bool(
            report.skipped
        )
        raise PartialFailureError(
            f"{' and '.join(what)} could not be read", hint="the reasons are above; mend them and sync again"
        )


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM inside ends the command as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Following:
    """Passes of a sync, one after each change, and what they have said so far."""

    def __init__(
        self, index: Index, paths: list[Path], changes: Watch, progress: TerminalProgress, *, json: bool
    ) -> None:
        self._index, self._paths, self._changes, self._progress, self._json = index, paths, changes, progress, json
        self._problem = ""
        self._failed: dict[Path, Stamp | None] = {}
        """Files that cannot be read as they are: they are read again when they change."""

    def run(self) -> None:
        """Follow until interrupted."""
        self._pass(set())
        names = ", ".join(short_path(str(path)) for path in self._paths)
        self._say(f"watching {names} (Ctrl-C ends it)", "watching", paths=[str(path) for path in self._paths])
        for writing in self._changes.changes():
            self._pass(writing)

    def _pass(self, writing: set[Path]) -> None:
        from ragyena.index.tracking import Stamp

        known = {path for path, stamp in self._failed.items() if Stamp.of(path) == stamp}
        try:
            report = self._index.sync(self._paths, leave=writing | known, progress=self._progress)
        except NothingToIndexError:
            return  # a folder that is still empty
        except RagyenaError as error:
            if error.exit_code == 5:
                self._changes.again()
            if error.message != self._problem:
                self._problem = error.message
                self._say(f"{error.message}; {error.hint}", "problem", message=error.message, hint=error.hint)
            return
        self._problem = ""
        for change in report.changes:
            self._say(
                _line(change.kind, change.path, change.was), change.kind, path=change.path, was=change.was or None
            )
        for skipped in report.skipped:
            self._say(f"! {skipped.message}; {skipped.hint}", "left out", path=skipped.source, **_reason(skipped))
        self._failed = {path: stamp for path, stamp in self._failed.items() if path in known}
        for failure in report.failed:
            path = Path(failure.path)
            if failure.busy:
                self._changes.again()
                continue
            self._failed[path] = Stamp.of(path)
            self._say(f"! {failure.message}; {failure.hint}", "failed", path=failure.path, **_reason(failure))
        if report.changes:
            self._say(
                f"now {count(report.total_documents, 'document')}, {count(report.total_passages, 'passage')};"
                f" {report.seconds:.1f} s",
                "synced",
                documents=report.total_documents,
                passages=report.total_passages,
                seconds=round(report.seconds, 3),
            )

    def _say(self, text: str, event: str, **values: Any) -> None:
        if self._json:
            kept = {name: value for name, value in values.items() if value is not None}
            emit_json({"schema": "ragyena.index.sync-event/1", "event": event, **kept}, indent=None)
        else:
            output().print(text)


def _reason(problem: Any) -> dict[str, str]:
    return {"message": problem.message, "hint": problem.hint}


def _line(kind: str, path: str, was: str) -> str:
    return f"{MARKS[kind]} {short_path(path)}" + (f"  (was {short_path(was)})" if was else "")


def _note_problems(report: AddReport, progress: TerminalProgress) -> None:
    for skipped in report.skipped:
        progress.note(f"left out: {skipped.message}; {skipped.hint}")
    for failure in report.failed:
        progress.note(f"not added: {failure.message}; {failure.hint}")


def _print(report: AddReport) -> None:
    console = output()
    for change in report.changes[:SHOWN]:
        console.print(_line(change.kind, change.path, change.was))
    if len(report.changes) > SHOWN:
        console.print(f"... and {len(report.changes) - SHOWN:,} more")
    counts = {kind: number for kind in MARKS if (number := sum(change.kind == kind for change in report.changes))} | (
        {"unchanged": report.unchanged} if report.unchanged else {}
    )
    done = ", ".join(f"{number:,} {kind}" for kind, number in counts.items()) or "nothing to do"
    console.print(f"{short_path(str(report.index))}: {done}", style="bold")
    held = f"{count(report.total_documents, 'document')}, {count(report.total_passages, 'passage')}"
    console.print(f"  now {held}; {report.seconds:.1f} s")
