"""Words parted at line ends: ``infra-`` and ``structure`` are one word, ``well-`` and ``known`` keep their hyphen."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib import resources

from ragyena.documents.pdf.rows import has_cjk
from ragyena.documents.words import read_words

__all__ = ["Hyphens"]

_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_PARTED = re.compile(r"(?P<left>[^\W\d_]+)(?P<hyphen>[-\u00ad])[ \t]*\n(?P<right>[^\W_]+)")
_LINE_END = re.compile(r"(\S?)[ \t]*\n[ \t]*(?=(\S?))")


class Hyphens:
    """Joins the lines of paragraphs, by the words of the document first and a list of common words second."""

    def __init__(self, texts: Iterable[str]) -> None:
        """``texts`` are all the paragraphs of the document."""
        self._counts: Counter[str] = Counter()
        for text in texts:
            self._counts.update(word.lower() for word in _WORD.findall(text))

    def join_lines(self, text: str) -> str:
        """The lines of ``text`` as one."""
        if "\n" in text:
            text = _PARTED.sub(self._joined, text)
            text = _LINE_END.sub(_space, text)
        return text.replace("\u00ad", "")

    def _joined(self, match: re.Match[str]) -> str:
        left, right = match["left"], match["right"]
        around = (match.string[match.start() - 1 : match.start()], match.string[match.end() : match.end() + 1])
        soft = match["hyphen"] == "\u00ad"
        hyphen = "" if soft or self.is_one_word(left, right, in_compound="-" in around) else "-"
        return f"{left}{hyphen}{right}"

    def is_one_word(self, left: str, right: str, *, in_compound: bool = False) -> bool:
        """True where ``left`` and ``right``, parted by a hyphen at a line end, are one word without it.

        ``in_compound`` says that other hyphens adjoin them, as in ``state-`` and ``of-the-art``.
        """
        if not right[0].islower() and not (left.isupper() and right.isupper() and len(left) > 1):
            return False  # names and figures: Saxe-Coburg, COVID-19
        whole, parted = (left + right).lower(), f"{left}-{right}".lower()
        if self._counts[whole] != self._counts[parted]:
            return self._counts[whole] > self._counts[parted]
        known = _common_words()
        if whole in known:
            return True
        if in_compound:
            return False
        first, second = left.lower(), right.lower()
        if first in _prefixes_with_hyphen():
            return False
        return not (len(first) > 2 and first in known and len(second) > 2 and second in known) or first in _prefixes()


def _space(match: re.Match[str]) -> str:
    """Replacement of a line end: nothing after a hyphen or between characters without spaces."""
    before, after = match[1], match[2]
    if before in ("-", "/") or (has_cjk(before) and has_cjk(after)):
        return before
    return f"{before} "


@cache
def _common_words() -> frozenset[str]:
    """The whole words of the bundled tokenizer: some 20,000 that are common in English."""
    definition = resources.files("ragyena").joinpath("assets/reader/tokenizer.json").read_text(encoding="utf-8")
    vocabulary = json.loads(definition)["model"]["vocab"]
    return frozenset(word for word in vocabulary if len(word) > 1 and word.isalpha())


@cache
def _prefixes() -> frozenset[str]:
    return frozenset(read_words(__file__, "prefixes"))


@cache
def _prefixes_with_hyphen() -> frozenset[str]:
    return frozenset(read_words(__file__, "prefixes_with_hyphen"))
