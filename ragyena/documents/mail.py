"""Mail: a message's headers and text as one document, its attachments as further ones (``path#name``)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from ragyena.config import IndexConfig
from ragyena.documents.charsets import text_codec
from ragyena.documents.decoding import normalise_newlines
from ragyena.documents.html_tree import decode_html, main_parts, parse_html, visible_text
from ragyena.documents.html_writer import HtmlWriter
from ragyena.documents.text_builder import TextBuilder, tidy
from ragyena.errors import RagyenaError, UnreadableDocumentError
from ragyena.types import Document, Skipped

__all__ = ["Attachment", "Mail", "Part", "mail_documents", "parse_mail", "parse_parts", "unflowed"]

LONGEST_HEADER = 4000
"""Chars of a header field that are read; the library's parsers take time quadratic in its length."""
MOST_PARTS = 1000
"""Parts of one message."""
DEEPEST = 4
"""Mails inside mails."""
SHORT_PLAIN = 0.1
"""A plain text shorter than this share of the HTML beside it stands there for programs without HTML."""

_PLAIN = frozenset({".txt", ".text", ".log"})
_SHOWN = ("From", "To", "Cc", "Date", "Subject")


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of a MIME message."""

    content_type: str
    data: bytes
    charset: str = ""
    name: str = ""
    is_attachment: bool = False
    is_flowed: bool = False
    is_alternative: bool = False
    """Stands beside others that say the same in another form."""
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a mail. ``mail`` is set where it is a mail itself, already taken apart."""

    name: str
    data: bytes = b""
    mail: Mail | None = None
    is_decoration: bool = False
    """A picture that the text shows, such as a logo."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A message taken apart."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """From, To, Cc, Date, Subject, Keywords; decoded."""
    plain: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()


class _Bounded(Compat32):
    """The policy of the library's parser, with long header fields cut."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        length, kept = 0, []
        for line in sourcelines:
            if length > LONGEST_HEADER:
                break
            kept.append(line[:LONGEST_HEADER])
            length += len(line)
        name, value = super().header_source_parse(kept)
        return str(name), str(value)


def parse_parts(data: bytes, path: Path) -> list[Part]:
    """The leaves of a MIME message in their order. Raises UnreadableDocumentError for one of too many parts."""
    return _leaves(_message(data), path)


def parse_mail(data: bytes, path: Path) -> Mail:
    """Take a message (RFC 5322) apart."""
    message = _message(data)
    headers = {}
    for name in (*_SHOWN, "Keywords"):
        values = [_decoded(value) for key, value in message.raw_items() if key.lower() == name.lower()]
        if values and values[0]:
            headers[name] = values[0]
    plain: list[str] = []
    html: list[str] = []
    attachments: list[Attachment] = []
    parts = _leaves(message, path)
    has_plain_form = any(part.content_type == "text/plain" and part.is_alternative for part in parts)
    for part in parts:
        inline = not part.is_attachment and not (part.name and not part.is_alternative)
        if inline and part.content_type == "text/plain":
            text = _text(part)
            plain.append(unflowed(text) if part.is_flowed else text)
        elif inline and part.content_type == "text/html":
            html.append(decode_html(part.data, path, part.charset))
            if not part.is_alternative and has_plain_form:
                plain.append(_html_text(html[-1], path))
        elif part.name or part.is_attachment:
            decoration = bool(part.content_id) and part.content_type.startswith("image/")
            attachments.append(Attachment(_name_of(part), part.data, is_decoration=decoration))
    return Mail(headers, "\n\n".join(plain), "\n".join(html), tuple(attachments))


