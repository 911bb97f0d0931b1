"""Fuzz targets: every reader of files made by others, with valid files to begin from.

A target is right when it returns or raises one of ragyena's own errors (and the few that a reader documents); anything
else is a finding. Inputs are bytes; a target that needs a file writes them to one.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from document_samples import SAMPLES

from ragyena.config import IndexConfig, PipelineConfig, parse
from ragyena.documents.formats import all_formats
from ragyena.documents.ignore import IgnoreRules
from ragyena.documents.passages import split
from ragyena.documents.reading import read
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import RagyenaError
from ragyena.parsing import MalformedError, parse_json, parse_json_lines, parse_yaml
from ragyena.types import Document, Heading

__all__ = ["Target", "targets"]

BUDGET = IndexConfig(max_document_chars=2_000_000, max_document_cells=200_000, max_document_pages=500)
TEXT_SEEDS = (
    b"The lamp of Oldtown was lit in 1698. Its tower is 49 m tall.\n\n- granite\n- oak\n",
    "Größe: 12 µm – “ein Wort”\r\n東京は日本の首都である。人口は多い。\n".encode(),
    "Une phrase en fran\xe7ais, tr\xe8s courte.".encode("cp1252"),
    "wide".encode("utf-16"),
)
MORE_SEEDS: dict[str, tuple[bytes, ...]] = {
    ".md": (
        b"---\ntitle: A\ntags: [b, c]\ndate: 2024-02-30\n---\n# H\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx\n```\n",
    ),
    ".csv": (b'title line\n\nname;price;"a ""b"" c"\nx;1,5;"two\nlines"\n', b"a,b\n1,2,3\n"),
    ".tsv": (b"a\tb\n1\t2\n",),
    ".jsonl": (b'{"text": null, "body": "b", "n": {"m": [1, 2.5e3]}}\n"only text"\n{bad\n',),
    ".html": (
        b"<table><tr><th colspan=2 rowspan=3>a<td>b</table><dl><dt>t<dd>d</dl><ol start=5><li>x</ol><img alt=y><pre>z",
        b'<meta charset="punycode"><p>abc-ihqwcrb4cv8a8dqg056pqjye',
    ),
    ".rst": (
        b"Title\n=====\n\n.. list-table::\n\n   * - a\n     - b\n\n.. code:: py\n\n   x = 1\n\n==  ==\na   b\n==  ==\n",
    ),
    ".tex": (
        rb"\documentclass{a}\begin{document}\section{T}\begin{tabular}{l|r}a&b\\\end{tabular}$x$\cite{k}\end{document}",
    ),
    ".xml": (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a x="1"><b>t &b;</b><![CDATA[u]]></a>',),
    ".srt": (b"1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i>\n\n2\n00:00:03,000 --> 00:00:04,000\nyou\n",),
    ".rtf": (rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 A;}}\b T\b0\par \'e9\u8364?\trowd\cellx1000 a\cell b\cell\row}",),
    ".pdf": (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj "
        b"4 0 obj<</Length 33>>stream\nBT /F 9 Tf 9 9 Td (Hello) Tj ET   \nendstream endobj "
        b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj trailer<</Root 1 0 R>>",
    ),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A reader, named, and inputs from which to begin."""

    name: str
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def targets() -> list[Target]:
    """Every target: the formats by their suffixes that have seeds, or the first of them, then other readers."""
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    listed = []
    for name, module in all_formats().items():
        suffixes = {s for s in module.SUFFIXES if s in SAMPLES or s in MORE_SEEDS} or {module.SUFFIXES[0]}
        for suffix in sorted(suffixes):
            listed.append(Target(f"{name}{suffix}", _loader(folder / f"input{suffix}"), _seeds(folder, suffix)))
    return [*listed, *_readers(folder)]


def _loader(path: Path) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        path.write_bytes(data)
        with suppress(RagyenaError):
            for _ in read(path, BUDGET):
                pass

    return run


def _seeds(folder: Path, suffix: str) -> tuple[bytes, ...]:
    made = []
    if suffix in SAMPLES:
        sample = folder / f"sample{suffix}"
        SAMPLES[suffix](sample)
        made.append(sample.read_bytes())
    made += MORE_SEEDS.get(suffix, ())
    return tuple(made or TEXT_SEEDS)


