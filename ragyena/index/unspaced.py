"""Text written without spaces between words (Chinese, Japanese, Thai, Lao, Burmese, Khmer) and Korean, for BM25.

A tokenizer that cuts at spaces takes a whole clause of such text for one word. Here its runs are written as single
characters, each a word of a lexicon of its own: ``开放时间`` is ``开 放 时 间``. A query looks for characters and for
phrases of two that follow each other; in the alphabets of South-East Asia, where a character says little, for phrases
of three.

What is written into a store is found, and deleted, only by the same rules: ``separate`` is part of the format.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["phrases", "separate"]

_SOUTH_EAST = (
    "\u0e01-\u0e2e\u0e30-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59"  # Thai
    "\u0e81-\u0eff"  # Lao
    "\u1000-\u1049\u1050-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17d3\u17d7\u17dc-\u17e9"  # Khmer
)
_EAST = (
    "\u3005-\u3007\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana
    "\u3105-\u312f\u31a0-\u31bf"  # bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u1100-\u11ff\u3131-\u318e\uac00-\ud7ff"  # Hangul
)
_WIDTHS = "\uff01-\uffdc"  # full-width letters and digits, half-width kana
_RUN = re.compile(f"[{_SOUTH_EAST}]+|[{_EAST}]+")
_ANY = re.compile(f"[{_SOUTH_EAST}{_EAST}{_WIDTHS}]")


def separate(text: str) -> tuple[str, str]:
    """``text`` without the runs of such characters, and the characters of those runs, parted by spaces.

    Texts with any of them are brought to Unicode's compatibility form (NFKC) first: ``ＡＢＣ`` is ``ABC``.
    """
    if text.isascii() or not _ANY.search(text):
        return text, ""
    text = unicodedata.normalize("NFKC", text)
    # Between two runs stands a word that is in neither, so that no phrase crosses from one to the other.
    return _RUN.sub(" ", text), " · ".join(" ".join(run) for run in _RUN.findall(text))


def phrases(query: str) -> list[str]:
    """The different phrases to look for, in order of the query: characters parted by spaces."""
    found: list[str] = []
    for run in _RUN.findall(unicodedata.normalize("NFKC", query)):
        lengths = (1, 2) if re.match(f"[{_EAST}]", run) else (min(3, len(run)),)
        for start in range(len(run)):
            found += [" ".join(run[start : start + n]) for n in lengths if start + n <= len(run)]
    return list(dict.fromkeys(found))
