"""Measure readers of PDF on pages whose text and tables are known: ``python benchmarks/pdf_text.py [--write]``.

Text: similarity of the text of a page to the right one, in order (2 M / T of difflib: M matching characters of T).
Tables: F1 of (first cell of the row, name of the column, value) over all cells that are not empty. Hidden: texts in the
output that no viewer shows, or repeats of a running header. Speed: pages of the set a second of processor time, reading
the text (ragyena's has its tables in it).

The other readers are measured with their default settings where they are installed: pip install pypdf pdfplumber
pymupdf. PyMuPDF is under the AGPL, which rules it out as a dependency.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from pdf_samples import SAMPLES, Sample, similarity, triples, write

from ragyena.config import IndexConfig
from ragyena.documents.formats import pdf as pdf_format
from ragyena.documents.reading import read
from ragyena.types import Document

Tables = list[list[list[str]]]


@dataclass(frozen=True)
class Reader:
    """A library, and how to call it."""

    package: str
    text: Callable[[Path], str]
    tables: Callable[[Path], Tables] | None = None
    """None for a reader that finds none."""


def ragyena_text(path: Path) -> str:
    documents = (item for item in read(path, IndexConfig(ocr="off")) if isinstance(item, Document))
    return "\n".join(document.text for document in documents)


def pypdf_text(path: Path) -> str:
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(path).pages)


def pypdf_layout(path: Path) -> str:
    from pypdf import PdfReader

    return "\n".join(page.extract_text(extraction_mode="layout") for page in PdfReader(path).pages)


def pypdfium2_text(path: Path) -> str:
    from pypdfium2 import PdfDocument

    pdf = PdfDocument(path)
    return "\n".join(page.get_textpage().get_text_range() for page in pdf)


def pdfplumber_text(path: Path) -> str:
    import pdfplumber

    with pdfplumber.open(path) as pdf:
        return "\n".join(page.extract_text() or "" for page in pdf.pages)


def pdfplumber_tables(path: Path) -> Tables:
    import pdfplumber

    with pdfplumber.open(path) as pdf:
        return _filled([table for page in pdf.pages for table in page.extract_tables()])


def pymupdf_text(path: Path) -> str:
    import pymupdf

    with pymupdf.open(path) as pdf:
        return "\n".join(page.get_text() for page in pdf)


def pymupdf_tables(path: Path) -> Tables:
    import pymupdf

    with pymupdf.open(path) as pdf:
        return _filled([table.extract() for page in pdf for table in page.find_tables().tables])


READERS = {
    "ragyena": Reader("pypdfium2", ragyena_text, pdf_format.tables),
    "pypdf": Reader("pypdf", pypdf_text),
    "pypdf, layout mode": Reader("pypdf", pypdf_layout),
    "pypdfium2, plain text": Reader("pypdfium2", pypdfium2_text),
    "pdfplumber": Reader("pdfplumber", pdfplumber_text, pdfplumber_tables),
    "PyMuPDF": Reader("pymupdf", pymupdf_text, pymupdf_tables),
}


def _filled(tables: Sequence[Sequence[Sequence[str | None]]]) -> Tables:
    return [[[cell or "" for cell in row] for row in table] for table in tables]


def score(sample: Sample, reader: Reader, path: Path) -> dict[str, float]:
    """``text`` or ``tables``, and ``hidden`` where the sample has texts that are not to be there."""
    scores: dict[str, float] = {}
    text = reader.text(path)
    if sample.text:
        scores["text"] = similarity(text, "\n".join(sample.text))
    if sample.tables:
        right = sum((triples(rows, sample.header_rows) for rows in sample.tables), Counter())
        tables = reader.tables(path) if reader.tables is not None else []
        found = sum((triples(rows, None) for rows in tables), Counter())
        scores["tables"] = 2 * (right & found).total() / max(right.total() + found.total(), 1)
    if sample.absent:
        scores["hidden"] = sum(absent in " ".join(text.split()) for absent in sample.absent)
    return scores


def measure(reader: Reader, paths: dict[str, Path], rounds: int) -> dict[str, object] | None:
    """The scores and the speed of a reader, None where it is not installed."""
    try:
        package_version = version(reader.package)
        reader.text(paths[SAMPLES[0].name])
    except (PackageNotFoundError, ImportError):
        return None
    by_sample = {sample.name: score(sample, reader, paths[sample.name]) for sample in SAMPLES}
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        for path in paths.values():
            reader.text(path)
        seconds.append(time.process_time() - start)

    def mean(key: str) -> float:
        return statistics.mean(scores[key] for scores in by_sample.values() if key in scores)

    return {
        "version": f"{reader.package} {package_version}",
        "text": round(mean("text"), 4),
        "tables": round(mean("tables"), 4) if reader.tables is not None else None,
        "hidden": int(sum(scores.get("hidden", 0) for scores in by_sample.values())),
        "pages_per_second": round(sum(sample.pages for sample in SAMPLES) / statistics.median(seconds), 1),
        "samples": {name: {k: round(v, 3) for k, v in scores.items()} for name, scores in by_sample.items()},
    }


def speed(reader: Reader, files: Sequence[Path], rounds: int) -> float:
    """Pages of the files a second of processor time."""
    from pypdfium2 import PdfDocument

    pages = sum(len(PdfDocument(path)) for path in files)
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        for path in files:
            reader.text(path)
        seconds.append(time.process_time() - start)
    return round(pages / statistics.median(seconds), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/DATE-pdf-text.json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", action="store_true", help="print the scores of every sample")
    parser.add_argument("--files", nargs="+", type=Path, default=[], help="measure the speed on these files, too")
    parser.add_argument("--reader", action="append", choices=list(READERS), help="measure this one alone")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        paths = {sample.name: write(sample, Path(folder)) for sample in SAMPLES}
        results = {name: measure(READERS[name], paths, arguments.rounds) for name in arguments.reader or READERS}
    for name, result in results.items():
        if result is not None and arguments.files:
            result["pages_per_second_of_files"] = speed(READERS[name], arguments.files, arguments.rounds)
    print(f"{'reader':24}{'text':>8}{'tables':>8}{'hidden':>8}{'pages/s':>9}")
    for name, result in results.items():
        if result is None:
            print(f"{name:24} not installed")
            continue
        print(
            f"{name:24}{result['text']:8.3f}{result['tables'] if result['tables'] is not None else 'none':>8}"
            f"{result['hidden']:8d}{result['pages_per_second']:9.0f}"
            + (f"{result['pages_per_second_of_files']:9.0f} of the files" if arguments.files else "")
        )
        if arguments.samples:
            for sample, scores in result["samples"].items():
                print(f"    {sample:26}", *(f"{key} {value:.3f}" for key, value in scores.items()))
    if arguments.write:
        record = {
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, one thread",
            "pages": sum(sample.pages for sample in SAMPLES),
            "readers": {name: result for name, result in results.items() if result is not None},
        }
        path = Path(__file__).parent / "results" / f"{record['date']}-pdf-text.json"
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written to {path}")


if __name__ == "__main__":
    main()
