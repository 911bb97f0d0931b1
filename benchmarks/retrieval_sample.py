"""Make the data of the recipe `retrieval` of `ragyena eval`: dev questions of SQuAD and on documents as people keep
them, and the texts they are asked on among others, all or a sample.

    python benchmarks/retrieval_sample.py --data-root DATA --out FOLDER [--others N]
    ragyena eval retrieval --data-root FOLDER
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILES = {
    "passages": ("qa/passages.jsonl.xz", "prose/wikipedia.jsonl.xz", "real/documents.jsonl.xz"),
    "questions": ("qa/questions.jsonl.xz", "real/questions.jsonl.xz"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--others", type=int, default=0, help="texts beside those of the dev questions; 0 for all")
    parser.add_argument("--split", default="dev")
    options = parser.parse_args()
    texts = list(_passages(options.data_root))
    questions = [one for one in _questions(options.data_root) if one["split"] == options.split]
    asked = {one["passage_id"] for one in questions}
    others = [one for one in texts if one["id"] not in asked]
    if options.others:
        others = random.Random(0).sample(others, min(options.others, len(others)))
    texts = [*(one for one in texts if one["id"] in asked), *others]
    options.out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("passages", texts), ("questions", questions)):
        with (options.out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        print(f"{len(rows):,} {name}")


def _passages(root: Path) -> Iterator[dict[str, Any]]:
    for name in FILES["passages"]:
        for row in _rows(root / name):
            text = row.get("context") or row["text"]
            yield {"id": row["id"], "source": row["source"], "title": row["title"], "context": text}


def _questions(root: Path) -> Iterator[dict[str, Any]]:
    """Those of SQuAD whose answer has a place, and those on documents whose answer is one span."""
    kept = ("id", "split", "question", "answers")
    for row in _rows(root / FILES["questions"][0]):
        if row["source"].startswith("squad-") and row["answer_start"] >= 0:
            yield {key: row[key] for key in (*kept, "source", "passage_id", "answer_start")}
    for row in _rows(root / FILES["questions"][1]):
        if row["answer_type"] in ("span", "compare"):
            place = {"passage_id": row["document_id"], "answer_start": row["spans"][0][0]}
            yield {**{key: row[key] for key in kept}, "source": f"real {row['source']}", **place}


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    main()
