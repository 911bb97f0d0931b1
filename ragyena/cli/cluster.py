"""``ragyena index build`` and ``merge``, and ``--cluster`` of the commands that search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragyena.cli.added import note_unread, print_added, raise_unread
from ragyena.cli.console import TerminalProgress, count, emit_json, interruptible, output, short_path
from ragyena.cli.options import (
    ExcludeOption,
    IndexOption,
    JsonOption,
    PipelineOption,
    QuietOption,
    configure,
    given_path,
    index_path,
)
from ragyena.errors import UsageError

if TYPE_CHECKING:
    from ragyena.config import PipelineConfig
    from ragyena.index.cluster.serving import ShardedIndex
    from ragyena.index.index import Index
    from ragyena.pipeline import Pipeline

__all__ = ["ClusterOption", "build", "merge", "opened_index", "opened_pipeline"]

ADDRESS_HELP = "local (a cluster of this machine alone), auto (the one that runs here), HOST:PORT or ray://HOST:PORT."
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help=f"Search the shards of --index in parallel on a Ray cluster: {ADDRESS_HELP}",
    ),
]


def build(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", parser=given_path, help="Files and folders; folders are searched recursively."
        ),
    ],
    cluster: Annotated[str, typer.Option(metavar="ADDRESS", help=f"The Ray cluster: {ADDRESS_HELP}")],
    index: IndexOption = None,
    shards: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Shards to write; by default one a worker.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Tasks that run at a time; by default one a core.")
    ] = None,
    gpus: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0, help="Share of a GPU for each task that embeds: 0.25, 1.")
    ] = 0.0,
    exclude: ExcludeOption = None,
    pipeline: PipelineOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Build an index in shards on a Ray cluster. Each shard is an index of its own.

    Run it again to resume an interrupted build, or to add what is new. All nodes must see the documents and the folder
    of the index under the same paths. Needs ragyena[cluster].
    """
    config = configure(pipeline, {"index.exclude": tuple(exclude) if exclude else None})
    folder = index_path(index, config)
    with (
        interruptible("the parts that are done are kept; run the same command again to do the rest"),
        TerminalProgress(quiet=quiet) as progress,
    ):
        from ragyena.index.cluster.build import build as build_shards

        report = build_shards(
            paths, folder, cluster, config, shards=shards, workers=workers, gpus=gpus, progress=progress
        )
        note_unread(report.added, progress)
    if json:
        rows = [shard.model_dump() for shard in report.shards]
        values = {"workers": report.workers, "parts": report.parts, "parts_kept": report.parts_kept, "shards": rows}
        emit_json({"schema": "ragyena.index.build/1", **values, **asdict(report.added)})
    else:
        print_added(report.added)
        kept = f", {count(report.parts_kept, 'part')} of an interrupted build kept" if report.parts_kept else ""
        output().print(f"  {count(len(report.shards), 'shard')}, {count(report.workers, 'task')} at a time{kept}")
    raise_unread(report.added)


def merge(
    shards: Annotated[
        list[str], typer.Argument(metavar="SHARD...", help="Indexes by name or path, or a folder of shards.")
    ],
    index: IndexOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Merge indexes into one, by copying: nothing is read or embedded again.

    Run it again to resume an interrupted merge. The shards of one build keep the ids of their passages.
    """
    if index is None:
        raise UsageError("no index to merge into was named", hint="name a new one: --index NAME")
    config = configure(None)
    into = index_path(index, config)
    with (
        interruptible("what was copied is kept; run the same command again to do the rest"),
        TerminalProgress(quiet=quiet) as progress,
    ):
        from ragyena.index.cluster.catalog import Catalog, is_sharded
        from ragyena.index.merge import merge as merge_indexes

        folders: list[Path] = []
        for name in shards:
            folder = index_path(name, config)
            folders += Catalog.read(folder).folders(folder) if is_sharded(folder) else [folder]
        report = merge_indexes(folders, into, progress=progress)
    if json:
        emit_json({"schema": "ragyena.index.merge/1", **asdict(report)})
        return
    console = output()
    present = f", {report.present:,} there already" if report.present else ""
    console.print(f"{short_path(str(into))}: {count(report.documents, 'document')} copied{present}", style="bold")
    held = f"{count(report.total_documents, 'document')}, {count(report.total_passages, 'passage')}"
    ids = "the ids they had" if report.ids_kept else "new ids"
    console.print(f"  now {held}, with {ids}; {report.seconds:.1f} s")


@contextmanager
def opened_index(cluster: str | None, index: str | None, config: PipelineConfig) -> Iterator[Index | ShardedIndex]:
    """The index that was named, or its shards where a cluster was."""
    if cluster is None:
        from ragyena.index.index import Index

        with Index.open(index, settings=config) as opened:
            yield opened
        return
    from ragyena.index.cluster.serving import ShardedIndex
    from ragyena.index.cluster.session import connect

    folder = index_path(index, config)
    ShardedIndex.check(folder)
    with connect(cluster) as session, ShardedIndex(session, folder, config) as shards:
        yield shards


@contextmanager
def opened_pipeline(cluster: str | None, index: str | None, config: PipelineConfig) -> Iterator[Pipeline]:
    """A pipeline on the index that was named, or on its shards where a cluster was."""
    from ragyena.pipeline import Pipeline

    if cluster is None:
        with Pipeline.open(index, settings=config) as pipeline:
            yield pipeline
        return
    with opened_index(cluster, index, config) as shards, Pipeline.open(shards, settings=config) as pipeline:
        yield pipeline
