"""Source code and settings files, kept as they stand and titled by their name. A notebook yields its cells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.text_builder import TextBuilder
from ragyena.types import Document

SUFFIXES = (
    *(".py", ".pyi", ".ipynb", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue", ".svelte"),
    *(".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".cu", ".cuh", ".m", ".mm", ".swift"),
    *(".rs", ".go", ".java", ".kt", ".kts", ".scala", ".groovy", ".clj", ".cljs", ".cs", ".fs", ".vb"),
    *(".rb", ".php", ".pl", ".pm", ".lua", ".r", ".jl", ".hs", ".ml", ".mli", ".ex", ".exs", ".erl", ".elm"),
    *(".dart", ".zig", ".nim", ".lisp", ".el", ".scm", ".f90", ".f", ".pas", ".asm", ".s", ".v", ".sv", ".vhd"),
    *(".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".sql", ".proto", ".graphql", ".tf", ".cmake", ".mk"),
    *(".css", ".scss", ".less", ".xml", ".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".gradle"),
    *("makefile", "dockerfile"),
)
WAY_OUT: dict[str, str] = {}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    text = read_text(path)
    document = _notebook(path, text) if path.suffix.lower() == ".ipynb" else Document(source=str(path), text=text)
    yield replace(document, title=path.name)


def _notebook(path: Path, text: str) -> Document:
    """The sources of a notebook's cells, without outputs and metadata."""
    builder = TextBuilder()
    for cell in json.loads(text)["cells"]:
        source = cell.get("source", "")
        builder.block("".join(source) if isinstance(source, list) else str(source))
    return builder.document(path)