def _readers(folder: Path) -> Sequence[Target]:
    index = folder / "index"
    checkpoint = folder / "checkpoint"
    for each in (index, checkpoint):
        each.mkdir()

    def ignore(data: bytes) -> None:
        rules, _, names = data.decode("utf-8", "replace").rpartition("\0")
        matcher = IgnoreRules(rules.splitlines(), "ignore")
        for name in ("a/b.txt", "b/", names[:300]):
            matcher.verdict(name)

    def passages(data: bytes) -> None:
        text = data.decode("utf-8", "replace").replace("\r", "\n")
        starts = [i for i, char in enumerate(text) if char == "#"][:50]
        headings = tuple(Heading(start, 1 + start % 6, "h") for start in starts)
        cut = split(Document("x", text, headings=headings), _tokenizer(), 16)
        assert all(text[p.start : p.end] == p.text and p.text.strip() == p.text for p in cut)
        assert sum(len("".join(p.text.split())) for p in cut) == len("".join(text.split()))

    def json_text(data: bytes) -> None:
        with suppress(MalformedError):
            json.dumps(parse_json(data)).encode()

    def yaml_text(data: bytes) -> None:
        with suppress(MalformedError):
            json.dumps(parse_yaml(data)).encode()

    def settings(data: bytes) -> None:
        with suppress(MalformedError, RagyenaError):
            values = parse_yaml(data)
            if isinstance(values, dict):
                parse(PipelineConfig, values, source="settings")

    def question_rows(data: bytes) -> None:
        from ragyena.cli.ask import _row

        path = folder / "questions.jsonl"
        path.write_bytes(data)
        with path.open("rb") as file, suppress(MalformedError):
            for number, values in parse_json_lines(file):
                _row(number, values)

    def qa(suffix: str) -> Callable[[bytes], None]:
        from ragyena.data.qa_files import read_questions

        path = folder / f"qa{suffix}"

        def run(data: bytes) -> None:
            path.write_bytes(data)
            with suppress(RagyenaError):
                read_questions([str(path)])

        return run

    def manifest(data: bytes) -> None:
        from ragyena.index.manifest import Manifest

        (index / "manifest.json").write_bytes(data)
        with suppress(RagyenaError):
            Manifest.read(index)

    def model_config(data: bytes) -> None:
        from ragyena.model.checkpoint import load_config

        (checkpoint / "config.json").write_bytes(data)
        with suppress(RagyenaError):
            load_config(checkpoint)

    def tokenizer(data: bytes) -> None:
        with suppress(RagyenaError):
            Tokenizer(data, "tokenizer.json").count_batch(["a lamp"])

    row = b'{"id": 1, "question": "Who?", "answers": ["Ann"], "context": "Ann did.", "answer_start": 0}\n'
    config = _asset("config.json")
    return [
        Target(
            "gitignore", ignore, (b"*.log\n!keep.log\n/build/\n**/x/*.t?t\n[a-z]b\n# c\n\0a/b", b"*a*a*b\\\n!\n\0aaa")
        ),
        Target("passages", passages, (*TEXT_SEEDS[:2], b"# A\n\nb. c! d? e\n\n* f\n\t g\n")),
        Target("json", json_text, (b'{"a": [1, -2.5e10, "\\ud83d\\ude00", null, true]}', b"[[[[1]]]]")),
        Target(
            "yaml", yaml_text, (b"a: 1\nb: [x, 2024-01-01]\nc: &d {e: f}\ng: *d\nh: |\n  text\n", b"- !!str 1\n- ? a\n")
        ),
        Target(
            "settings",
            settings,
            (b"packer:\n  context_tokens: 4096\nindex: {max_file_mb: 10}\nreader.threshold: 0.2\n",),
        ),
        Target("question-rows", question_rows, (b'{"id": "a", "question": "Who?"}\n\n{"question": 3}\n',)),
        Target("qa-jsonl", qa(".jsonl"), (row,)),
        Target("qa-json", qa(".json"), (b"[" + row + b"]", b'{"data": [{"title": "t", "paragraphs": []}]}')),
        Target("manifest", manifest, (_manifest(),)),
        Target("checkpoint-config", model_config, (config,)),
        Target("tokenizer", tokenizer, (_small_tokenizer(),)),
    ]


def _asset(name: str) -> bytes:
    from ragyena import recipes

    return (recipes.asset("reader") / name).read_bytes()


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer(_asset("tokenizer.json"), "tokenizer.json")


def _small_tokenizer() -> bytes:
    definition = json.loads(_asset("tokenizer.json"))
    vocabulary = definition["model"]["vocab"]
    kept = {word: number for word, number in vocabulary.items() if word.startswith("[") or len(word) == 1}
    definition["model"]["vocab"] = {word: number for number, word in enumerate(kept)}
    for token in definition["added_tokens"]:
        token["id"] = definition["model"]["vocab"][token["content"]]
    return json.dumps(definition).encode()


def _manifest() -> bytes:
    from ragyena.index.manifest import FORMAT_VERSION

    return json.dumps(
        {
            "format_version": FORMAT_VERSION,
            "generation": 3,
            "embedder": "all-MiniLM-L6-v2",
            "dimension": 384,
            "config": IndexConfig().model_dump(mode="json"),
            "created": "2024-01-01T00:00:00+00:00",
            "updated": "2024-01-01T00:00:00+00:00",
            "vectors": None,
        }
    ).encode()
