"""Measure ragyena beside what else one would take: ``python benchmarks/peers.py [--write]``.

txtai, LlamaIndex and LangChain (both with FAISS) index and search the same text files with the same embedding weights;
bm25s and tantivy are beside the lexical half. Every step of every library runs in a process of its own, one after
another, with the same number of threads. The libraries live in an environment of their own, which is made where it is
missing: a folder under the temporary one, or ``--venv``; their versions are those of ``peers-requirements.txt``.

Two corpora: documents of the repository, embedded for real (``--real-chars``), on which answers are looked for; and
copies of them with other names and numbers (``--passages``, about), whose vectors are looked up rather than computed,
so that what is measured is all but the embedding. ``--folder`` and ``--questions`` take text files and questions (JSON
lines: question, answers) of your own for the first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from peer_corpus import read_questions, write_added, write_copies, write_documents
from peer_engines import ENGINES

from ragyena import Index
from ragyena.index.embedder import bundled_folder
from ragyena.report.markdown import to_markdown
from ragyena.report.peers import make_peers

HERE = Path(__file__).resolve().parent
CHARS_A_PASSAGE = 470
"""Chars of text a passage of a copy, as ragyena cuts it at 200 tokens."""
MODES = ("dense", "hybrid", "lexical")
ADDED = 4
"""Files added to the large index one by one: the first by itself, then the median of the others."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "ragyena-peers")
    parser.add_argument("--work", type=Path, help="keep corpora and indexes here; by default they are removed")
    parser.add_argument("--folder", type=Path, help="text files to embed, in place of the repository's documents")
    parser.add_argument("--questions", type=Path, help="questions on them")
    parser.add_argument("--real-chars", type=int, default=900_000)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--asked", type=int, default=200, help="questions, and searches timed")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--engine", action="append", choices=ENGINES, help="measure this one alone")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/DATE-peers.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ragyena-peers-") as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        record = measure(arguments, work)
    print(to_markdown(make_peers(record)))
    if arguments.write:
        path = HERE / "results" / f"{record['date']}-peers.json"
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written to {path}")


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """All steps, one after another; the record of the run."""
    run = Run(arguments, work)
    engines = arguments.engine or list(ENGINES)
    real = arguments.folder or work / "real"
    if arguments.folder is None and not real.exists():
        write_documents(real, arguments.real_chars)
    questions = (
        [json.loads(line) for line in arguments.questions.read_text(encoding="utf-8").splitlines()]
        if arguments.questions
        else [asdict(row) for row in read_questions(real, arguments.asked)]
    )[: arguments.asked]
    copies, added = work / "copies", work / "added"
    if not copies.exists():
        write_copies(copies, CHARS_A_PASSAGE * arguments.passages)
        write_added(added, ADDED)
    results: dict[str, dict[str, Any]] = {name: {} for name in engines}

    for name in ["ragyena", *(name for name in engines if name != "ragyena")]:
        built = run.step(name, "build", "real", files=real)
        if name == "ragyena":
            _write_table(work / "real-ragyena", work / "table.npy")
        if name in results:
            results[name]["embedded"] = built
            for mode in MODES if name == "ragyena" else ("",):
                asked = run.step(name, "answers", "real", mode=mode, questions=questions)
                results[name][f"answers {mode}".strip()] = asked
    queries = [row["question"] for row in questions]
    for name in engines:
        results[name]["cached"] = run.step(name, "build", "copies", files=copies, cached=True)
        for mode in MODES if name == "ragyena" else ("",):
            used = run.step(name, "use", "copies", cached=True, mode=mode, queries=queries, exact=mode in ("", "dense"))
            results[name][f"search {mode}".strip()] = used
        files = [str(path) for path in sorted(added.iterdir())]
        results[name]["add"] = run.step(name, "add", "copies", cached=True, mode="hybrid", added=files)
        if arguments.work is None:
            shutil.rmtree(work / f"copies-{name}")
    return {
        "date": date.today().isoformat(),
        "machine": f"{_processor()}, {arguments.threads} threads, Python {platform.python_version()}",
        "load": os.getloadavg()[0],
        "documents": {"embedded": _files(real), "cached": _files(copies)},
        "chars": {"embedded": _chars(real), "cached": _chars(copies)},
        "questions": len(questions),
        "engines": results,
    }


class Run:
    """Starts one process a step."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        self._work = work
        self._threads = str(arguments.threads)
        self._peers = _environment(arguments.venv)

    def step(self, engine: str, step: str, corpus: str, *, cached: bool = False, **more: Any) -> dict[str, Any]:
        """The measurements of one process; ``{"failed": ...}`` where it ended with an error."""
        index = self._work / f"{corpus}-{engine}"
        if step == "build":
            shutil.rmtree(index, ignore_errors=True)
        task = {
            **{"engine": engine, "step": step, "index": str(index), "seen": f"{index}.npy"},
            **{key: str(value) if isinstance(value, Path) else value for key, value in more.items()},
            **({"table": str(self._work / "table.npy")} if cached else {"weights": str(bundled_folder())}),
        }
        request = self._work / "task.json"
        request.write_text(json.dumps(task), encoding="utf-8")
        python = sys.executable if engine == "ragyena" else str(self._peers)
        threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(threads, self._threads), "HF_HUB_OFFLINE": "1"}
        began = time.perf_counter()
        done = subprocess.run(
            [python, str(HERE / "peer_worker.py"), str(request)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        print(f"{engine:12}{corpus:8}{step:9}{time.perf_counter() - began:7.1f} s", file=sys.stderr, flush=True)
        if done.returncode:
            problem = (done.stderr.strip().splitlines() or ["no message"])[-1]
            print(f"  failed: {problem}", file=sys.stderr)
            return {"failed": problem}
        result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return result


def _environment(folder: Path) -> Path:
    """The Python of the environment that has the libraries, made where there is none."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing {HERE / 'peers-requirements.txt'} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / "peers-requirements.txt")]
        subprocess.run(install, check=True)
    return python


def _write_table(index: Path, path: Path) -> None:
    """The vectors of an index: what ``Lookup`` makes others of."""
    with Index.open(index) as opened:
        batches = [vectors for _, vectors in opened.store.vectors(opened.manifest.dimension)]
    np.save(path, np.concatenate(batches).astype(np.float32))


def _files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*.txt"))


def _chars(folder: Path) -> int:
    return sum(len(path.read_text(encoding="utf-8")) for path in folder.rglob("*.txt"))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
