"""Check drafts of questions on documents, and pack them as training and evaluation read them.

    python data/real/questions.py show FILE            the text of a document as ragyena loads it, with line numbers
    python data/real/questions.py check FOLDER         the drafts of a folder: faults, and the mix of what is there
    python data/real/questions.py pack FOLDER... OUT   documents.jsonl.xz, questions.jsonl.xz and files.tar.xz in OUT

A folder holds ``files/`` (documents in their natural formats) and ``questions.jsonl``. PROTOCOL.md has the form of a
draft and the rules.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.documents.sentences import sentence_span
from ragyena.eval.metrics import normalize
from ragyena.types import Document

TYPES = ("span", "list", "yes", "no", "compare", "none")
KINDS = ("everyday", "law", "manuals", "office", "policies", "science", "software", "tables", "web")
DEV = 0.12  # of the documents, by a hash of their collection
MOST_WORDS = 45  # of an answer
LABEL = re.compile(r"[^.:;]{1,40}: ")  # how a line of a form begins
ROW = re.compile(r"[^:;\n]{1,80}: [^\n]*; [^:;\n]{1,80}: |[^\n]* \| ")  # how a row of a table begins


class Fault(ValueError):
    """A draft that breaks a rule."""


def documents_of(path: Path) -> list[Document]:
    return [item for item in load(path, IndexConfig(exclude=())) if isinstance(item, Document)]


def whole_text(path: Path) -> tuple[str, str]:
    """Title and text of a file. Rows that are documents of their own are joined by blank lines."""
    documents = documents_of(path)
    return documents[0].title, "\n\n".join(document.text for document in documents)


def locate(text: str, where: Any) -> tuple[int, int]:
    """The place of ``"quote"``, ``{"t": "quote", "n": 2}`` (the second) or ``{"t": "quote", "after": "anchor"}``."""
    spec = {"t": where} if isinstance(where, str) else where
    quote, begin = spec["t"], 0
    if "after" in spec:
        anchor = text.find(spec["after"])
        if anchor < 0:
            raise Fault(f"the anchor {spec['after']!r} is not in the text")
        begin = anchor + len(spec["after"])
    places = [match.start() for match in re.finditer(re.escape(quote), text[begin:])]
    if not places:
        raise Fault(f"{quote!r} is not in the text" + (" after its anchor" if begin else ""))
    if "n" not in spec and "after" not in spec and len(places) > 1:
        raise Fault(f'{quote!r} is in the text {len(places)} times: give "n" or "after"')
    if spec.get("n", 1) > len(places):
        raise Fault(f"{quote!r} is in the text {len(places)} times only")
    start = begin + places[spec.get("n", 1) - 1]
    return start, start + len(quote)


def row_of(draft: dict[str, Any], text: str) -> dict[str, Any]:
    """The row of a draft, with offsets. Raises Fault."""
    kind, question, answers = draft["type"], draft["q"].strip(), list(draft.get("a", []))
    if kind not in TYPES:
        raise Fault(f"type {kind!r} is none of {', '.join(TYPES)}")
    if not 2 <= len(question.split()) <= 40:
        raise Fault(f"a question of {len(question.split())} words")
    spans = [locate(text, s) for s in draft.get("spans", [])]
    evidence = [locate(text, s) for s in draft.get("ev", [])]
    near = [locate(text, s) for s in draft.get("near", [])]
    if kind in ("yes", "no"):
        answers = [kind]
        if not evidence:
            raise Fault("yes/no needs ev: the deciding sentence")
    elif kind == "none":
        if answers or spans or not near:
            raise Fault("none has no a and no spans, and needs near: what a careless reader would answer")
    else:
        if not spans:
            spans = [locate(text, a) for a in (answers if kind == "list" else answers[:1])]
        found = [text[start:end] for start, end in spans]
        if kind == "list":
            if len(spans) < 2:
                raise Fault("a list has two items or more")
            answers = found
        elif not answers:
            answers = found[:1]
        elif normalize(answers[0]) != normalize(found[0]):
            raise Fault(f"a[0] {answers[0]!r} is not its span {found[0]!r}")
        if kind == "compare" and len(evidence) < 2:
            raise Fault("compare needs two places in ev")
        if max(len(answer.split()) for answer in answers) > MOST_WORDS:
            raise Fault("an answer of over 45 words")
        if kind == "span" and normalize(answers[0]) in normalize(question):
            raise Fault("the question holds its answer")
    if not evidence:
        evidence = [_deciding(text, span) for span in spans]
    return {
        "question": question, "answers": answers, "answer_type": kind, "spans": spans, "evidence": evidence,
        "near": near,
    }  # fmt: skip


def _deciding(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """The row of a table, the line of a form, or the sentence, that holds a span."""
    start, end = sentence_span(text, *span)
    line = text.rfind("\n", 0, span[0]) + 1, (text + "\n").find("\n", span[1])
    written = text[slice(*line)]
    if ROW.match(written):
        return line  # whole, though a cell of it may hold sentences
    return (max(start, line[0]), min(end, line[1])) if LABEL.match(written) else (start, end)


def overlap(row: dict[str, Any], text: str) -> float:
    """The share of the question's longer words that stand in its evidence."""
    words = set(re.findall(r"[a-z]{4,}", row["question"].lower()))
    held = set(re.findall(r"[a-z]{4,}", " ".join(text[a:b] for a, b in (*row["evidence"], *row["near"])).lower()))
    return len(words & held) / max(len(words), 1)


