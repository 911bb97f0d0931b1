"""``ragyena index``: add documents, search, inspect, verify."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragyena.cli import sync
from ragyena.cli.added import note_unread, print_added, raise_unread
from ragyena.cli.cluster import ClusterOption, build, merge, opened_index, opened_pipeline
from ragyena.cli.console import TerminalProgress, count, emit_json, interruptible, output, short_path, size
from ragyena.cli.options import (
    ExcludeOption,
    IndexOption,
    JsonOption,
    PipelineOption,
    QuietOption,
    WhereOption,
    configure,
    given_path,
    index_path,
    parse_filters,
)
from ragyena.cli.other_names import IndexGroup
from ragyena.documents.formats import listed
from ragyena.errors import ConfigError, IndexCorruptError

if TYPE_CHECKING:
    from ragyena.config import PipelineConfig
    from ragyena.index.inspection import IndexStatus

__all__ = ["app"]


LISTED = 20
"""Files that ``status`` lists without ``--files``."""

ADD_HELP = f"""Add documents: new ones are added, changed ones replaced, unchanged ones skipped.

Formats: {listed()}. A document is added whole or not at all; running the same command again resumes an
interrupted one.
"""

app = typer.Typer(
    help="Add documents to an index, search, inspect and verify it.",
    cls=IndexGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("sync")(sync.command)
app.command("build")(build)
app.command("merge")(merge)


@app.command(help=ADD_HELP)
def add(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", parser=given_path, help="Files and folders; folders are searched recursively."
        ),
    ],
    index: IndexOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also remove documents of these folders whose file no longer exists.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the index again, from these paths and the files in it.")
    ] = False,
    exclude: ExcludeOption = None,
    embedder: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Embedder of a new index (index.embedder).")
    ] = None,
    passage_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Longest passage of a new index, in tokens (index.passage_tokens).")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Processes that embed; 0 for one a GPU (index.embed_processes)."),
    ] = None,
    pipeline: PipelineOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add documents to an index and print the report."""
    flags = {
        "index.exclude": tuple(exclude) if exclude else None,
        "index.embedder": embedder,
        "index.passage_tokens": passage_tokens,
        "index.embed_processes": processes,
    }
    config = configure(pipeline, flags)
    with (
        interruptible("what was added so far is kept; run the same command again to add the rest"),
        TerminalProgress(quiet=quiet) as progress,
    ):
        from ragyena.index.index import Index

        if rebuild:
            report = Index.rebuild(index, paths, settings=config, progress=progress)
        else:
            announce(index, config, paths, progress)
            with Index.open(index, create=True, lazy=True, settings=config) as opened:
                report = opened.add(paths, prune=prune, progress=progress)
        note_unread(report, progress)
    if json:
        emit_json({"schema": "ragyena.index.add/1", **asdict(report)})
    else:
        print_added(report)
    raise_unread(report)


def announce(
    index: str | None, config: PipelineConfig, paths: list[Path], progress: TerminalProgress, *, empty: bool = False
) -> None:
    """Say where a new index is made. Wrong paths, and those without files unless ``empty``, are refused before, so that
    nothing is loaded or made for them."""
    from ragyena.index.add import gather
    from ragyena.index.manifest import is_index
    from ragyena.index.rebuild import restore_replaced

    folder = index_path(index, config)
    restore_replaced(folder)
    if not is_index(folder):
        gathered = gather(paths, config.index.exclude, folder)
        if not gathered.work and not empty:
            raise gathered.nothing()
        progress.note(f"new index: {short_path(str(folder))}")


