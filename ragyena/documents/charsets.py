"""Encodings that a file declares (``charset=...``) -> text. Only encodings of text are used.

Python knows codecs that are none, or that take time quadratic in their input (punycode, idna, rot13, base64, zip):
a file must not be able to choose one of them.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from pathlib import Path

from ragyena.documents.decoding import check_text, decode, normalise_newlines

__all__ = ["decode_declared", "text_codec"]

_TEXT_CODECS = """
    utf-8 utf-8-sig utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be utf-7 ascii gb2312 gbk gb18030 hz big5
    big5hkscs euc_jp euc_jis_2004 euc_jisx0213 shift_jis shift_jis_2004 shift_jisx0213 iso2022_jp iso2022_jp_1
    iso2022_jp_2 iso2022_jp_3 iso2022_jp_ext iso2022_jp_2004 iso2022_kr euc_kr johab tis-620 koi8-r koi8-u koi8-t
    ptcp154 kz1048 hp-roman8 mac-roman mac-cyrillic mac-greek mac-iceland mac-latin2 mac-turkish
"""
_CODE_PAGES = """
    437 720 737 775 850 852 855 856 857 858 860 861 862 863 864 865 866 869 874 932 949 950 1006 1125 1140 037 500
    1026 273 1250 1251 1252 1253 1254 1255 1256 1257 1258
"""
_NUMBERED = (
    *(f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))),
    *(f"cp{page}" for page in _CODE_PAGES.split()),
)
_BROWSERS = {
    **dict.fromkeys(("iso8859-1", "ascii"), "cp1252"),  # Western pages often name a subset of what they use
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
    "iso8859-11": "cp874",
}
"""Encodings that browsers read as their superset."""
_ALIASES = {"x-sjis": "shift_jis", "x-gbk": "gbk", "x-euc-jp": "euc_jp", "ks_c_5601-1987": "euc_kr", "unicode": "utf-8"}
_NAME = re.compile(r"[\w.:()+-]{1,40}", re.ASCII)


@cache
def _allowed() -> frozenset[str]:
    return frozenset(codecs.lookup(name).name for name in (*_TEXT_CODECS.split(), *_NUMBERED))


def text_codec(declared: str) -> str | None:
    """The codec for the encoding that a file names; None for an unknown name and for a codec of something else."""
    declared = declared.strip().strip("\"'").lower()
    if not _NAME.fullmatch(declared):
        return None
    try:
        name = codecs.lookup(_ALIASES.get(declared, declared)).name
    except (LookupError, ValueError):
        return None
    return _BROWSERS.get(name, name) if name in _allowed() else None


def decode_declared(data: bytes, declared: str, path: Path) -> str:
    """``data`` in the encoding that it declares, else, where that is wrong as it often is, in the one it looks like.

    Raises UnreadableDocumentError for binary data and text of no known encoding.
    """
    codec = text_codec(declared) if declared else None
    if codec is not None:
        try:
            text = data.decode(codec)
        except (UnicodeDecodeError, ValueError):
            pass
        else:
            check_text(text, path)
            return normalise_newlines(text)
    return normalise_newlines(decode(data, path))
