"""Text written without spaces between words (Chinese, Japanese, Thai, Lao, Burmese, Khmer) and Korean, for BM25.

A tokenizer that cuts at spaces takes a whole clause of such text for one word. Here its runs are written as
overlapping pairs of characters, each a word of a lexicon of its own: ``开放时间`` is ``开放 放时 时间 间``. The last
character alone is there so that every character begins a word: a query of one character looks for it by prefix.

What is written into a store is found, and deleted, only by the same rules: they are part of the format.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["query_pairs", "separate"]

_SCRIPTS = (
    "\u0e01-\u0e2e\u0e30-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59"  # Thai
    "\u0e81-\u0eff"  # Lao
    "\u1000-\u1049\u1050-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17d3\u17d7\u17dc-\u17e9"  # Khmer
    "\u3005-\u3007\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana
    "\u3105-\u312f\u31a0-\u31bf"  # bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u1100-\u11ff\u3131-\u318e\uac00-\ud7ff"  # Hangul
)
_WIDTHS = "\uff01-\uffdc"  # full-width letters and digits, half-width kana
_RUN = re.compile(f"[{_SCRIPTS}]+")
_ANY = re.compile(f"[{_SCRIPTS}{_WIDTHS}]")


def separate(text: str) -> tuple[str, str]:
    """``text`` without the runs of such characters, and the pairs of those runs, parted by spaces.

    Texts with any of them are brought to Unicode's compatibility form (NFKC) first: ``ＡＢＣ`` is ``ABC``.
    """
    if text.isascii() or not _ANY.search(text):
        return text, ""
    text = unicodedata.normalize("NFKC", text)
    runs: list[str] = _RUN.findall(text)
    return _RUN.sub(" ", text), " ".join(pair for run in runs for pair in [*_pairs(run), run[-1]])


def query_pairs(query: str) -> list[str]:
    """The different pairs of a query, in order; a run of one character is that character, to be looked up by prefix."""
    runs: list[str] = _RUN.findall(unicodedata.normalize("NFKC", query))
    return list(dict.fromkeys(pair for run in runs for pair in _pairs(run) or [run]))


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]
