"""Mail as saved by Outlook, with its attachments as documents of their own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from ragyena.config import IndexConfig
from ragyena.documents.charsets import text_codec
from ragyena.documents.decoding import LARGEST, normalise_newlines
from ragyena.documents.html_tree import decode_html
from ragyena.documents.mail import DEEPEST, Attachment, Mail, mail_documents, parse_mail
from ragyena.documents.rtf_text import write_rtf
from ragyena.documents.text_builder import TextBuilder
from ragyena.errors import UnreadableDocumentError
from ragyena.files import read_file
from ragyena.types import Document, Skipped

SUFFIXES = (".msg",)
WAY_OUT = {".oft": "save it as .msg or .eml"}

# Properties of MAPI that are read (MS-OXPROPS).
_SUBJECT, _HEADERS, _BODY, _RTF, _HTML = 0x0037, 0x007D, 0x1000, 0x1009, 0x1013
_SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP, _SENT_FOR = 0x0C1A, 0x0C1F, 0x5D01, 0x0042
_TO, _CC, _SUBMIT_TIME, _DELIVERY_TIME = 0x0E04, 0x0E03, 0x0039, 0x0E06
_CODE_PAGE, _INTERNET_CODE_PAGE = 0x3FFD, 0x3FDE
_DATA, _LONG_NAME, _SHORT_NAME, _SHOWN_NAME, _CONTENT_ID, _IS_HIDDEN = 0x3701, 0x3707, 0x3704, 0x3001, 0x3712, 0x7FFE
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)

_RTF_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    + b"\r\n"
    + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""Initial dictionary of compressed RTF (MS-OXRTFCP)."""


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    from ragyena.documents.formats.eml import open_mail

    mail = parse_msg(read_file(path, LARGEST), path)
    yield from mail_documents(mail, path, str(path), config, lambda name, content: open_mail(name, content, path))


def parse_msg(data: bytes, path: Path) -> Mail:
    """Take an Outlook message apart. Raises UnreadableDocumentError for a file that is none."""
    import olefile

    if not olefile.isOleFile(data=data):
        raise UnreadableDocumentError(f"{path} is damaged, or no Outlook message", hint="save it again as .msg or .eml")
    try:
        with olefile.OleFileIO(BytesIO(data)) as file:
            streams = {tuple(name): name for name in file.listdir(streams=True, storages=False)}
            return _message(file, streams, (), path, 0)
    except (OSError, struct.error, IndexError, ValueError, OverflowError) as error:
        raise UnreadableDocumentError(
            f"{path} is damaged: {error}", hint="save it again as .msg or .eml in Outlook"
        ) from error


def _message(
    file: Any, streams: dict[tuple[str, ...], list[str]], place: tuple[str, ...], path: Path, depth: int
) -> Mail:
    store = _Store(file, streams, place, header=24 if place else 32)
    headers = dict(parse_mail(store.text(_HEADERS).encode("utf-8", "replace") + b"\n\n", path).headers)
    address = store.text(_SENDER_SMTP) or store.text(_SENDER_ADDRESS)
    name = store.text(_SENDER_NAME) or store.text(_SENT_FOR)
    sender = f"{name} <{address}>" if name and "@" in address and name != address else name or address
    for key, value in (
        ("From", sender),
        ("To", store.text(_TO)),
        ("Cc", store.text(_CC)),
        ("Subject", store.text(_SUBJECT)),
    ):
        if value.strip("\x00 "):
            headers.setdefault(key, " ".join(value.strip("\x00").split())[:4000])
    sent = store.time(_SUBMIT_TIME) or store.time(_DELIVERY_TIME)
    if sent is not None:
        headers.setdefault("Date", format_datetime(sent))
    plain, page = normalise_newlines(store.text(_BODY)), store.binary(_HTML)
    html = decode_html(page, path, store.internet_codec()) if page else store.text(_HTML)
    if not plain.strip() and not html:
        plain = _text_of_rtf(store.binary(_RTF), path)
    return Mail(headers, plain, html, tuple(_attachments(file, streams, place, path, depth)))


