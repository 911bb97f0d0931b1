"""RTF bytes -> tokens, and the tables of names and encodings that reading them needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["CHARSETS", "DESTINATIONS", "SYMBOLS", "Token", "tokens"]


class Token(NamedTuple):
    """``kind`` is ``{``, ``}``, ``word`` (a control word), ``byte`` (``\\'e9``), ``sign`` (``\\~``) or ``text``."""

    kind: str
    text: str
    number: int | None = None


_TOKEN = re.compile(
    r"\\([A-Za-z]{1,32})(-?\d{1,10})? ?|\\'([0-9A-Fa-f]{2})|\\([^A-Za-z])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\"
)

SYMBOLS = {
    **{"tab": "\t", "line": "\n", "softline": "\n", "emdash": "—", "endash": "–", "bullet": "•"},
    **{"lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”"},
    **{"emspace": " ", "enspace": " ", "qmspace": " ", "lbr": "\n", "nestcell": " "},
}
"""Control words that stand for characters."""

DESTINATIONS = frozenset(
    """
    annotation atnauthor atnicn atnid atnparent atnref atntime atrfend atrfstart background bkmkend bkmkstart blipuid
    colorschememapping colortbl datafield datastore defchp defpap docvar falt fchars ffdeftext ffentrymcr ffexitmcr
    ffformat ffhelptext ffl ffname ffstattext filetbl fldinst fldtype fname fontemb fontfile formfield ftncn ftnsep
    ftnsepc aftncn aftnsep aftnsepc generator gridtbl hl htmltag latentstyles lchars levelnumbers leveltext lfolevel
    list listlevel listname listoverride listoverridetable listpicture liststylename listtable lsdlockedexcept mailmerge
    nonesttables nonshppict objalias objclass objdata objname objsect objtime oldcprops oldpprops oldsprops oldtprops
    oleclsid panose passwordhash pgp pgptbl picprop pict pn pnseclvl pntxta pntxtb private protend protstart
    protusertbl revtbl rsidtbl sn sp staticval sv template themedata txe ud userprops wgrffmtfilter writereservhash xe
    xmlattrname xmlattrvalue xmlclose xmlname xmlnstbl xmlopen tc shprslt
    shppict nesttableprops
    """.split()  # noqa: SIM905 -- as a list it would take a line a name
)
"""Groups whose content is not shown as text."""

CHARSETS = {
    **{0: "cp1252", 77: "mac-roman", 78: "shift_jis", 79: "euc_kr", 80: "gb2312", 81: "big5", 85: "mac-greek"},
    **{86: "mac-turkish", 89: "mac-cyrillic", 128: "cp932", 129: "cp949", 130: "johab", 134: "cp936", 136: "cp950"},
    **{161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251"},
    **{222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850"},
}
"""The number of a font's character set -> codec."""


def tokens(text: str) -> Iterator[Token]:
    """The tokens of RTF, given with one character a byte. Binary data (``\\binN``) is passed over."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            position += 1
            continue
        position = match.end()
        word, number, code, sign, brace, run = match.groups()
        if word is not None:
            value = int(number) if number is not None else None
            if word == "bin" and value is not None and value > 0:
                position += value
            else:
                yield Token("word", word, value)
        elif code is not None:
            yield Token("byte", code)
        elif sign is not None:
            yield Token("word", "par") if sign in "\r\n" else Token("sign", sign)
        elif brace is not None:
            yield Token(brace, brace)
        elif run is not None:
            yield Token("text", run)
