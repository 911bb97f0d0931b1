"""Bytes of a file -> text: its encoding detected, binary data refused, newlines made alike."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, TextIO

from ragyena.errors import UnreadableDocumentError
from ragyena.files import open_file, read_file

__all__ = ["check_text", "decode", "normalise_newlines", "open_text", "position", "read_text"]

LARGEST = 1 << 31
"""Bytes: no file is read beyond this, whatever ``index.max_file_mb`` allowed when its size was checked."""
SAMPLE_BYTES = 1 << 20
"""Encodings are detected from this much of a file."""
JUNK = 0.003
"""The largest share of control characters in a text."""
DOUBT = 0.2
"""The most disorder (charset-normalizer's ``chaos``) at which a guessed encoding is believed."""

_open_file: ContextVar[BinaryIO | None] = ContextVar("open_file", default=None)

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL_BYTES = bytes([*range(0x07), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])
_CONTROL_CHARS = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_WESTERN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüÿŒœŸ")
_WESTERN_SIGNS = frozenset("\u00a0‘’“”‚„–—…•€£©®™°§«»‹›¿¡ºª½¼¾±·×²³µ´\u00ad")
_SIGN_INSIDE_WORD = re.compile(r"[^\W\d_][¡¿£€©®™°§±²³µ¼½¾¹×‚„•«»‹›´][^\W\d_]")


def read_text(path: Path) -> str:
    """The whole text of a file, lines ended by ``\\n`` alone, so that line numbers are those of any editor.

    Raises UnreadableDocumentError for binary data and for text whose encoding cannot be detected.
    """
    return normalise_newlines(decode(read_file(path, LARGEST), path))


@contextmanager
def open_text(path: Path, newline: str | None = None, errors: str = "strict") -> Iterator[TextIO]:
    """A file to read piece by piece, its encoding detected from its beginning. Raises as ``read_text`` does.

    With ``errors`` "surrogateescape", bytes that are not valid UTF-8 in a file that otherwise is are read as lone
    surrogates, so that only the lines that hold them are lost.
    """
    with open_file(path, LARGEST) as file:
        encoding = _encoding_of(file.read(SAMPLE_BYTES), path, is_strict=errors == "strict")
        file.seek(0)
        outer = _open_file.get()
        _open_file.set(file)
        try:
            with io.TextIOWrapper(file, encoding=encoding, newline=newline, errors=errors) as text:
                yield text
        except UnicodeDecodeError as error:
            raise _undecodable(path, encoding) from error
        finally:
            _open_file.set(outer)


def position() -> int | None:
    """The bytes that have been read of the file that ``open_text`` has open; None where there is none."""
    file = _open_file.get()
    return None if file is None else file.tell()


def normalise_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decode(data: bytes, path: Path) -> str:
    """``data`` as text; ``path`` names it in an error. Raises as ``read_text`` does."""
    encoding = _encoding_of(data, path)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _undecodable(path, encoding) from error
    check_text(text, path)
    return text


def check_text(text: str, path: Path) -> None:
    """Raise UnreadableDocumentError for binary data that could be decoded as text."""
    if "\x00" in text or len(_CONTROL_CHARS.findall(text)) > JUNK * len(text):
        raise _binary(path)


def _encoding_of(data: bytes, path: Path, *, is_strict: bool = True) -> str:
    """A Python codec name for ``data``, which may be the beginning of a file."""
    for bom, name in _BOMS:
        if data.startswith(bom):
            return name
    sample = data[:SAMPLE_BYTES]
    wide = _utf16_without_bom(sample)
    if wide is not None:
        return wide
    if len(sample.translate(None, _CONTROL_BYTES)) < (1 - JUNK) * len(sample) or b"\x00" in sample:
        raise _binary(path)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=len(data) < SAMPLE_BYTES)
        return "utf-8"
    except UnicodeDecodeError as error:
        decoded = data.decode("utf-8", "replace")
        flaws = decoded.count("\ufffd")
        if len(data) - len(decoded) > 10 * flaws:  # other encodings hardly ever look like UTF-8 of many bytes a char
            if not is_strict:
                return "utf-8"
            raise _undecodable(path, "utf-8") from error
    if _is_western(data):
        return "cp1252"
    import charset_normalizer

    match = charset_normalizer.from_bytes(sample).best()
    if match is None or match.chaos > DOUBT or match.encoding.startswith(("utf_16", "utf_32")):
        raise UnreadableDocumentError(
            f"{path} is not UTF-8 and its encoding cannot be detected",
            hint="if it is text, convert it to UTF-8, for example: iconv -f ENCODING -t UTF-8",
        )
    return match.encoding


def _undecodable(path: Path, encoding: str) -> UnreadableDocumentError:
    return UnreadableDocumentError(
        f"{path} looks like {encoding} but is not valid {encoding} throughout",
        hint="convert it to UTF-8, for example: iconv -f ENCODING -t UTF-8",
    )


def _binary(path: Path) -> UnreadableDocumentError:
    return UnreadableDocumentError(
        f"{path} holds binary data, not text",
        hint="leave it out with an exclude pattern, or give it the suffix of its real format",
    )


def _utf16_without_bom(sample: bytes) -> str | None:
    """Mostly Western text in UTF-16 has a zero in every other byte, and hardly one in the others."""
    pairs = len(sample) // 2
    if pairs < 4:
        return None
    even, odd = sample[: 2 * pairs : 2].count(0) / pairs, sample[1 : 2 * pairs : 2].count(0) / pairs
    if odd > 0.6 and even < 0.02:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 and odd < 0.02 else None


def _is_western(data: bytes) -> bool:
    """True where the bytes make sense as cp1252, of which latin-1 is a part: accented letters are a minority among
    letters, and signs do not stand inside words. Other 8-bit code pages fail on one or the other."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    high = [char for char in text if ord(char) >= 0x80]
    letters = sum(char.isalpha() for char in text)
    if any(char not in _WESTERN and char not in _WESTERN_SIGNS for char in high):
        return False
    if sum(char in _WESTERN for char in high) > 0.25 * letters:
        return False
    return _SIGN_INSIDE_WORD.search(text) is None
