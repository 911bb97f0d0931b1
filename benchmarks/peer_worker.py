"""One step of ``benchmarks/peers.py`` in a process of its own: ``python peer_worker.py '{"step": ..., ...}'``.

The last line that it writes is a JSON object of what was measured.
"""

from __future__ import annotations

import importlib.metadata
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from peer_engines import Engine, Lookup, open_engine

PACKAGES = {
    "ragyena": ("ragyena", "faiss-cpu"),
    "txtai": ("txtai", "faiss-cpu", "sentence-transformers"),
    "LlamaIndex": ("llama-index-core", "llama-index-vector-stores-faiss", "faiss-cpu"),
    "LangChain": ("langchain-community", "langchain-text-splitters", "faiss-cpu"),
    "bm25s": ("bm25s", "PyStemmer", "langchain-text-splitters"),
    "tantivy": ("tantivy", "langchain-text-splitters"),
}
EXACT_CHUNK = 16_384


def main(task: dict[str, Any]) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    lookup = Lookup(Path(task["table"])) if task.get("table") else None
    weights = Path(task["weights"]) if task.get("weights") else None
    engine = open_engine(task["engine"], Path(task["index"]), weights, lookup, task.get("mode", "dense"))
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "build": lambda: build(task, engine, lookup),
        "use": lambda: use(task, engine, lookup),
        "add": lambda: add(task, engine, lookup),
        "answers": lambda: answers(task, engine),
    }
    return steps[task["step"]]()


def build(task: dict[str, Any], engine: Engine, lookup: Lookup | None) -> dict[str, Any]:
    """Raw files until searchable and on the disk."""
    if lookup is None:
        engine.warm()
    began = time.perf_counter()
    used = _cpu()
    passages = engine.build(Path(task["files"]))
    seconds, used = time.perf_counter() - began, _cpu() - used
    if lookup is not None:
        np.save(task["seen"], np.array(lookup.seen, np.int64))
    size = sum(path.stat().st_size for path in Path(task["index"]).rglob("*") if path.is_file())
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES[task["engine"]]]
    return {
        "seconds": seconds,
        "cpu_seconds": used,
        "passages": passages,
        "bytes": size,
        "peak_mb": _peak_mb(),
        "versions": versions,
    }


def use(task: dict[str, Any], engine: Engine, lookup: Lookup | None) -> dict[str, Any]:
    """Opening, memory, times of searches, and the share of the true nearest passages that they return."""
    began = time.perf_counter()
    engine.open()
    opened = time.perf_counter() - began
    began = time.perf_counter()
    engine.search(task["queries"][0], 10)
    result: dict[str, Any] = {"open_seconds": opened, "first_search_seconds": time.perf_counter() - began}
    found: list[list[str]] = []
    for k in (10, 100):
        for query in task["queries"][:20]:  # what is mapped into memory is read once
            engine.search(query, k)
        times = []
        for query in task["queries"]:
            began = time.perf_counter()
            texts = engine.search(query, k)
            times.append(1000 * (time.perf_counter() - began))
            if k == 10:
                found.append(texts)
        result[f"search_{k}_ms"] = [statistics.median(times), float(np.percentile(times, 99))]
    result["peak_mb"] = _peak_mb()
    seen = np.load(task["seen"])
    if lookup is not None and len(seen) and task["exact"]:
        result["recall"] = recall(found, task["queries"], lookup, seen)
    return result


def recall(found: list[list[str]], queries: list[str], lookup: Lookup, seen: Any) -> float:
    """The share of the 10 nearest passages, by exact search over all that were embedded, among those found."""
    hashes = np.unique(seen)
    query_QD = lookup.vectors(np.array([lookup.hash(query) for query in queries], np.int64))
    scores = [
        query_QD @ lookup.vectors(hashes[first : first + EXACT_CHUNK]).T for first in range(0, len(hashes), EXACT_CHUNK)
    ]
    nearest = np.argsort(-np.concatenate(scores, axis=1), axis=1)[:, :10]
    shares = [
        len({lookup.hash(text) for text in texts} & set(hashes[row].tolist())) / len(row)
        for texts, row in zip(found, nearest, strict=True)
    ]
    return float(np.mean(shares))


def add(task: dict[str, Any], engine: Engine, lookup: Lookup | None) -> dict[str, Any]:
    """Adding files one by one to the open index, each until it is on the disk and a search returns it."""
    engine.open()
    times = []
    for path in map(Path, task["added"]):
        began = time.perf_counter()
        try:
            engine.add(path)
        except NotImplementedError as error:
            return {"cannot": str(error)}
        first_line = path.read_text(encoding="utf-8").split("\n", 1)[0]
        wanted = lookup.last if lookup is not None and lookup.last else first_line
        texts = engine.search(wanted, 10)
        times.append(time.perf_counter() - began)
        if not any(wanted in text for text in texts):
            raise RuntimeError(f"what was added to {task['engine']} is not found")
    size = sum(path.stat().st_size for path in Path(task["index"]).rglob("*") if path.is_file())
    return {"first_seconds": times[0], "seconds": statistics.median(times[1:]), "peak_mb": _peak_mb(), "bytes": size}


def answers(task: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """The share of questions of which an answer stands in the first 10 passages, and the time of a question, its
    embedding included."""
    engine.open()
    engine.search(task["questions"][0]["question"], 10)
    right, times = 0, []
    for row in task["questions"]:
        began = time.perf_counter()
        texts = " ".join(engine.search(row["question"], 10)).casefold()
        times.append(1000 * (time.perf_counter() - began))
        right += any(answer.casefold() in texts for answer in row["answers"])
    return {"answers": right / len(task["questions"]), "question_ms": statistics.median(times)}


def _peak_mb() -> float:
    """Most memory that this process and those it started have had, each at its own peak."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(_high_water(process.pid) for process in processes) / 1024


def _high_water(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    return 0


def _cpu() -> float:
    """Seconds of computing of this process and those it started."""
    used = [process.cpu_times() for process in (psutil.Process(), *psutil.Process().children(recursive=True))]
    return sum(times.user + times.system for times in used)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
