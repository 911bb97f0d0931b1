"""Wordings of questions that need several rows of a table, and names of columns in words.

The wordings and their word lists are in ``words/rows.yaml``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from ragyena.train.augment.row_tables import Value
from ragyena.train.augment.words import word_lists

__all__ = [
    "NOT_MEASURED",
    "column_words",
    "comparative",
    "filled",
    "is_counted",
    "lower",
    "noun_of",
    "superlative",
    "threshold_words",
    "worded",
]

_WORDS = word_lists("rows")
NOT_MEASURED = frozenset(_WORDS["not_measured"].split())
"""Names of columns, in lower case, that nobody asks for the largest value of."""
_PEOPLE = frozenset(_WORDS["people"].split())
_NAME = re.compile(r"[A-Za-z][A-Za-z' /&-]*(?: ?\((?P<note>[^()]{1,16})\))?")


def superlative(naming: str, name: str, values: Sequence[Value | None], is_most: bool, chooser: random.Random) -> str:
    column, last = column_words(name) or "", _last(name)
    place = 0 if is_most else 1
    if _is_dated(values):
        if verb := _verb(name):
            return worded("dated", naming, chooser, MOST="last" if is_most else "first", VERB=verb)
        late = chooser.choice(("latest", "most recent") if is_most else ("earliest", "earliest"))
        return worded("undated" if _is_plain(name) else "date", naming, chooser, MOST=late, COLUMN=column)
    if last in _WORDS["whole"] and len(column.split()) == 1 and chooser.random() < 0.6:
        return worded("whole", naming, chooser, MOST=_WORDS["whole"][last][0][place])
    if is_counted(name):
        most = chooser.choice(
            ("most", "most", "highest number of") if is_most else ("fewest", "least", "lowest number of")
        )
    else:
        most = chooser.choice(("highest", "largest", "greatest") if is_most else ("lowest", "smallest"))
    return worded("most", naming, chooser, MOST=most, COLUMN=column)


def threshold_words(
    naming: str, name: str, values: Sequence[Value | None], is_most: bool, value: str, chooser: random.Random
) -> str:
    column = column_words(name) or ""
    if _is_dated(values):
        if verb := _verb(name):
            return worded("after" if is_most else "before", naming, chooser, VERB=verb, VALUE=value)
        if _is_plain(name):
            return worded("undated_after" if is_most else "undated_before", naming, chooser, VALUE=value)
        return worded("later" if is_most else "earlier", naming, chooser, COLUMN=column, VALUE=value)
    if is_counted(name) and not re.search(r"[^\d,.]", value):
        less = chooser.choice(("fewer", "less"))
        return worded("above" if is_most else "below", naming, chooser, COLUMN=column, VALUE=value, LESS=less)
    return worded("over" if is_most else "under", naming, chooser, COLUMN=column, VALUE=value)


def comparative(naming: str, name: str, values: Sequence[Value | None], chooser: random.Random) -> tuple[str, bool]:
    """A wording, and whether the row of the larger value is the answer."""
    column, last, is_more = column_words(name) or "", _last(name), chooser.random() < 0.6
    if _is_dated(values):
        if verb := _verb(name):
            more = chooser.choice(("later", "last") if is_more else ("earlier", "first"))
            return worded("compare_dated", naming, chooser, MORE=more, VERB=verb), is_more
        more, form = "later" if is_more else "earlier", "compare_undated" if _is_plain(name) else "compare_date"
        return worded(form, naming, chooser, MORE=more, COLUMN=column), is_more
    if last in _WORDS["whole"] and len(column.split()) == 1 and chooser.random() < 0.6:
        return worded("compare_whole", naming, chooser, MORE=_WORDS["whole"][last][1][0]), True
    if is_counted(name):
        more = "more" if is_more else "fewer"
    else:
        more = chooser.choice(("higher", "larger", "greater") if is_more else ("lower", "smaller"))
    words = worded("compare", naming, chooser, MORE=more, COLUMN=column)
    article = "" if is_counted(name) else "the "
    return words.replace("has the ", "has ").replace("has ", f"has {article}"), is_more


def worded(form: str, naming: str, chooser: random.Random, **words: str) -> str:
    """A wording of the ``form``, with the ``words`` for those that stand for them."""
    question: str = chooser.choice(_WORDS["ask"][form])
    noun = noun_of(naming) or "one"
    which = (
        chooser.choice(("who", f"which {noun}"))
        if noun in _PEOPLE
        else chooser.choice((f"which {noun}",) * 3 + (f"what {noun}",))
    )
    if noun == "one" or not noun:
        noun, which = "one", "which one"
    for word, text in {"WHICH": which, "THING": noun, **words}.items():
        question = re.sub(rf"\b{word}\b", text.replace("\\", r"\\"), question)
    question = re.sub(r"\b([Aa]) (?=[aeioAEIO])", r"\1n ", question.replace("For who ", "For whom "))
    return question if chooser.random() < 0.12 else capital(question)


def filled(form: str, **texts: str) -> str:
    """The ``form`` with the ``texts`` for the words that stand for them."""
    begins_with_name = form.startswith(tuple(texts))
    result = re.sub(rf"\b(?:{'|'.join(texts)})\b", lambda word: texts[word[0]], form)
    return result if begins_with_name or form[:1].islower() else capital(result)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def lower(text: str) -> str:
    """A question without the capital that begins it, where that word is one of a wording."""
    first = text.split()[0]
    return text[:1].lower() + text[1:] if first.lower() in _WORDS["beginnings"] else text


def column_words(name: str) -> str | None:
    """A measured column's name in words; None where it has none that can be said."""
    short = _WORDS["short"].get(name.lower().strip())
    if short:
        return str(short)
    match = _NAME.fullmatch(name.strip())
    if match is None or len(name.split()) > 4:
        return None
    said = re.sub(r"\s*\([^()]*\)$", "", name.strip()) if not (match["note"] or "").isdigit() else name.strip()
    words = [word if word[1:] != word[1:].lower() else word.lower() for word in said.split()]
    return " ".join(words) if all(len(word) > 2 or word in ("in", "of", "to", "at") for word in words) else None


def noun_of(name: str) -> str | None:
    """The noun for a cell of the column that names rows: ``team``; "" where none is said, None where it names none."""
    generic: dict[str, str] = _WORDS["generic"]
    if name.lower().strip() in generic:
        return generic[name.lower().strip()]
    noun = column_words(name)
    if (
        noun is None
        or len(noun.split()) > 2
        or "/" in noun
        or name.lower() in NOT_MEASURED - {"event", "season", "game"}
    ):
        return None
    if re.search(r"(?<![sui])s$", noun):
        noun = re.sub(r"ies$", "y", noun) if noun.endswith("ies") else noun[:-1]
    return noun


def _last(name: str) -> str:
    return (column_words(name) or "").split(" (")[0].split()[-1].lower()


def is_counted(name: str) -> bool:
    """True for a column of things that are counted: ``points``."""
    return bool(re.search(r"(?<![sui])s$", _last(name)))


def _is_dated(values: Sequence[Value | None]) -> bool:
    return any(value is not None and value.kind in ("year", "date") for value in values)


def _is_plain(name: str) -> bool:
    """True for a column of dates whose name does not say of what they are."""
    return name.lower() in ("year", "years", "date", "dates")


def _verb(name: str) -> str | None:
    """The verb of a column of dates: ``was founded``."""
    verbs = (_WORDS["dates"].get(word) for word in (column_words(name) or "").lower().split())
    return next((str(verb) for verb in verbs if verb), None)
