"""A check of sentences, written by any model, against the evidence they rest on.

A sentence is marked where one of these holds:

- a number in it (in digits or words) is not in the evidence;
- a name in it (a capitalised word within the sentence) is not in the evidence;
- it denies something and the evidence denies nothing;
- fewer than a third of its other words are in the evidence;
- the reader, asked for one of its names, dates or numbers with the rest of the sentence as the question, finds another
  one in the evidence, and is sure enough of it.

This finds figures and names that were made up or changed. It does not understand a sentence: what is wrong in the words
of the evidence alone is mostly not found. docs/writer.md has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragyena.config import PipelineConfig
from ragyena.data import clozes
from ragyena.documents.words import read_words
from ragyena.errors import QuestionTooLongError
from ragyena.index.search import STOPWORDS
from ragyena.reader.packing import pack
from ragyena.reader.reader import Reader
from ragyena.types import Passage, ScoredPassage

__all__ = ["SupportCheck"]

FEWEST_WORDS = 1 / 3
"""Share of a sentence's words that must be in the evidence."""
SURE = 0.4
"""Confidence from which another name or number, found by the reader, counts."""
STEM = 5
"""Characters by which two words are taken for forms of one."""

_TOKEN = re.compile(r"\d[\d.,:/-]*\d|\d+|[^\W\d_]+(?:['’][a-z]+)?")
_DENIAL = re.compile(
    r"\b(no|not|never|none|without|cannot|neither|nor|excluded|except|refus\w+)\b|n['’]t\b", re.IGNORECASE
)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety hundred"
_ORDINALS = "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_NUMBER_WORDS = {
    **{word: str(number) for number, word in enumerate(f"{_UNITS} eighteen nineteen twenty".split())},
    **{word: str(10 * ten) for ten, word in enumerate(_TENS.split(), 3)},
    **{word: str(number) for number, word in enumerate(_ORDINALS.split(), 3)},
    "thousand": "1000",
}
_MONTHS = tuple(month.casefold() for month in read_words(clozes.__file__, "months"))
_COMMON = STOPWORDS | {"yes", "no"}


class SupportCheck:
    """Checks sentences with the help of a reader."""

    def __init__(self, reader: Reader, config: PipelineConfig) -> None:
        """``config`` is what the reader is used with elsewhere; no answer of it is withheld here."""
        self._reader = reader.configured(config.reader.model_copy(update={"threshold": 0.0}))
        self._packer = config.packer.model_copy(update={"neighbours": 0})
        self._most = config.reader.max_question_tokens

    def problem(self, sentence: str, evidence: Sequence[Passage]) -> str | None:
        """The reason why the evidence does not support a sentence, None where none is found."""
        if not evidence:
            return "it rests on no evidence"
        text = "\n".join(f"{passage.header}\n{passage.text}" for passage in evidence)
        return words_problem(sentence, text) or self._other_found(sentence, evidence)

    def _other_found(self, sentence: str, evidence: Sequence[Passage]) -> str | None:
        """The problem where the reader finds another name, date or number than a sentence has."""
        asked = []
        candidates = [ScoredPassage(passage, 1.0) for passage in evidence]
        for start, end, _ in clozes.mentions(sentence):
            mention = sentence[start:end]
            if start == 0 and mention.isalpha():
                continue  # any word may begin a sentence with a capital
            question = (sentence[:start] + "what" + sentence[end:]).rstrip(".") + "?"
            try:
                context = pack(
                    question, candidates, self._reader.tokenizer, self._packer, max_question_tokens=self._most
                )
            except QuestionTooLongError:
                continue
            asked.append((mention, context))
        for (mention, _), reading in zip(
            asked, self._reader.read_batch([context for _, context in asked]), strict=True
        ):
            if reading.text and reading.confidence >= SURE and not _same(mention, reading.text):
                return f"the evidence has '{' '.join(reading.text.split())}' in the place of '{mention}'"
        return None


def words_problem(sentence: str, evidence: str) -> str | None:
    """The problem that the words of a sentence have with those of the evidence, None where there is none."""
    held = _numbers(evidence) | {
        str(number) for number, month in enumerate(_MONTHS, 1) if month[:3] in evidence.casefold()
    }
    missing = [
        number for number in _needed(sentence) if number not in held and not set(re.findall(r"\d+", number)) <= held
    ]
    if missing:
        return f"not in the evidence: {', '.join(missing)}"
    stems = {_stem(word) for word in _words(evidence)}
    names = [name for name in _names(sentence) if _stem(name) not in stems and not _month_held(name, evidence)]
    if names:
        return f"not in the evidence: {', '.join(names)}"
    if _DENIAL.search(sentence) and not _DENIAL.search(evidence):
        return "it denies something, the evidence does not"
    content = [word for word in _words(sentence) if len(word) > 2 and word.casefold() not in _COMMON | {*_NUMBER_WORDS}]
    if sum(_stem(word) in stems for word in content) < FEWEST_WORDS * len(content):
        return "few of its words are in the evidence"
    return None


def _words(text: str) -> list[str]:
    return [token for token in _TOKEN.findall(text) if not token[0].isdigit()]


def _stem(word: str) -> str:
    return word.casefold()[:STEM]


def _numbers(text: str) -> set[str]:
    """Every number of a text, and the whole numbers that each consists of."""
    numbers: set[str] = set()
    for token in _TOKEN.findall(text):
        if token[0].isdigit():
            parts = re.findall(r"\d+", token)
            numbers |= {token.replace(",", ""), *parts, *(str(int(part)) for part in parts)}
        elif (number := _NUMBER_WORDS.get(token.casefold())) is not None:
            numbers.add(number)
    return numbers


def _needed(sentence: str) -> list[str]:
    """The numbers that a sentence states; ``one`` is mostly none."""
    return [
        token.replace(",", "") if token[0].isdigit() else _NUMBER_WORDS[token.casefold()]
        for token in _TOKEN.findall(sentence)
        if token[0].isdigit() or (token.casefold() in _NUMBER_WORDS and token.casefold() != "one")
    ]


def _names(sentence: str) -> list[str]:
    """Capitalised words but for the first."""
    words = [(match.start(), match.group()) for match in re.finditer(r"[^\W\d_]+", sentence)]
    return [word for start, word in words if start > 0 and word[0].isupper() and word.casefold() not in _COMMON]


def _month_held(name: str, evidence: str) -> bool:
    """True for a month that stands in the evidence, by its name or its number."""
    if name.casefold() not in _MONTHS:
        return False
    number = _MONTHS.index(name.casefold()) + 1
    return name.casefold()[:3] in evidence.casefold() or bool(re.search(rf"(?<!\d)0?{number}(?!\d)", evidence))


def _same(mention: str, found: str) -> bool:
    """True where two names, dates or numbers may be the same, or cannot be compared."""
    ours, theirs = _numbers(mention), _numbers(found)
    if ours and theirs:
        return bool(ours & theirs)
    if ours or theirs:
        return True
    return bool({_stem(word) for word in _words(mention)} & {_stem(word) for word in _words(found)})