def _attachments(
    file: Any, streams: dict[tuple[str, ...], list[str]], place: tuple[str, ...], path: Path, depth: int
) -> Iterator[Attachment]:
    size = len(place)
    inside = (stream for stream in streams if stream[:size] == place and len(stream) > size + 1)
    names = sorted({stream[size] for stream in inside if stream[size].startswith("__attach_version1.0_")})
    for name in names:
        store = _Store(file, streams, (*place, name), header=8)
        title = store.text(_LONG_NAME) or store.text(_SHORT_NAME) or store.text(_SHOWN_NAME) or "attachment"
        embedded = (*place, name, f"__substg1.0_{_DATA:04X}000D")
        if any(stream[: size + 2] == embedded for stream in streams):
            if depth + 1 < 2 * DEEPEST:
                title = title if title.lower().endswith((".msg", ".eml")) else f"{title}.msg"
                yield Attachment(title, mail=_message(file, streams, embedded, path, depth + 1))
            continue
        is_shown = bool(store.text(_CONTENT_ID)) and store.number(_IS_HIDDEN) == 1
        yield Attachment(title, store.binary(_DATA), is_decoration=is_shown)


class _Store:
    """The properties of a message or an attachment."""

    def __init__(
        self, file: Any, streams: dict[tuple[str, ...], list[str]], place: tuple[str, ...], header: int
    ) -> None:
        self._file, self._streams, self._place = file, streams, place
        fixed = self._stream("__properties_version1.0")[header:]
        self._fixed: dict[int, bytes] = {}
        for offset in range(0, min(len(fixed), 1 << 20) - 15, 16):
            self._fixed.setdefault(
                int.from_bytes(fixed[offset + 2 : offset + 4], "little"), fixed[offset + 8 : offset + 16]
            )

    def text(self, number: int) -> str:
        wide = self._stream(f"__substg1.0_{number:04X}001F")
        if wide:
            return wide.decode("utf-16-le", "replace").rstrip("\x00")
        narrow = self._stream(f"__substg1.0_{number:04X}001E")
        codec = text_codec(f"cp{self.number(_CODE_PAGE) or 1252}") or "cp1252"
        return narrow.decode(codec, "replace").rstrip("\x00")

    def binary(self, number: int) -> bytes:
        return self._stream(f"__substg1.0_{number:04X}0102")

    def number(self, number: int) -> int:
        return int.from_bytes(self._fixed.get(number, b"")[:4], "little")

    def time(self, number: int) -> datetime | None:
        ticks = int.from_bytes(self._fixed.get(number, b""), "little")
        return _EPOCH + timedelta(microseconds=ticks // 10) if 0 < ticks < 1 << 60 else None

    def internet_codec(self) -> str:
        page = self.number(_INTERNET_CODE_PAGE)
        return {0: "", 65001: "utf-8", 20127: "ascii", 28591: "iso8859-1"}.get(page, f"cp{page}")

    def _stream(self, name: str) -> bytes:
        entry = self._streams.get((*self._place, name))
        if entry is None:
            return b""
        with self._file.openstream(entry) as stream:
            return bytes(stream.read())


def _text_of_rtf(data: bytes, path: Path) -> str:
    if len(data) < 16:
        return ""
    builder = TextBuilder()
    write_rtf(_decompressed(data), builder)
    return builder.document(path).text


def _decompressed(data: bytes) -> bytes:
    """The RTF of a compressed body (MS-OXRTFCP)."""
    _, size, kind, _ = struct.unpack("<4I", data[:16])
    if kind == 0x414C454D:  # "MELA": not compressed
        return data[16 : 16 + size]
    window = bytearray(4096)
    window[: len(_RTF_DICTIONARY)] = _RTF_DICTIONARY
    write = len(_RTF_DICTIONARY)
    result = bytearray()
    position = 16
    while position < len(data):
        control = data[position]
        position += 1
        for bit in range(8):
            if position >= len(data):
                break
            if control >> bit & 1:
                token = int.from_bytes(data[position : position + 2], "big")
                position += 2
                read = token >> 4
                if read == write:
                    return bytes(result[:size])
                copied = bytearray()
                for _ in range((token & 15) + 2):
                    byte = window[read]
                    copied.append(byte)
                    window[write] = byte
                    read, write = (read + 1) % 4096, (write + 1) % 4096
                result += copied
            else:
                result.append(data[position])
                window[write] = data[position]
                write = (write + 1) % 4096
                position += 1
    return bytes(result[:size])