def mail_documents(
    mail: Mail,
    path: Path,
    source: str,
    config: IndexConfig,
    open_mail: Callable[[str, bytes], Mail | None],
    depth: int = 0,
) -> Iterator[Document | Skipped]:
    """The document of a mail and those of its attachments.

    ``open_mail`` takes apart an attachment that is a mail, by its name; None for one that is none.
    """
    from ragyena.documents.formats import format_of, may_hold_secrets, unsupported

    yield replace(_document(mail, path), source=source)
    names: dict[str, int] = {}
    for attachment in mail.attachments:
        if attachment.is_decoration:
            continue
        name = _file_name(attachment.name)
        names[name] = names.get(name, 0) + 1
        place = f"{source}#{name}" if names[name] == 1 else f"{source}#{names[name]}-{name}"
        if depth + 1 >= DEEPEST and (attachment.mail or name.lower().endswith((".eml", ".msg"))):
            yield Skipped(place, f"{place} is a mail inside {depth + 1} others", "save it as a file of its own")
            continue
        try:
            if not attachment.mail and format_of(Path(name)) is None:
                error = unsupported(Path(place))
                yield Skipped(place, error.message, "save it as a file of its own", is_fault=False)
                continue
            if not attachment.mail and may_hold_secrets(Path(name)):
                hint = "save it as a file of its own and name that to index it"
                yield Skipped(place, f"{place} may hold passwords", hint, is_fault=False)
                continue
            inner = attachment.mail or open_mail(name, attachment.data)
            if inner is not None:
                yield from mail_documents(inner, path, place, config, open_mail, depth + 1)
            else:
                yield from _attached(attachment.data, name, place, config)
        except RagyenaError as error:
            yield Skipped(place, error.message, error.hint)


def unflowed(text: str) -> str:
    """Text of ``format=flowed``: a line that ends with a space goes on in the next (RFC 3676)."""
    lines: list[str] = []
    joins = False
    for line in text.split("\n"):
        if joins and not line.startswith(">"):
            lines[-1] += line
        else:
            lines.append(line)
        joins = line.endswith(" ") and line != "-- " and not line.startswith(">")
    return "\n".join(lines)


def _document(mail: Mail, path: Path) -> Document:
    builder = TextBuilder()
    shown = [f"{name}: {mail.headers[name]}" for name in _SHOWN if name in mail.headers]
    files = [attachment.name for attachment in mail.attachments if not attachment.is_decoration]
    if files:
        shown.append(f"Attachments: {', '.join(files)}")
    builder.block("\n".join(shown))
    if mail.html and len(mail.plain.strip()) < SHORT_PLAIN * len(_html_text(mail.html, path)):
        root = parse_html(mail.html, path)
        if root is not None:
            HtmlWriter(builder).write(*main_parts(root))
    else:
        for paragraph in re.split(r"\n[^\S\n]*\n", tidy(mail.plain)):
            builder.block(paragraph)
    metadata = {
        key: mail.headers[name]
        for key, name in (("author", "From"), ("to", "To"), ("cc", "Cc"), ("keywords", "Keywords"))
        if name in mail.headers
    }
    created = _iso_date(mail.headers.get("Date", ""))
    if created:
        metadata["created"] = created
    return builder.document(path, mail.headers.get("Subject", ""), metadata)


def _attached(data: bytes, name: str, place: str, config: IndexConfig) -> Iterator[Document | Skipped]:
    """The documents of an attached file, read by its format from a copy that is gone afterwards."""
    from ragyena.documents.reading import read

    with tempfile.TemporaryDirectory(prefix="ragyena-") as folder:
        copy = Path(folder) / name
        copy.write_bytes(data)
        try:
            for item in read(copy, config):
                rest = item.source.removeprefix(str(copy))
                if isinstance(item, Skipped):
                    yield replace(item, source=place + rest, message=item.message.replace(str(copy), place))
                else:
                    is_plain = not rest and copy.suffix.lower() in _PLAIN and not item.headings
                    yield replace(_with_name(item, name) if is_plain else item, source=place + rest)
        except RagyenaError as error:
            raise UnreadableDocumentError(error.message.replace(str(copy), place), hint=error.hint) from error


def _with_name(document: Document, name: str) -> Document:
    """A text below the name of its file, under which the mail speaks of it."""
    builder = TextBuilder()
    builder.heading(1, name)
    builder.add(document)
    named = builder.document(Path(name))
    return replace(document, text=named.text, headings=named.headings, blocks=named.blocks)


def _message(data: bytes) -> Message:
    from email.parser import BytesParser

    return BytesParser(policy=_Bounded()).parsebytes(data)