@app.command()
def status(
    index: IndexOption = None,
    files: Annotated[bool, typer.Option("--files", help="List every file.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what an index holds and the settings it was made with."""
    from ragyena.index.index import Index

    with Index.open(index, lazy=True) as opened:
        result = opened.status()
    if json:
        manifest = result.manifest.model_dump(mode="json", exclude={"sources", "documents", "passages"})
        emit_json(
            {
                "schema": "ragyena.index.status/1",
                "index": str(result.index),
                "files": result.counts.sources,
                "incomplete": result.counts.incomplete,
                "documents": result.counts.documents,
                "passages": result.counts.passages,
                "pending": result.pending,
                "bytes": result.size,
                "manifest": manifest,
                "sources": [asdict(source) for source in result.sources],
            }
        )
    else:
        _print_status(result, len(result.sources) if files else LISTED)


@app.command()
def rm(
    document: Annotated[
        str, typer.Argument(metavar="DOC", help="A file's path or the end of it, a folder, a pattern, or path#row.")
    ],
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """Remove a document from an index. The file itself stays where it is."""
    from ragyena.index.index import Index

    with Index.open(index, lazy=True) as opened:
        removed, folder = opened.remove(document), str(opened.folder)
    if json:
        emit_json({"schema": "ragyena.index.rm/1", "index": folder, "document": document, "removed": removed})
    else:
        output().print(f"removed {count(removed, 'document')} from {short_path(folder)}")


@app.command()
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A question or keywords.")],
    index: IndexOption = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", "-k", metavar="N", help="Passages to show (retriever.top_k).")
    ] = None,
    where: WhereOption = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="none|reader|MODEL",
            help="Rank the passages by reading them, or by a cross-encoder: its folder or its name on the hub, from"
            " which it is then downloaded (setting retriever.rerank).",
        ),
    ] = None,
    pipeline: PipelineOption = None,
    cluster: ClusterOption = None,
    json: JsonOption = False,
) -> None:
    """Show the passages that a question would retrieve."""
    config = configure(pipeline, {"retriever.top_k": top_k, "retriever.rerank": rerank})
    filters = parse_filters(where or [])
    with ExitStack() as stack:
        if config.retriever.rerank == "none" and config.retriever.langchain is None:
            opened = stack.enter_context(opened_index(cluster, index, config))
            matches, spelt = opened.search(query, filters=filters), opened.spelt(query)
            states = [opened.file_state(match.passage.document_id, match.passage.source) for match in matches]
        else:
            reading = stack.enter_context(opened_pipeline(cluster, index, config))
            matches = reading.search(query, filters=filters)
            spelt = reading.spelt(query)
            states = [reading.file_state(match.passage.document_id, match.passage.source) for match in matches]
    matches = [
        replace(match, passage=replace(match.passage, source=source))
        for match, (source, _) in zip(matches, states, strict=True)
    ]
    if json:
        from ragyena.schemas import match_json

        passages = [match_json(match, state).model_dump() for match, (_, state) in zip(matches, states, strict=True)]
        searched = {"query": query, "searched_for": spelt}
        values = {**searched, "rerank": config.retriever.rerank, "passages": passages}
        emit_json({"schema": "ragyena.index.search/1", **values})
        return
    if spelt != query:
        from ragyena.cli.views import spelt_view

        output().print(spelt_view(spelt))
    if matches:
        from ragyena.cli.views import passages_view

        output().print(passages_view(matches, [state for _, state in states]))
    else:
        output().print("no passage matches")


@app.command()
def verify(
    index: IndexOption = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Build full text indexes, tokens for packing and vector file again where they alone are damaged.",
        ),
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check every file, row, offset and vector of an index."""
    config = configure(None)
    path = index_path(index, config)
    with TerminalProgress(quiet=quiet) as progress:
        from ragyena.index.index import tokenizer_if_there
        from ragyena.index.inspection import verify as check

        report = check(path, repair=repair, tokenizer=tokenizer_if_there(config), progress=progress)
    if json:
        counts = asdict(report.counts) if report.counts else None
        values = {"sound": report.sound, "problems": report.problems, "repaired": report.repaired, "counts": counts}
        emit_json({"schema": "ragyena.index.verify/1", "index": str(path), **values})
    else:
        console = output()
        for repaired in report.repaired:
            console.print(f"repaired: {repaired}")
        for problem in report.problems:
            console.print(f"unsound: {problem}", style="bold red")
        if report.sound and report.counts:
            counts_line = f"{count(report.counts.documents, 'document')}, {count(report.counts.passages, 'passage')}"
            console.print(f"{short_path(str(path))} is sound: {counts_line}")
    if not report.sound:
        raise IndexCorruptError(
            f"{path} has {count(len(report.problems), 'problem')}: {report.problems[0]}",
            hint="ragyena index verify --repair builds the full text indexes, the tokens kept for packing and the"
            " vector file again; for the rest, build it again: ragyena index add PATH --rebuild",
        )


@app.command()
def upgrade(index: IndexOption = None, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Bring an index of an older format to the present one, in place; nothing is embedded again."""
    config = configure(None)
    path = index_path(index, config)
    with (
        interruptible("the index is what it was, or can be used already; run the same command again"),
        TerminalProgress(quiet=quiet) as progress,
    ):
        from ragyena.index.index import tokenizer_if_there
        from ragyena.index.upgrade import upgrade as bring

        report = bring(path, tokenizer=tokenizer_if_there(config), progress=progress)
    if json:
        emit_json({"schema": "ragyena.index.upgrade/1", **asdict(report)})
        return
    console, name = output(), short_path(str(path))
    if report.packing:
        console.print(f"tokens of {count(report.packing, 'passage')} are kept for packing now")
    if report.from_version == report.to_version:
        console.print(f"{name} is of format {report.to_version} already")
        return
    holds = f"{count(report.counts.documents, 'document')}, {count(report.counts.passages, 'passage')}"
    console.print(f"{name} is of format {report.to_version} now: {holds}")
    if report.unspaced:
        console.print(f"  text without spaces can be searched now in {count(report.unspaced, 'passage')}")
    console.print(
        "  tables, lists, code and page labels are known of files that are read from now on;"
        " to read all again: ragyena index add PATH --rebuild"
    )


