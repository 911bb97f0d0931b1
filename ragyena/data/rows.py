"""Rows of data files and of Hugging Face ``datasets``, validated one by one.

A *name* is a file, a folder of files, or a dataset on the Hugging Face hub (``owner/name`` or ``owner/name:split``).
Files are JSON lines, SQuAD JSON (versions 1.1 and 2) or a JSON list of rows, each also as ``.xz`` or ``.gz``; a folder
may also be a dataset saved by ``datasets``.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from ragyena.errors import DataError, MissingDependencyError, PathNotFoundError
from ragyena.files import expanded, open_file
from ragyena.parsing import MalformedError, parse_json, parse_json_lines

__all__ = ["Row", "valid_rows"]

_KINDS = {".jsonl": "lines", ".ndjson": "lines", ".json": "json"}
_COMPRESSED: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}
LARGEST_FILE = 1_000_000_000_000
"""Bytes of a file; it is read row by row."""
LARGEST_JSON = 4_000_000_000
"""Bytes of a file that is read whole, unpacked."""
_Record = TypeVar("_Record", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Row:
    """The values of a row, and the defaults that its place gives."""

    values: Any
    where: str
    """``file, row N``: names the row in a problem."""
    id: str
    """An id for a row that has none."""
    source: str
    """A source for a row that names none: the name of the file or dataset."""
    split: str = ""
    fault: str = "not a JSON object"
    """The problem of a row whose values are no mapping."""


def valid_rows(names: Sequence[str], kind: type[_Record], problems: list[str]) -> Iterator[tuple[Row, _Record]]:
    """Yield the rows of ``names`` that fit the model ``kind``; the others are described in ``problems``.

    Raises PathNotFoundError for a missing file, DataError for one that cannot be read at all, MissingDependencyError
    where ``datasets`` is needed and not installed.
    """
    for name in names:
        for row in _rows(name):
            if not isinstance(row.values, Mapping):
                problems.append(f"{row.where}: {row.fault}")
                continue
            try:
                record = kind.model_validate(row.values)
            except ValidationError as error:
                reasons = (f"'{'.'.join(map(str, e['loc'])) or 'row'}': {e['msg'].lower()}" for e in error.errors())
                problems.append(f"{row.where}: {'; '.join(reasons)}")
            else:
                yield row, record


def _rows(name: str) -> Iterator[Row]:
    path = expanded(name)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and _kind(file) is not None)
        if files and not _is_saved_dataset(path):
            for file in files:
                yield from _file_rows(file)
        else:
            yield from _dataset_rows(name, path)
    elif path.exists():
        yield from _file_rows(path)
    elif _kind(path) is not None or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise PathNotFoundError(f"there is no data file {name}", hint="check the path")
    else:
        yield from _dataset_rows(name, None)


def _kind(path: Path) -> str | None:
    """``lines``, ``json``, or None for a file of another kind."""
    inner = path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path
    return _KINDS.get(inner.suffix.lower())


def _file_rows(path: Path) -> Iterator[Row]:
    kind = _kind(path)
    if kind is None:
        raise DataError(f"{path} is not a data file", hint="use .jsonl or .json, also with .xz or .gz")
    stem = path.name.split(".")[0]
    try:
        with _opened(path) as file:
            if kind == "lines":
                for number, values in parse_json_lines(file):
                    fault = values.problem if isinstance(values, MalformedError) else "not a JSON object"
                    yield Row(values, f"{path}, line {number}", f"{stem}-{number}", stem, fault=fault)
                return
            text = file.read(LARGEST_JSON + 1)
        if len(text) > LARGEST_JSON:
            raise MalformedError(f"more than {LARGEST_JSON / 1e9:g} GB of JSON")
        content = parse_json(text)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, MalformedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path} cannot be read: {reason}", hint="the file is damaged or not what its name says"
        ) from error
    for number, values in enumerate(content if isinstance(content, list) else _squad_rows(content, path), 1):
        yield Row(values, f"{path}, row {number}", f"{stem}-{number}", stem)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with open_file(path, LARGEST_FILE) as file:
        unpack = _COMPRESSED.get(path.suffix.lower())
        if unpack is None:
            yield file
        else:
            with unpack(file) as unpacked:
                yield unpacked


def _squad_rows(content: Any, path: Path) -> Iterator[dict[str, Any]]:
    """SQuAD's articles and paragraphs, flattened to a row a question."""
    try:
        for article in content["data"]:
            for paragraph in article["paragraphs"]:
                for entry in paragraph["qas"]:
                    yield {**entry, "title": article.get("title", ""), "context": paragraph["context"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not in SQuAD's format ({type(error).__name__}: {error})",
            hint="it has data > paragraphs > context, qas > id, question, answers; or is a list of rows",
        ) from error


def _is_saved_dataset(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("dataset_info.json", "dataset_dict.json"))


def _dataset_rows(name: str, folder: Path | None) -> Iterator[Row]:
    """Rows of a dataset of the hub, or of a folder that ``datasets`` can read; its ``validation`` split is ``dev``."""
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError(
            f"'{name}' is not a file, and reading Hugging Face datasets needs the package datasets",
            hint="pip install 'ragyena[train]', or give the path of a .jsonl or .json file",
        ) from error
    place, _, only = name.partition(":") if folder is None else (name, "", "")
    try:
        if folder is not None and _is_saved_dataset(folder):
            loaded = datasets.load_from_disk(str(folder))
        else:
            loaded = datasets.load_dataset(place, split=only or None)
    except Exception as error:  # datasets raises of many kinds, of its own and of its network libraries
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"the dataset '{name}' cannot be loaded: {first}",
            hint="a name is a file, a folder, or owner/name[:split] on the Hugging Face hub",
        ) from error
    parts = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {str(loaded.split or ""): loaded}
    source = place.rstrip("/").split("/")[-1]
    for part, rows in parts.items():
        split = "dev" if part == "validation" else part
        for number, values in enumerate(rows, 1):
            yield Row(values, f"{name}, {part or 'all'} row {number}", f"{source}-{part}-{number}", source, split)