def _leaves(message: Message, path: Path) -> list[Part]:
    parts: list[Part] = []
    ahead: list[tuple[Any, bool]] = [(message, False)]
    while ahead:
        node, in_alternative = ahead.pop()
        if len(parts) + len(ahead) > MOST_PARTS:
            raise UnreadableDocumentError(f"{path} has more than {MOST_PARTS} parts", hint="save its parts as files")
        content_type = node.get_content_type()
        if content_type == "message/rfc822" and node.is_multipart():
            inner = node.get_payload(0)
            subject = next((_decoded(value) for key, value in inner.raw_items() if key.lower() == "subject"), "")
            name = f"{_parameter(node, 'filename', 'content-disposition') or subject or 'message'}"
            name = name if name.lower().endswith(".eml") else f"{name}.eml"
            parts.append(Part(content_type, inner.as_bytes(), name=name, is_attachment=True))
        elif node.is_multipart():
            inner_alternative = in_alternative or content_type in {"multipart/alternative", "multipart/related"}
            ahead.extend((child, inner_alternative) for child in reversed(node.get_payload()))
        else:
            parts.append(_leaf(node, content_type, in_alternative))
    return parts


def _leaf(node: Message, content_type: str, in_alternative: bool) -> Part:
    payload = node.get_payload(decode=True)
    name = _parameter(node, "filename", "content-disposition") or _parameter(node, "name", "content-type")
    disposition = str(node.get("content-disposition") or "").strip().lower()
    return Part(
        content_type=content_type,
        data=payload if isinstance(payload, bytes) else b"",
        charset=_parameter(node, "charset", "content-type"),
        name=name,
        is_attachment=disposition.startswith("attachment"),
        is_flowed=_parameter(node, "format", "content-type").lower() == "flowed",
        is_alternative=in_alternative,
        content_id=str(node.get("content-id") or ""),
    )


def _parameter(node: Message, name: str, header: str) -> str:
    """A parameter of a header field, decoded; "" where it is missing."""
    value = node.get_param(name, "", header)
    if isinstance(value, tuple):  # RFC 2231: charset, language, value
        raw = str(value[2]).encode("latin-1", "replace")
        return raw.decode(text_codec(value[0] or "utf-8") or "utf-8", "replace")
    return _decoded(str(value)) if value else ""


def _decoded(value: str) -> str:
    """A header field as it is shown: encoded words decoded, bytes beyond ASCII taken for UTF-8, one line."""
    value = " ".join(value[:LONGEST_HEADER].split())
    try:
        raw = value.encode("ascii", "surrogateescape")
        value = raw.decode("utf-8")
    except UnicodeEncodeError:
        pass
    except UnicodeDecodeError:
        value = raw.decode("cp1252", "replace")
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except ValueError:  # broken base64
        return value
    parts = []
    for piece, charset in pieces:
        if isinstance(piece, str):
            parts.append(piece)
        elif charset is None:
            parts.append(piece.decode("utf-8", "replace"))
        else:
            parts.append(piece.decode(text_codec(charset) or "utf-8", "replace"))
    return " ".join("".join(parts).split())


def _text(part: Part) -> str:
    codec = text_codec(part.charset) if part.charset else None
    for name in (codec, "utf-8"):
        if name is not None:
            try:
                return normalise_newlines(part.data.decode(name))
            except (UnicodeDecodeError, ValueError):
                continue
    return normalise_newlines(part.data.decode("cp1252", "replace"))


def _html_text(html: str, path: Path) -> str:
    root = parse_html(html, path)
    return "" if root is None else "\n".join("".join(visible_text(part)) for part in main_parts(root)).strip()


def _name_of(part: Part) -> str:
    if part.name:
        return part.name
    import mimetypes

    return "attachment" + (mimetypes.guess_extension(part.content_type) or "")


def _file_name(name: str) -> str:
    """A name that is safe as that of a file, its suffix kept."""
    name = re.sub(r"[\x00-\x1f\x7f/\\:#*?\"<>|]+", "_", name).strip(". ") or "attachment"
    stem, dot, suffix = name.rpartition(".")
    return f"{stem[:60]}.{suffix[:12]}" if dot and stem else name[:60]


def _iso_date(value: str) -> str:
    try:
        return parsedate_to_datetime(value[:100]).isoformat() if value else ""
    except (ValueError, TypeError, OverflowError, IndexError):
        return ""