@app.command("export-to")
def export_to(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="A pipeline recipe with retriever.langchain, by path (docs/stores.md)."),
    ],
    index: IndexOption = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help="Write nothing: delete what the store holds of this source; repeatable."),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the passages of an index into the store of a recipe, or delete a source from it.

    Passages that are there already are left as they are; those that the index no longer holds of a source are deleted.
    """
    config = configure(recipe)
    if config.retriever.langchain is None:
        raise ConfigError(f"the recipe {recipe} names no store", hint="it needs retriever.langchain (docs/stores.md)")
    with (
        interruptible("what was written so far is kept; run the same command again to write the rest"),
        TerminalProgress(quiet=quiet) as progress,
    ):
        from ragyena.index import export
        from ragyena.index.external import ExternalStore
        from ragyena.index.index import Index

        with ExitStack() as stack:
            opened = None if remove else stack.enter_context(Index.open(index, lazy=True, settings=config))
            store = stack.enter_context(
                ExternalStore(
                    config.retriever.langchain,
                    passage_tokens=config.index.passage_tokens,
                    rrf_k=config.retriever.rrf_k,
                )
            )
            if opened is not None:
                report = export.export(opened, store, progress=progress)
            else:
                removed = sum(export.remove(store, source) for source in remove or [])
                report = export.ExportReport(store.name, 0, 0, removed, False)
    if json:
        emit_json({"schema": "ragyena.index.export/1", **asdict(report)})
    elif opened is None:
        output().print(f"deleted {count(report.removed, 'passage')} from {report.store}")
    else:
        unchanged = report.passages - report.written
        vectors = "the index's vectors" if report.reused_vectors else "vectors of the store's own embeddings"
        output().print(
            f"{report.store}: {count(report.written, 'passage')} written with {vectors}, {unchanged:,} unchanged,"
            f" {report.removed:,} deleted"
        )


# --- output ---------------------------------------------------------------------------------------------------


def _print_status(result: IndexStatus, listed: int) -> None:
    from rich.table import Table

    console, manifest, counts = output(), result.manifest, result.counts
    facts = Table.grid(padding=(0, 2))
    facts.add_row("index", str(result.index))
    files = count(counts.sources, "file")
    facts.add_row("holds", f"{files}, {count(counts.documents, 'document')}, {count(counts.passages, 'passage')}")
    interrupted = sum(not source.complete and not source.skipped for source in result.sources)
    if interrupted:
        facts.add_row("incomplete", f"{count(interrupted, 'file')}; run `ragyena index add` again to finish")
    if gone := sum(source.missing for source in result.sources):
        facts.add_row("gone", f"{count(gone, 'file')}; `ragyena index sync` of their folder removes what they held")
    facts.add_row("size", size(result.size))
    facts.add_row("embedder", f"{manifest.embedder}, {manifest.dimension} dimensions")
    facts.add_row("passages", f"at most {manifest.config.passage_tokens} tokens")
    if manifest.vectors is not None:
        pending = f"; {result.pending:,} passages not in it yet, searched all the same" if result.pending else ""
        facts.add_row("vectors", f"{manifest.vectors.kind}{pending}")
    facts.add_row("updated", manifest.updated)
    console.print(facts)
    console.print()
    for source in result.sources[:listed]:
        documents = f", {source.documents:,} documents" if source.documents != 1 else ""
        unfinished = ("" if source.complete else ", incomplete") + (", gone" if source.missing else "")
        console.print(f"  {short_path(source.path)}  ({size(source.size)}{documents}{unfinished})")
    if len(result.sources) > listed:
        console.print(f"  ... and {len(result.sources) - listed:,} more (--files lists them)")
    skipped = [skipped for source in result.sources for skipped in source.skipped if skipped.is_fault]
    if skipped:
        console.print()
        console.print("not read (mend the file and add it again):")
        for part in skipped[:LISTED]:
            console.print(f"  {part.message}; {part.hint}")
        if len(skipped) > LISTED:
            console.print(f"  ... and {len(skipped) - LISTED:,} more (--json lists them)")
