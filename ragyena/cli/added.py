"""The report of what was added to an index, and of what could not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragyena.cli.console import TerminalProgress, count, output, short_path
from ragyena.errors import PartialFailureError

if TYPE_CHECKING:
    from ragyena.index.add import AddReport

__all__ = ["note_unread", "print_added", "raise_unread"]


def note_unread(report: AddReport, progress: TerminalProgress) -> None:
    """A line for each file, and each part of one, that could not be read."""
    for skipped in report.skipped:
        progress.note(f"left out: {skipped.message}; {skipped.hint}")
    for failure in report.failed:
        progress.note(f"not added: {failure.message}; {failure.hint}")


def raise_unread(report: AddReport) -> None:
    """Raises PartialFailureError where files or rows could not be read."""
    if report.failed:
        names = ", ".join(short_path(failure.path) for failure in report.failed[:5])
        more = f" and {len(report.failed) - 5} more" if len(report.failed) > 5 else ""
        rest = "; the other files are in the index" if len(report.failed) < report.files else ""
        raise PartialFailureError(
            f"{len(report.failed)} of {report.files} files could not be added: {names}{more}",
            hint=f"the reasons are above{rest}",
        )
    faults = [skipped for skipped in report.skipped if skipped.is_fault]
    if faults:
        raise PartialFailureError(
            f"{count(len(faults), 'row')} could not be read: "
            + ", ".join(short_path(skipped.source) for skipped in faults[:5]),
            hint="the reasons are above; mend the file and add it again: the other rows are in the index",
        )


def print_added(report: AddReport) -> None:
    from ragyena.documents.walk import listed_left_out  # here, since every command imports this module

    console = output()
    counts = {
        "added": report.added,
        "replaced": report.replaced,
        "unchanged": report.unchanged,
        "renamed": report.renamed,
        "removed": report.removed,
        "failed": len(report.failed),
    }
    parts = [f"{number:,} {what}" for what, number in counts.items() if number]
    faults = sum(skipped.is_fault for skipped in report.skipped)
    for number, what in ((faults, "row"), (len(report.skipped) - faults, "hidden part")):
        parts += [f"{count(number, what)} left out"] if number else []
    done = ", ".join(parts) or "nothing to do"
    console.print(f"{short_path(str(report.index))}: {done}", style="bold")
    if report.missing:
        names = ", ".join(short_path(path) for path in report.missing[:3])
        more = f" and {len(report.missing) - 3:,} more" if len(report.missing) > 3 else ""
        console.print(
            f"  {count(len(report.missing), 'file')} in the index can no longer be found: {names}{more}; remove what"
            " they held with `ragyena index add --prune` or `ragyena index sync`, and the same paths"
        )
    held = f"{count(report.total_documents, 'document')}, {count(report.total_passages, 'passage')}"
    rate = ""
    if report.passages and report.embedding_seconds:
        rate = f", {report.passages / report.embedding_seconds:,.0f} passages/s embedded"
    console.print(f"  now {held}; {report.seconds:.1f} s{rate}")
    if report.duplicates:
        first = report.duplicates[0]
        example = f"{short_path(first.source)} is the same as {short_path(first.same_as)}"
        console.print(f"  {count(len(report.duplicates), 'duplicate')}, stored once: {example}")
    if report.left_out:
        console.print(f"  left out: {listed_left_out(report.left_out)} (types that are not read)")
