"""Many texts cut to passages and token ids in several processes, a part at a time.

Every part is a file, named by what it was made of, until the packed data are whole: a stopped preparation goes on where
it was. The result does not depend on the number of processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Encoding, Tokenizer
from ragyena.errors import DataError
from ragyena.types import Document, Passage

__all__ = ["CutText", "Cutter"]

_PART_TEXTS = 256
_FORMAT = "1"  # to be raised when the same texts are cut otherwise
_OF_DOCUMENT = ("text", "title", "source")  # fields of a passage that its document gives


@dataclass(frozen=True, slots=True)
class CutText:
    """The passages of a text, and the encoding of each."""

    passages: list[Passage]
    encodings: list[Encoding]


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts plain documents (a text and a title), in order."""

    tokenizer: Tokenizer
    passage_tokens: int
    folder: Path
    """The folder in which the parts are kept."""
    processes: int = 1

    def cut(self, texts: Iterable[Document]) -> Iterator[CutText]:
        """Each text's passages. Reads ahead by a few parts a process.

        Raises DataError where a process is ended from outside.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        pool: ProcessPoolExecutor | None = None
        if self.processes > 1:
            pool = ProcessPoolExecutor(self.processes, get_context("spawn"), _begin, (self.tokenizer.definition,))
        waiting: deque[tuple[list[Document], Future[None] | None]] = deque()
        try:
            remaining = iter(texts)
            while part := list(islice(remaining, _PART_TEXTS)):
                path = self._path(part)
                future = pool.submit(_write, part, self.passage_tokens, path) if pool and not path.is_file() else None
                waiting.append((part, future))
                if len(waiting) > 2 * self.processes:
                    yield from self._finished(*waiting.popleft())
            while waiting:
                yield from self._finished(*waiting.popleft())
        except BrokenProcessPool as error:
            raise DataError(
                "a process that cuts texts was ended from outside",
                hint="the same command goes on where it was; with fewer processes it needs less memory",
            ) from error
        finally:
            if pool is not None:
                pool.shutdown(cancel_futures=True)

    def _path(self, part: Sequence[Document]) -> Path:
        made_of = [_FORMAT, self.tokenizer.fingerprint, self.passage_tokens]
        texts = [[document.source, document.title, document.text] for document in part]
        digest = hashlib.sha256(json.dumps([made_of, texts]).encode()).hexdigest()
        return self.folder / f"{digest[:24]}.npz"

    def _finished(self, part: list[Document], future: Future[None] | None) -> list[CutText]:
        if future is not None:
            future.result()
        path = self._path(part)
        if path.is_file():
            try:
                return _read(path, part)
            except (OSError, ValueError, KeyError, TypeError, BadZipFile):
                path.unlink()  # damaged, as by a full disk: it is made again
        _write_with(self.tokenizer, part, self.passage_tokens, path)
        return _read(path, part)


_own: list[Tokenizer] = []  # a process's tokenizer


def _begin(definition: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core a process
    _own.append(Tokenizer(definition, "the tokenizer"))


def _write(part: Sequence[Document], passage_tokens: int, path: Path) -> None:
    _write_with(_own[0], part, passage_tokens, path)


def _write_with(tokenizer: Tokenizer, part: Sequence[Document], passage_tokens: int, path: Path) -> None:
    rows, encodings = [], []
    for document in part:
        passages = split(document, tokenizer, passage_tokens)
        encodings += tokenizer.encode_batch([passage.text for passage in passages])
        rows.append([{n: v for n, v in asdict(p).items() if n not in _OF_DOCUMENT} for p in passages])
    arrays = {
        name: np.concatenate([np.zeros(0, np.int32), *(getattr(encoding, name) for encoding in encodings)])
        for name in ("ids", "starts", "ends")
    }
    partial = path.with_suffix(f".{os.getpid()}.partial.npz")
    np.savez(
        partial,
        allow_pickle=False,
        lengths=np.array([len(encoding) for encoding in encodings], np.int64),
        passages=np.frombuffer(json.dumps(rows).encode(), np.uint8),
        **arrays,
    )
    partial.replace(path)


def _read(path: Path, part: Sequence[Document]) -> list[CutText]:
    with np.load(path, allow_pickle=False) as file:
        rows = json.loads(file["passages"].tobytes())
        columns = [file[name] for name in ("ids", "starts", "ends")]
        bounds = np.concatenate([[0], np.cumsum(file["lengths"])])
    result, first = [], 0
    for document, passages in zip(part, rows, strict=True):
        encodings = [
            Encoding(*(column[bounds[n] : bounds[n + 1]] for column in columns))
            for n in range(first, first + len(passages))
        ]
        first += len(passages)
        result.append(CutText([_passage(document, values) for values in passages], encodings))
    return result


def _passage(document: Document, values: dict[str, Any]) -> Passage:
    for name in ("heading_path", "table_header"):
        values[name] = tuple(values[name])
    text = document.text[values["start"] : values["end"]]
    return Passage(text=text, title=document.title, source=document.source, **values)
