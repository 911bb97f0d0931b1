"""Pictures of PDF pages, drawn in a process of its own, which a file that crashes pdfium ends alone."""

from __future__ import annotations

import io
import multiprocessing
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ragyena.documents.pdf.pictures import PageBox, draw_page, find_boxes, page_size
from ragyena.errors import RagyenaError, UnreadableDocumentError
from ragyena.serve.problems import NotFoundError

__all__ = ["DRAWN_WIDTHS", "PageServer"]

SECONDS = 20.0
"""Seconds for a page."""
MEMORY_MB = 1000
DRAWN_WIDTHS = (64, 2400)
"""The narrowest and the widest picture, in pixels."""
CACHED_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class _Failure:
    kind: str
    message: str
    hint: str


class PageServer:
    """Draws pages and finds boxes on them, one at a time; a picture drawn lately is kept."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._drawn: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    def picture(self, path: Path, number: int, width: int) -> bytes:
        """Page ``number``, from 0, as PNG. Raises UnreadableDocumentError, and NotFoundError where there is none."""
        status = path.stat()
        key = (path, status.st_mtime_ns, status.st_size, number, width)
        with self._turn:
            if key in self._drawn:
                self._drawn.move_to_end(key)
                return self._drawn[key]
            drawn: bytes = self._ask("picture", path, number, width)
            self._drawn[key] = drawn
            while sum(map(len, self._drawn.values())) > CACHED_BYTES:
                self._drawn.popitem(last=False)
            return drawn

    def boxes(self, path: Path, number: int, quote: str, before: float) -> list[PageBox]:
        """The boxes of ``quote`` on page ``number``, from 0; see ``find_boxes``. Raises as ``picture`` does."""
        with self._turn:
            boxes: list[PageBox] = self._ask("boxes", path, number, quote, before)
            return boxes

    def size(self, path: Path, number: int) -> tuple[float, float]:
        """Width and height of page ``number``, from 0, in points. Raises as ``picture`` does."""
        with self._turn:
            size: tuple[float, float] = self._ask("size", path, number)
            return size

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _ask(self, kind: str, path: Path, number: int, *rest: object) -> Any:
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send((kind, path, number, *rest))
            if not self._pipe.poll(SECONDS):
                raise UnreadableDocumentError(f"page {number + 1} takes too long to draw", hint="open the file itself")
            result = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise UnreadableDocumentError(f"page {number + 1} cannot be drawn", hint="open the file itself") from error
        except UnreadableDocumentError:
            self.close()
            raise
        if isinstance(result, _Failure):
            problem: type[RagyenaError] = NotFoundError if result.kind == "IndexError" else UnreadableDocumentError
            raise problem(result.message, hint=result.hint)
        return result

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), name="pages", daemon=True)
        self._process.start()
        theirs.close()


def _serve(pipe: Connection) -> None:
    """Answer requests until the pipe is closed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the server, which ends this process
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MB << 20, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        try:
            result = _result(*request)
        except RagyenaError as error:
            result = _Failure(type(error).__name__, error.message, error.hint)
        except IndexError as error:
            result = _Failure("IndexError", f"there is no {error}", "pages count from 1")
        except Exception as error:
            result = _Failure(
                type(error).__name__, f"the page cannot be drawn ({type(error).__name__})", "open the file"
            )
        pipe.send(result)


def _result(kind: str, path: Path, number: int, *rest: Any) -> Any:
    if kind == "boxes":
        return find_boxes(path, number, *rest)
    if kind == "size":
        return page_size(path, number)
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(draw_page(path, number, *rest)).save(file, "PNG", optimize=False)
    return file.getvalue()
