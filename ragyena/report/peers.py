"""The page of a run of ``benchmarks/peers.py``: ragyena beside other libraries, and where it is behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragyena.errors import DataError
from ragyena.files import read_file
from ragyena.report.model import Bullets, Page, Section, Table, Text

__all__ = ["latest_peers", "make_peers"]

US = "ragyena"
LEXICAL = ("bm25s", "tantivy")
LARGEST_RECORD = 10_000_000
MODES = {"search dense": "dense", "search hybrid": "hybrid (its default)", "search lexical": "lexical", "search": ""}

Engine = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity of an engine; None where it has none."""

    name: str
    of: Callable[[Engine], float | None]
    rivals: Callable[[str], bool]
    """The libraries that it is compared with."""
    reason: str
    """The reason where ragyena is behind, and the plan."""
    higher: bool = False


def _got(engine: Engine, part: str, key: str) -> Any:
    return engine.get(part, {}).get(key)


def _rate(part: str) -> Callable[[Engine], float | None]:
    """Passages a second."""
    return lambda engine: _per_second(engine, part, _got(engine, part, "passages"))


def _per_second(engine: Engine, part: str, count: float | None) -> float | None:
    seconds = _got(engine, part, "seconds")
    return count / seconds if count and seconds else None


def _first(*places: tuple[str, str]) -> Callable[[Engine], float | None]:
    """The first of these quantities that an engine has: searches of ragyena are under their modes."""

    def of(engine: Engine) -> float | None:
        for part, key in places:
            value = _got(engine, part, key)
            if value is not None:
                return float(value[0] if isinstance(value, list) else value)
        return None

    return of


def _dense(name: str) -> bool:
    return name not in LEXICAL


def _lexical(name: str) -> bool:
    return name in LEXICAL


def _any(name: str) -> bool:
    return True


DOES_MORE = (
    "each file is read by a process of its own that a hostile file cannot take down, and gets offsets, lines, a full"
    " text index, the reader's tokens and a signature beside its vectors, in transactions flushed to the disk"
)
ON_DISK = "passages are read from the disk and checked, where others hold all texts in memory"


def _search(key: str, mode: str = "dense") -> Callable[[Engine], float | None]:
    """A quantity of searches; ragyena has them by mode."""
    return _first((f"search {mode}", key), ("search", key))


FIGURES = (
    Figure("passages a second, embedded", _rate("embedded"), _dense, "the embedding takes the time", higher=True),
    Figure(
        "text a second without embedding, of the dense libraries",
        lambda engine: _per_second(engine, "cached", 1.0),
        _dense,
        f"{DOES_MORE}. To do: cut passages and compute signatures in the processes that read",
        higher=True,
    ),
    Figure(
        "memory to build",
        _first(("cached", "peak_mb")),
        _dense,
        "vectors and up to 20,000 passages wait in memory for the next commit, and a second process reads files",
    ),
    Figure(
        "size on disk",
        _first(("cached", "bytes")),
        _dense,
        "there is a full text index, and vectors are kept twice in half precision (SQLite and FAISS)",
    ),
    Figure(
        "time to open", _search("open_seconds"), _dense, "what anything may have changed on the disk is checked first"
    ),
    Figure("search k = 10, p50, dense", _search("search_10_ms"), _dense, ON_DISK),
    Figure("search k = 100, p50, dense", _search("search_100_ms"), _dense, ON_DISK),
    Figure(
        "search k = 10, p50, lexical",
        _search("search_10_ms", "lexical"),
        _lexical,
        "SQLite's FTS5 weighed every passage with any of the words (the version of these figures: since then the"
        " passages of a word are kept in memory); bm25s has all weights computed and in memory, tantivy skips what"
        " cannot be among the best",
    ),
    Figure("memory to search", _search("peak_mb"), _dense, "the store's pages are cached"),
    Figure(
        "recall@10 against exact search",
        _search("recall"),
        _dense,
        "vectors are kept in half precision, which may exchange two that are about equally near",
        higher=True,
    ),
    Figure(
        "adding a file to the large index",
        _first(("add", "seconds")),
        _any,
        "tantivy writes a small segment of its own; ragyena also brings its vector file up to date",
    ),
    Figure(
        "answers in the first 10 passages",
        _first(("answers hybrid", "answers"), ("answers", "answers")),
        _any,
        "passages of others are longer, so that ten of them hold more text",
        higher=True,
    ),
)


def latest_peers(results: Path) -> dict[str, Any] | None:
    """The last record in the folder of results; None where there is none. Raises DataError for one that is damaged."""
    paths = sorted(results.glob("*-peers.json"))
    if not paths:
        return None
    try:
        record: dict[str, Any] = json.loads(read_file(paths[-1], LARGEST_RECORD))
    except ValueError as error:
        raise DataError(f"{paths[-1]} is no record of peers", hint="make it again: benchmarks/peers.py") from error
    return record


