"""PDF: the text of each page, and the outline as headings."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragyena.config import IndexConfig
from ragyena.documents.text_builder import TextBuilder, tidy
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document

if TYPE_CHECKING:
    from pypdf import PdfReader

SUFFIXES = (".pdf",)
WAY_OUT = {".pdf": "open it in a viewer and save it again, or copy it again", ".djvu": "convert it to .pdf"}

_log = logging.getLogger(__name__)
logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of every small flaw that it gets over
_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00ad": ""}
_HYPHENATED = re.compile(r"(?<=[^\W\d_]{2})-\n(?=[^\W\d_]{2})")
_NO_TITLE = re.compile(r"untitled|microsoft word|\.(?:docx?|tex|dvi|pdf|indd|pptx?|qxd)\b|^\W*$", re.IGNORECASE)


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    with path.open("rb") as file:
        reader = _open(file, path)
        builder = TextBuilder()
        texts = [_page_text(reader, number, path) for number in range(len(reader.pages))]
        if not any(char.isalnum() for text in texts for char in text):
            raise UnreadableDocumentError(
                f"{path} holds no text on its {len(texts)} pages, only images",
                hint="run text recognition on it first, for example: ocrmypdf in.pdf out.pdf",
            )
        starts = []
        for text in texts:
            builder.page()
            starts.append(builder.block(text))
        for page, level, title in _outline(reader):
            match = re.search(r"\s+".join(map(re.escape, title.split())), texts[page], re.IGNORECASE)
            if match is not None:
                builder.heading_at(starts[page] + match.start(), level, title)
        yield builder.document(path, _title(reader))


def _open(file: Any, path: Path) -> PdfReader:
    from pypdf import PdfReader
    from pypdf.errors import FileNotDecryptedError

    encrypted = UnreadableDocumentError(
        f"{path} is encrypted with a password",
        hint="decrypt it first, for example: qpdf --decrypt --password=PASSWORD in.pdf out.pdf",
    )
    try:
        reader = PdfReader(file)
        if reader.is_encrypted and not reader.decrypt(""):  # many are encrypted with no password to read them
            raise encrypted
        len(reader.pages)
    except FileNotDecryptedError as error:
        raise encrypted from error
    return reader


def _page_text(reader: PdfReader, number: int, path: Path) -> str:
    """The text of page ``number``, counting from 0: ligatures spelt out, words hyphenated at line ends joined."""
    try:
        text = reader.pages[number].extract_text()
    except Exception as error:  # one broken page must not lose the others
        _log.warning("%s: page %d cannot be read (%s) and is left out", path, number + 1, error)
        return ""
    text = tidy(text.translate(str.maketrans(_LIGATURES)))
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _HYPHENATED.sub("", text).strip()


def _outline(reader: PdfReader) -> list[tuple[int, int, str]]:
    """(page from 0, level, title) of the outline's entries."""
    entries: list[tuple[int, int, str]] = []

    def visit(items: list[Any], level: int) -> None:
        for item in items:
            if isinstance(item, list):
                visit(item, level + 1)
                continue
            page = reader.get_destination_page_number(item)
            if page is not None and page >= 0 and item.title and item.title.strip():
                entries.append((page, level, " ".join(item.title.split())))

    try:
        visit(reader.outline, 1)
    except Exception as error:  # an outline is a help, never a condition
        _log.debug("outline left out: %s", error)
        return []
    return entries


def _title(reader: PdfReader) -> str:
    from pypdf.errors import PyPdfError

    try:
        title = str((reader.metadata and reader.metadata.title) or "")
    except PyPdfError:
        return ""
    return "" if _NO_TITLE.search(title) else tidy(title)
