"""Documents and passages a second of `ragyena index build --cluster local` with 1, 2 and 4 workers, and of a search.

    python benchmarks/cluster.py [--documents 200] [--out benchmarks/results/DATE-cluster.json]

The documents are made from the chapters and country pages of the demo corpus, each with a paragraph of its own, so that
none is a duplicate. Before each build, the models are loaded once by a small one, which is not counted: a worker that
starts reads 90 MB of weights and a Python environment. Beside them: `index add` on the same files, which uses one
process and all cores. It needs ragyena[cluster] and takes two to three minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ragyena
from ragyena.config import PipelineConfig
from ragyena.index.cluster.build import build
from ragyena.index.cluster.serving import ShardedIndex
from ragyena.index.cluster.session import connect
from ragyena.index.index import Index

WORKERS = (1, 2, 4)
SEARCHES = 40
QUESTIONS = ("What is the capital of Honduras?", "ownership and borrowing", "life expectancy", "export commodities")
CORPUS = Path(ragyena.__file__).parent / "assets" / "demo" / "corpus"
CHARS = 1600
SETTINGS = PipelineConfig()


def write_documents(folder: Path, count: int) -> None:
    """``count`` files of about ``CHARS`` characters of real text."""
    folder.mkdir()
    text = "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(CORPUS.rglob("*.md")))
    step = max(1, (len(text) - CHARS) // count)
    for number in range(count):
        part = text[number * step : number * step + CHARS]
        (folder / f"{number:05}.md").write_text(f"# Report {number}\n\n{part}\n", encoding="utf-8")


def measure(folder: Path, place: Path, workers: int) -> dict[str, Any]:
    """One build with so many workers, and searches of its shards."""
    warm = place / f"warm-{workers}"
    write_documents(warm, 2 * workers)
    with connect("local", workers=workers) as session:
        build([warm], place / f"warm-index-{workers}", "local", SETTINGS, shards=1, workers=workers)
        report = build([folder], place / f"index-{workers}", "local", SETTINGS, workers=workers)
        seconds = []
        with ShardedIndex(session, place / f"index-{workers}", SETTINGS) as index:
            for turn in range(SEARCHES + 4):
                began = time.perf_counter()
                index.search(QUESTIONS[turn % len(QUESTIONS)], k=10)
                seconds.append(time.perf_counter() - began)
    added = report.added
    return {
        "workers": workers,
        "shards": len(report.shards),
        "parts": report.parts,
        "seconds": round(added.seconds, 2),
        "documents_per_second": round(added.documents / added.seconds, 2),
        "passages_per_second": round(added.passages / added.seconds, 1),
        "search_ms_p50": round(1000 * statistics.median(seconds[4:]), 1),
    }


def alone(folder: Path, place: Path) -> dict[str, Any]:
    """The same documents by ``index add``."""
    with Index.create(place / "alone", settings=SETTINGS) as index:
        index.embedder().embed(["warm"] * 8)
        report = index.add([folder])
        seconds = []
        for turn in range(SEARCHES + 4):
            began = time.perf_counter()
            index.search(QUESTIONS[turn % len(QUESTIONS)], k=10)
            seconds.append(time.perf_counter() - began)
    return {
        "workers": "index add",
        "shards": 0,
        "parts": 0,
        "seconds": round(report.seconds, 2),
        "documents_per_second": round(report.documents / report.seconds, 2),
        "passages_per_second": round(report.passages / report.seconds, 1),
        "search_ms_p50": round(1000 * statistics.median(seconds[4:]), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        write_documents(place / "documents", arguments.documents)
        rows = [alone(place / "documents", place)]
        rows += [measure(place / "documents", place, workers) for workers in WORKERS]
    for row in rows:
        print(
            f"{row['workers']!s:>9} workers: {row['seconds']:7.1f} s, {row['documents_per_second']:6.1f} documents/s,"
            f" {row['passages_per_second']:6.1f} passages/s, search p50 {row['search_ms_p50']:6.1f} ms"
        )
    result = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"ragyena": ragyena.__version__, "ray": version("ray")},
        "machine": {"cores": os.cpu_count(), "load_before": round(load, 2)},
        "documents": arguments.documents,
        "note": "all workers share the cores of this one machine: more workers than cores cannot be faster",
        "rows": rows,
    }
    results = Path(__file__).parent / "results"
    out = arguments.out or results / f"{datetime.now(UTC):%Y-%m-%d}-cluster.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