def read(folder: Path) -> tuple[dict[str, tuple[str, str]], list[dict[str, Any]], list[str]]:
    """Texts by file name, rows and faults."""
    texts: dict[str, tuple[str, str]] = {}
    faults: list[str] = []
    for path in sorted((folder / "files").rglob("*")):
        if path.is_file():
            try:
                texts[str(path.relative_to(folder / "files"))] = whole_text(path)
            except Exception as error:
                faults.append(f"{path.name}: {error}")
    rows, seen = [], set()
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            draft = json.loads(line)
            if draft["file"] not in texts:
                raise Fault(f"no file {draft['file']!r} that could be loaded")
            if draft.get("kind") not in KINDS:
                raise Fault(f"kind {draft.get('kind')!r} is none of {', '.join(KINDS)}")
            text = texts[draft["file"]][1]
            row = row_of(draft, text)
            key = (draft["file"], normalize(row["question"]))
            if key in seen:
                raise Fault("the question is there twice")
            seen.add(key)
            rows.append({**row, "file": draft["file"], "source": draft["kind"], "overlap": overlap(row, text)})
        except (Fault, KeyError, TypeError, ValueError) as error:
            faults.append(f"questions.jsonl, line {number}: {type(error).__name__}: {error}")
    return texts, rows, faults


def check(folder: Path) -> int:
    texts, rows, faults = read(folder)
    for fault in faults:
        print(fault)
    types = Counter(row["answer_type"] for row in rows)
    print(
        f"{len(texts)} files, {sum(len(text) for _, text in texts.values()):,} chars; "
        f"{len(rows)} questions, {len(faults)} faults"
    )
    print("types:", {name: f"{n} ({n / max(len(rows), 1):.0%})" for name, n in types.most_common()})
    print("kinds:", dict(Counter(row["source"] for row in rows)))
    print(
        f"words of the question in its evidence: {sum(r['overlap'] for r in rows) / max(len(rows), 1):.0%} (aim: < 35%)"
    )
    per = Counter(row["file"] for row in rows)
    print("files without questions:", sorted(set(texts) - set(per)) or "none")
    return 1 if faults else 0


def pack(folders: list[Path], out: Path) -> None:
    documents, questions = [], []
    with tarfile.open(out / "files.tar.xz", "w:xz") as archive:
        for folder in folders:
            texts, rows, faults = read(folder)
            for fault in faults:
                print("left out:", folder.name, fault)
            used = {row["file"] for row in rows}
            for name, (title, text) in texts.items():
                if name not in used:
                    continue
                key = f"{folder.name}/{name}"
                # A collection of look-alike documents (a folder of files, whatever it holds) is in one split.
                group = f"{folder.name}/{Path(name).parts[0]}"
                digest = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4]) / 2**32
                split = "dev" if digest < DEV else "train"
                kind = next(row["source"] for row in rows if row["file"] == name)
                documents.append(
                    {"id": key, "source": kind, "title": title, "licence": "CC0-1.0", "origin": "invented",
                     "split": split, "text": text}
                )  # fmt: skip
                archive.add(folder / "files" / name, arcname=key, filter=_plain)
                for number, row in enumerate(r for r in rows if r["file"] == name):
                    kept = {k: v for k, v in row.items() if k not in ("file", "overlap", "source")}
                    questions.append(
                        {"id": f"{key}#{number + 1}", "source": kind, "document_id": key, **kept, "split": split}
                    )
    for name, some in (("documents", documents), ("questions", questions)):
        with lzma.open(out / f"{name}.jsonl.xz", "wt", encoding="utf-8", preset=9) as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in some)
    print(f"{len(documents)} documents, {len(questions)} questions", Counter(q["split"] for q in questions))


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


def main() -> int:
    match sys.argv[1:]:
        case ["show", name]:
            title, text = whole_text(Path(name))
            print(f"title: {title}")
            for number, line in enumerate(text.split("\n"), 1):
                print(f"{number:4} {line}")
        case ["check", name]:
            return check(Path(name))
        case ["pack", *names, out] if names:
            pack([Path(name) for name in names], Path(out))
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
