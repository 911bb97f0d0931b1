"""PDF: pages with their columns, tables and headings in reading order; scanned pages by text recognition."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.config import IndexConfig
from ragyena.documents import budget, ocr
from ragyena.documents.pdf.content import PageError, read_page
from ragyena.documents.pdf.document import OutlineEntry, build_text, continue_tables, top_title
from ragyena.documents.pdf.elements import Page, Part
from ragyena.documents.pdf.forms import read_entries
from ragyena.documents.pdf.layout import lay_out
from ragyena.documents.pdf.scans import is_scan, is_too_large, read_scan
from ragyena.documents.text_builder import tidy
from ragyena.errors import MissingDependencyError, UnreadableDocumentError
from ragyena.types import Document, Skipped

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

SUFFIXES = (".pdf",)
WAY_OUT = {".pdf": "open it in a viewer and save it again, or copy it again", ".djvu": "convert it to .pdf"}

MOST_OUTLINE_ENTRIES = 20_000
MOST_ATTACHMENTS = 100
MOST_CATALOGS = 1000
RECOGNITION_TIMES = 30
"""After this many times ``max_document_seconds`` no further scan is recognised, so that the pages before are kept."""
_CATALOG = re.compile(rb"(\d{1,9}) (\d{1,5}) obj\s{0,9}<<[^<>]{0,200}?/Type\s{0,9}/Catalog\b")
_NO_TITLE = re.compile(
    r"untitled|microsoft word|\(?anonymous\)?$|\.(?:docx?|tex|dvi|pdf|indd|pptx?|qxd|xlsx?|html?)\b|^\W*$",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(?:(\d\d)(\d\d)(\d\d)?)?")
_pdfium_lock = threading.Lock()  # pdfium serves one thread at a time


@dataclass(frozen=True, slots=True)
class _Unread:
    number: int
    """From 0."""
    reason: str
    """State of the page: ``damaged``."""
    hint: str


def tables(path: Path) -> list[list[list[str]]]:
    """The rows of cells of every table in a file, as they are drawn: header rows first, merged cells repeated."""
    with _pdfium_lock:
        pdf = open_pdf(path)
        try:
            pages = [lay_out(_page(pdf, number, recognise=False)[0]) for number in range(len(pdf))]
        finally:
            pdf.close()
    continue_tables(pages)
    return [part.rows for parts in pages for part in parts if part.kind == "table"]


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    with _pdfium_lock:
        found = list(_load(path, config))
    yield from found


def _load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    started = time.monotonic()
    pdf = open_pdf(path)
    recognise = _recognition(config)
    try:
        total = len(pdf)
        if total > config.max_document_pages:
            raise UnreadableDocumentError(
                f"{path} holds {total:,} pages, more than {config.max_document_pages:,}",
                hint="split it, or raise index.max_document_pages",
            )
        pages: list[list[Part]] = []
        heights: list[float] = []
        unread: list[_Unread] = []
        for number in range(total):
            in_time = time.monotonic() - started < RECOGNITION_TIMES * config.max_document_seconds
            page = None
            try:
                page, unread_scan = _page(pdf, number, recognise=recognise and in_time)
                if unread_scan:
                    hint = ocr.INSTALL if not recognise else "raise index.max_document_seconds"
                    hint = "set index.ocr to auto" if config.ocr == "off" else hint
                    why = "a scan, whose text is not recognised" + (" for lack of time" if recognise else "")
                    unread.append(_Unread(number, why, hint))
            except PageError as error:
                unread.append(_Unread(number, error.reason, error.hint))
            pages.append([] if page is None else lay_out(page))
            heights.append(0.0 if page is None else page.height)
        if not any(char.isalnum() for parts in pages for part in parts for char in part.text + str(part.rows)):
            raise _no_text(path, total, unread)
        builder = build_text(pages, _outline(pdf), _labels(pdf), heights)
        yield from _skipped(path, unread)
        for name in _attachments(pdf):
            message = f"{path}: the file attached to it, {name}, is not read"
            yield Skipped(f"{path}#{name}", message, "save it as a file of its own", is_fault=False)
        yield builder.document(path, _title(pdf) or top_title(pages[0]), _metadata(pdf))
    finally:
        pdf.close()


def _skipped(path: Path, unread: Sequence[_Unread]) -> Iterator[Skipped]:
    """One for each stretch of pages that are unread for one reason."""
    stretches: list[list[_Unread]] = []
    for page in unread:
        last = stretches[-1][-1] if stretches else None
        if last is not None and (last.number + 1, last.reason, last.hint) == (page.number, page.reason, page.hint):
            stretches[-1].append(page)
        else:
            stretches.append([page])
    for first, *others in stretches:
        pages = f"{first.number + 1}-{others[-1].number + 1}" if others else f"{first.number + 1}"
        what = f"pages {pages} are each" if others else f"page {pages} is"
        yield Skipped(f"{path}#page={pages}", f"{path}, {what} {first.reason}", first.hint)


def _recognition(config: IndexConfig) -> bool:
    """True where scans are to be recognised. Raises MissingDependencyError where they must be and cannot."""
    if config.ocr == "off":
        return False
    if not ocr.is_installed():
        if config.ocr == "on":
            raise MissingDependencyError("index.ocr is on, but text recognition is not installed", hint=ocr.INSTALL)
        return False
    return True


def _no_text(path: Path, pages: int, unread: Sequence[_Unread]) -> UnreadableDocumentError:
    if not unread:
        return UnreadableDocumentError(f"{path} holds no text", hint="leave it out with an exclude pattern")
    first = unread[0]
    if "scan" not in first.reason:
        return UnreadableDocumentError(f"{path}, page {first.number + 1} is {first.reason}", hint=first.hint)
    return UnreadableDocumentError(
        f"{path} holds no text on its {_count(pages)}, only images whose text is not recognised", hint=first.hint
    )


def _count(pages: int) -> str:
    return "page" if pages == 1 else f"{pages} pages"


def open_pdf(path: Path) -> PdfDocument:
    """Open a file, even one that was cut off. Raises UnreadableDocumentError. One thread at a time may use pdfium."""
    import pypdfium2
    import pypdfium2.raw as pdfium

    logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)  # it warns of flaws that it gets over
    try:
        pdf = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise UnreadableDocumentError(
                f"{path} is encrypted with a password",
                hint="decrypt it first, for example: qpdf --decrypt --password=PASSWORD in.pdf out.pdf",
            ) from error
        pdf = _repaired(path)
    pdf.init_forms()
    return pdf


def _repaired(path: Path) -> PdfDocument:
    """A file that was cut off before its table of objects, with a pointer to its catalogue put at its end."""
    import pypdfium2

    data = path.read_bytes()
    catalogs = list(islice(_CATALOG.finditer(data), MOST_CATALOGS))
    if catalogs and b"%PDF-" in data[:2048]:
        number, generation = catalogs[-1].groups()
        trailer = b"\ntrailer\n<</Root %s %s R>>\nstartxref\n0\n%%%%EOF\n" % (number, generation)
        try:
            return pypdfium2.PdfDocument(data + trailer)
        except pypdfium2.PdfiumError:
            pass
    raise UnreadableDocumentError(
        f"{path} is damaged, cut off, or not what its suffix says: it lists no pages", hint=WAY_OUT[".pdf"]
    )


def _page(pdf: PdfDocument, number: int, *, recognise: bool) -> tuple[Page, bool]:
    """(content of the page, True for a scan without any text whose text is not recognised)"""
    import pypdfium2

    try:
        pdf_page = pdf[number]
    except pypdfium2.PdfiumError as error:
        raise PageError("damaged", WAY_OUT[".pdf"]) from error
    try:
        page = read_page(pdf_page, read_entries(pdf, pdf_page))
        if not is_scan(page):
            return page, False
        if is_too_large(page) and not page.runs:
            raise PageError(
                f"a scan of {page.most_pixels:,} pixels, too large for text recognition", "scan it with fewer pixels"
            )
        if not recognise or is_too_large(page):
            return page, not page.runs
        recognised = read_scan(pdf_page)
        budget.page_done()
        return (recognised if recognised.runs else page), False
    finally:
        pdf_page.close()


def _labels(pdf: PdfDocument) -> list[str]:
    """The labels of all pages, [] where the file has none."""
    labels = [tidy(pdf.get_page_label(number)).strip() for number in range(len(pdf))]
    return labels if any(label not in ("", str(i + 1)) for i, label in enumerate(labels)) else []


def _outline(pdf: PdfDocument) -> list[OutlineEntry]:
    entries: list[OutlineEntry] = []
    for mark in islice(pdf.get_toc(), MOST_OUTLINE_ENTRIES):
        destination = mark.get_dest()
        page = destination.get_index() if destination is not None else None
        title = " ".join(tidy(mark.get_title() or "").split())
        if page is not None and page >= 0 and title:
            entries.append(OutlineEntry(page, mark.level + 1, title))
    return entries


def _attachments(pdf: PdfDocument) -> list[str]:
    """The names of the files inside the document."""
    names = (pdf.get_attachment(i).get_name() for i in range(min(pdf.count_attachments(), MOST_ATTACHMENTS)))
    return [" ".join(tidy(name).split()) or "without a name" for name in names]


def _title(pdf: PdfDocument) -> str:
    title = tidy(pdf.get_metadata_value("Title"))
    return "" if _NO_TITLE.search(title) else title


def _metadata(pdf: PdfDocument) -> dict[str, str]:
    values = {
        "author": pdf.get_metadata_value("Author"),
        "created": _iso_date(pdf.get_metadata_value("CreationDate")),
        "modified": _iso_date(pdf.get_metadata_value("ModDate")),
        "language": _language(pdf),
        "keywords": pdf.get_metadata_value("Keywords"),
    }
    clean = {name: " ".join(tidy(value).split()) for name, value in values.items()}
    return {name: value for name, value in clean.items() if value and value.lower() not in ("anonymous", "unspecified")}


def _language(pdf: PdfDocument) -> str:
    import pypdfium2.raw as pdfium

    size = pdfium.FPDFCatalog_GetLanguage(pdf, None, 0)
    if not 2 < size < 200:
        return ""
    buffer = (pdfium.FPDF_WCHAR * (size // 2))()
    pdfium.FPDFCatalog_GetLanguage(pdf, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").rstrip("\0")


def _iso_date(value: str) -> str:
    """``D:20250314091500+01'00'`` -> ``2025-03-14T09:15:00``, without a time where it has none."""
    match = _DATE.match(value.strip())
    if match is None:
        return ""
    year, month, day, hour, minute, second = match.groups()
    date = "-".join(part for part in (year, month, day) if part)
    return f"{date}T{hour}:{minute}:{second or '00'}" if hour and day else date