def make_peers(record: Mapping[str, Any]) -> Page:
    """The page of a record."""
    engines: Mapping[str, Engine] = record["engines"]
    passages = _got(engines.get(US, {}), "cached", "passages") or 0
    documents, chars = record["documents"], {part: count / 1e6 for part, count in record["chars"].items()}
    building = (
        f"Embedded: {documents['embedded']:,} documents ({chars['embedded']:.1f}M characters), by all-MiniLM-L6-v2, the"
        f" model loaded before. Without embedding: {documents['cached']:,} documents"
        f" ({chars['cached']:.0f}M characters), whose vectors are looked up. Passages are of at most 200 tokens (800"
        " characters where a splitter counts these); ragyena ends one with its section, so that it has more. Until"
        " everything can be searched and is on the disk; only ragyena and tantivy wait until it is flushed to it."
    )
    searching = (
        f"{passages:,} passages (as ragyena cuts them), {record['questions']} questions, milliseconds; the vector of a"
        " question is looked up, so that its embedding is not in it. Recall is against an exact search over the same"
        " vectors."
    )
    adding = (
        "A file of 4,000 characters is added to the large index, until it is on the disk and a search finds it: the"
        " first after opening, and the median of the next. Answers: questions of which an answer stands in the first"
        " ten passages of the embedded documents, and the median time of such a question, its embedding included."
    )
    build_head = ["", "embedded: passages/s", "documents/s", "without embedding: passages/s", "documents/s"]
    build_head += ["M characters/s", "peak memory, MB", "on disk, MB"]
    search_head = ["", "search", "open, s", "k=10 p50", "p99", "k=100 p50", "p99", "peak memory, MB", "recall@10"]
    add_head = ["", "first file, s", "next files, s", "answers@10", "question, ms"]
    build_rows = [_building(name, engine, record) for name, engine in engines.items()]
    search_rows = [row for name, engine in engines.items() for row in _searching(name, engine)]
    add_rows = [row for name, engine in engines.items() for row in _adding(name, engine)]
    versions = [
        f"{name}: {', '.join(_got(engine, 'cached', 'versions') or ['failed'])}" for name, engine in engines.items()
    ]
    return Page(
        title="Beside other libraries",
        subtitle=(
            f"One run of benchmarks/peers.py on {record['date']}: {record['machine']}, load {record['load']:.1f} at its"
            " end. Every step of every library runs in a process of its own, with the same text files, the same"
            " weights of the embedder and the same threads."
        ),
        sections=(
            Section("From files to searchable", (Text(building), Table(build_head, build_rows))),
            Section("Search", (Text(searching), Table(search_head, search_rows, left=2))),
            Section("Adding a file, and answers", (Text(adding), Table(add_head, add_rows))),
            Section("Where ragyena stands", (Bullets([_verdict(figure, engines) for figure in FIGURES]),)),
            Section("Versions", (Bullets(versions),)),
        ),
    )


def _building(name: str, engine: Engine, record: Mapping[str, Any]) -> list[str]:
    cells = [name]
    for part in ("embedded", "cached"):
        embeds = part == "cached" or name not in LEXICAL
        cells.append(_number(_rate(part)(engine)) if embeds else "no vectors")
        cells.append(_number(_per_second(engine, part, record["documents"][part])) if embeds else "")
    chars = _per_second(engine, "cached", record["chars"]["cached"] / 1e6)
    size = _got(engine, "cached", "bytes")
    return [*cells, _number(chars), _number(_got(engine, "cached", "peak_mb")), _number(size and size / 1e6)]


def _searching(name: str, engine: Engine) -> list[list[str]]:
    rows = []
    for part, mode in MODES.items():
        if part in engine:
            times = [time for key in ("search_10_ms", "search_100_ms") for time in _got(engine, part, key) or ()]
            recall = _got(engine, part, "recall")
            rows.append(
                [
                    *(name, mode or ("lexical" if name in LEXICAL else "dense")),
                    *(_number(_got(engine, part, "open_seconds")), *map(_number, times)),
                    *(_number(_got(engine, part, "peak_mb")), "" if recall is None else f"{recall:.3f}"),
                ]
            )
    return rows


def _adding(name: str, engine: Engine) -> list[list[str]]:
    added = engine.get("add", {})
    problem = added.get("cannot") or added.get("failed")
    times = [problem or "", ""] if problem else [_number(added.get("first_seconds")), _number(added.get("seconds"))]
    rows = []
    for part in ("answers hybrid", "answers dense", "answers lexical", "answers"):
        if part in engine:
            share, question = _got(engine, part, "answers"), _got(engine, part, "question_ms")
            label = f"{name}, {part.split()[1]}" if " " in part else name
            rows.append([label, *times, "" if share is None else f"{100 * share:.1f}%", _number(question)])
            times = ["", ""]
    return rows


def _verdict(figure: Figure, engines: Mapping[str, Engine]) -> str:
    """The standing of ragyena in one figure: ahead of all, or behind the best, with the reason and the plan."""
    ours = figure.of(engines.get(US, {}))
    rivals = {
        name: value
        for name, engine in engines.items()
        if name != US and figure.rivals(name) and (value := figure.of(engine)) is not None
    }
    if ours is None or not rivals:
        return f"{figure.name}: not measured"
    best = (max if figure.higher else min)(rivals, key=lambda name: rivals[name])
    ahead = ours >= rivals[best] if figure.higher else ours <= rivals[best]
    ratio = max(ours, rivals[best]) / max(min(ours, rivals[best]), 1e-9)
    if ahead:
        return (
            f"{figure.name}: **ahead** (the next, {best}, by {ratio:.2g} times)"
            if ratio > 1
            else f"{figure.name}: level"
        )
    return f"{figure.name}: behind {best} by {ratio:.2g} times, because {figure.reason}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
