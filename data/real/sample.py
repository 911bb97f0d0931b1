"""Draw the sample that `ragyena train tune` measures readers on, and trains on beside a person's own questions.

    python data/real/sample.py [OUT]        by default ragyena/assets/tune/sample.jsonl.xz

100 dev questions on the dev documents and 100 training questions on 30 training documents, with the passages that
retrieval finds for each among all of these. `ragyena/tune/sample.py` has the form.
"""

from __future__ import annotations

import json
import lzma
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ragyena.data.document_questions import DocumentQuestion, load_documents, read_documents
from ragyena.index.index import Index
from ragyena.types import Document, Passage

DATA = Path(__file__).parent
OUT = DATA.parent.parent / "ragyena" / "assets" / "tune" / "sample.jsonl.xz"
QUESTIONS, TRAINING_DOCUMENTS, HITS, SEED = 100, 30, 8, 0


def main(out: Path) -> None:
    chooser = random.Random(SEED)
    chosen: list[tuple[str, DocumentQuestion]] = []
    documents: dict[str, Document] = {}
    for split in ("train", "dev"):
        given = read_documents([str(DATA / "questions.jsonl.xz")], [str(DATA / "documents.jsonl.xz")], split=split)
        loaded = load_documents(given)
        keys = sorted({question.document_id for question in loaded.questions})
        if split == "train":
            keys = sorted(chooser.sample(keys, TRAINING_DOCUMENTS))
        documents |= {key: loaded.documents[key] for key in keys}
        of_these = [question for question in loaded.questions if question.document_id in keys]
        chosen += [(split, question) for question in chooser.sample(of_these, QUESTIONS)]
    with TemporaryDirectory() as folder:
        with Index.open(Path(folder) / "index", create=True, lazy=True) as index:
            index.add([replace(document, source=key) for key, document in documents.items()])
        with Index.open(Path(folder) / "index") as index:
            rows = list(_rows(index, chosen, sorted(documents)))
    out.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(out, "wt", encoding="utf-8", preset=9) as file:
        file.writelines(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    print(f"{out}: {len(rows)} rows, {out.stat().st_size:,} bytes")


def _rows(index: Index, chosen: list[tuple[str, DocumentQuestion]], documents: list[str]) -> Iterator[dict[str, Any]]:
    passages: dict[int, Passage] = {}
    questions = []
    for split, row in chosen:
        hits = index.search(row.question, k=HITS)
        own = _of_document(index, row.document_id)
        place = next(iter(row.spans or row.evidence or row.near), None)
        gold = None
        if row.answers and place is not None:
            gold = next((p for p in own if p.start <= place[0] and place[1] <= p.end), None)
            if gold is None:
                continue
        some = {hit.passage.passage_id: hit.passage for hit in hits} | ({gold.passage_id: gold} if gold else {})
        passages |= some
        spans = row.spans if row.answer_type not in ("yes", "no") else row.evidence[:1]
        questions.append(
            {
                "question": row.question,
                "answer_type": row.answer_type,
                "answers": row.answers,
                "gold": gold.passage_id if gold else None,
                "spans": [span for span in spans if gold and gold.start <= span[0] and span[1] <= gold.end],
                "hits": [[hit.passage.passage_id, round(hit.score, 6)] for hit in hits],
                "split": split,
            }
        )
    for number, passage in sorted(passages.items()):
        yield {
            "passage": number,
            "document": documents.index(passage.source),
            "title": passage.title,
            "headings": passage.heading_path,
            "start": passage.start,
            "text": passage.text,
        }
    yield from questions


def _of_document(index: Index, source: str) -> list[Passage]:
    stored = index.store.source(source)
    assert stored is not None
    numbers = [index.store.document_id(digest) for digest in index.store.origins(stored.source_id).values()]
    return [passage for number in numbers if number is not None for passage in index.store.passages_of(number)]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
