"""Follow-up questions made whole: "and in 2022?" after "What was the revenue in 2021?" asks for the revenue in 2022.

By rules, on the words alone. Three kinds are known:

- a fragment ("and in 2022?", "what about the Vienna office?") takes the place of what it varies in the question before:
  what stands after the same preposition, what is of the same type (year, quarter, month, day), what has the same head
  noun, or else the last name or phrase in it;
- a bare question word ("why?", "by whom?", "since when?") asks for more about the question before;
- a pronoun ("how heavy is it?", "who are its owners?") stands for the answer before, where that is a name or a short
  phrase, or else for what the question before was about.

Anything else is a question of its own and stays as it is. The result is what is searched and read, and is shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragyena.documents.words import read_words
from ragyena.reader.question_phrases import (
    AUXILIARIES,
    DETERMINERS,
    PREPOSITIONS,
    QUESTION_WORDS,
    could_be_verb,
    end_of_phrase,
    name_phrases,
    noun_phrases,
    stem,
)

__all__ = ["Turn", "standalone"]

_OPENINGS = read_words(__file__, "follow_up_openings")
_BARE = frozenset(read_words(__file__, "bare_question_endings"))

_THINGS = frozenset(("it", "they", "them", "that", "this", "these", "those", "that one", "this one", "the same"))
_PERSONS = frozenset(("he", "she", "him"))
_OWNED = {"its": "thing", "their": "thing", "theirs": "thing", "his": "person", "hers": "person"}
_PLACES = frozenset(("there", "here"))
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|(?-i:May)|(?<=in )may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
_TYPES = {
    "year": re.compile(r"\b(?:19|20|21)\d\d\b"),
    "quarter": re.compile(r"\b(?:Q[1-4]|(?:first|second|third|fourth|last) quarter)\b", re.IGNORECASE),
    "month": re.compile(rf"\b{_MONTH}\b", re.IGNORECASE),
    "day": re.compile(rf"\b(?:{_DAY}|weekends?|weekdays?|public holidays?)\b", re.IGNORECASE),
}
"""Types of a fragment, the most particular first: what is of one type is varied by what is of the same."""
_ALIKE = (
    frozenset(("in", "on", "at", "inside", "outside", "near")),
    frozenset(("over", "under", "above", "below")),
    frozenset(("before", "after", "during", "since", "until")),
)
"""Prepositions of one kind: a phrase with one takes the place of a phrase with another."""
_RANK = re.compile(
    r"\b(?:first|second|third|fourth|fifth|sixth|last|next|previous|other|smaller|larger|(?:small|larg|high|low|old|new|"
    r"young|long|short|cheap|fast|slow)est|\d+(?:st|nd|rd|th))$",
    re.IGNORECASE,
)
"""A word that names one of several without the noun."""
_LONGEST_TOPIC = 8
_LONGEST_FRAGMENT = 9


@dataclass(frozen=True, slots=True)
class Turn:
    """A question as it was asked of the documents, and its answer; an empty one if it was withheld."""

    question: str
    answer: str = ""


def standalone(question: str, history: Sequence[Turn]) -> str:
    """``question`` as one that can be understood without ``history`` (oldest first); itself where it already can."""
    question = " ".join(question.split())
    if not history or not question:
        return question
    last = history[-1]
    before = last.question.rstrip(" ?!.")
    opening, rest = _without_opening(question.rstrip(" ?!."))
    words = rest.split()
    if not words:
        return question
    if _is_bare_question(words):
        return _asked_further(before, rest)
    if _is_fragment(words, opened=bool(opening)):
        return _sentence(_varied(before, rest))
    return _with_subject(question, last)


# --- fragments -------------------------------------------------------------------------------------------------


def _without_opening(text: str) -> tuple[str, str]:
    """The words that open a follow-up and add nothing, and the rest."""
    lowered = text.lower()
    for opening in _OPENINGS:
        if lowered.startswith(opening) and (len(text) == len(opening) or not text[len(opening)].isalnum()):
            rest = text[len(opening) :].lstrip(" ,")
            further, rest = _without_opening(rest) if rest else ("", rest)
            return f"{opening} {further}".strip(), rest
    return "", text


def _is_bare_question(words: Sequence[str]) -> bool:
    """True for "why", "by whom", "since when", "how much", "which ones", "why not", "what dose", "within what time"."""
    lowered = [word.lower() for word in words]
    asks = [word for word in lowered if word in QUESTION_WORDS]
    if asks in (["what"], ["which"]) and not any(word in AUXILIARIES for word in lowered):
        named = lowered.index(asks[0]) + 1  # what it asks for, alone, is the last word
        if named + 1 == len(words) and all(word in PREPOSITIONS for word in lowered[: named - 1]):
            return True
    others = [word for word in lowered if word not in QUESTION_WORDS and word not in PREPOSITIONS]
    return len(asks) == 1 and len(words) <= 3 and all(o in _BARE for o in others)


def _is_fragment(words: Sequence[str], *, opened: bool) -> bool:
    """True for a phrase that is no sentence: no question word, no verb that would make it one."""
    lowered = [word.lower() for word in words]
    if len(words) > _LONGEST_FRAGMENT or lowered[0] in QUESTION_WORDS or any(w in AUXILIARIES for w in lowered):
        return False
    return opened or lowered[0] in PREPOSITIONS or lowered[0] in ("the", "only") or len(words) <= 3


def _varied(before: str, fragment: str) -> str:
    """The question before with ``fragment`` in the place of what it varies, or after it where nothing fits."""
    fragment = re.sub(r"^(?:the ones?|those|that) (?=\w+ )", "", fragment, flags=re.IGNORECASE)
    fragment = re.sub(r",? (?:too|as well|also)$", "", fragment, flags=re.IGNORECASE)
    fragment = re.sub(r"^(?:its|their|his|her) ", "the ", fragment, flags=re.IGNORECASE)
    first, _, rest = fragment.partition(" ")
    if first.lower() in PREPOSITIONS and rest:
        preposition, value = first, rest
    else:
        preposition, value = "", fragment
    for pattern in _TYPES.values():
        if pattern.search(value):
            typed = list(pattern.finditer(before))
            if typed:
                if pattern.fullmatch(_bare(value)):
                    return before[: typed[-1].start()] + _bare(value) + before[typed[-1].end() :]
                return _replaced_phrase(before, typed[-1].start(), preposition, value)
    words = before.split()
    at = _place_of(words, preposition, value)
    if at is None:
        joined = fragment if preposition else f"for {fragment}"
        return f"{before} {joined}"
    first_word, last_word = at
    if preposition and words[first_word - 1].lower() != preposition.lower():
        return " ".join([*words[: first_word - 1], preposition, value, *words[last_word:]])
    head = words[last_word - 1]
    if _RANK.search(value) and not _RANK.search(head):
        value = f"{value} {head}"  # "the third": of what stood there
    if re.search(r"\bones?$", value, re.IGNORECASE) and not re.search(r"\bones?$", head, re.IGNORECASE):
        value = f"{value.rpartition(' ')[0]} {head}"  # "the large one": of what stood there
    return " ".join([*words[:first_word], value, *words[last_word:]])


def _bare(value: str) -> str:
    return re.sub(r"^(?:the|a|an)\s+", "", value)


def _replaced_phrase(before: str, near: int, preposition: str, value: str) -> str:
    """The phrase around a place of the question before, from its preposition on, replaced."""
    words = before.split()
    count = len(before[:near].split())
    start = count
    while start > 0 and words[start - 1].lower() not in PREPOSITIONS | AUXILIARIES | QUESTION_WORDS:
        start -= 1
    end = end_of_phrase(words, count)
    if preposition and start > 0 and words[start - 1].lower() in PREPOSITIONS:
        return " ".join([*words[: start - 1], preposition, value, *words[end:]])
    return " ".join([*words[:start], value, *words[end:]])


def _place_of(words: Sequence[str], preposition: str, value: str) -> tuple[int, int] | None:
    """First word and the one after the last of the phrase that ``value`` takes the place of."""
    lowered = [word.lower() for word in words]
    if preposition:
        kind = next((group for group in _ALIKE if preposition.lower() in group), frozenset([preposition.lower()]))
        places = [at for at, word in enumerate(lowered[:-1]) if word == preposition.lower()]
        places = places or [at for at, word in enumerate(lowered[:-1]) if word in kind]
        return (places[-1] + 1, end_of_phrase(words, places[-1] + 1)) if places else None
    *leading, head = value.lower().split()
    shape = re.sub(r"\d+", "0", head)
    if shape != head:  # "ward 4", "the V-40", "14": what is numbered alike
        numbered = [at for at, word in enumerate(lowered) if re.sub(r"\d+", "0", word) == shape]
        if numbered:
            first = numbered[-1] - len(leading)
            whole = first >= 0 and lowered[first : numbered[-1]] == leading
            return (first if whole else numbered[-1]), numbered[-1] + 1
    phrases = noun_phrases(words)
    same = [(s, at + 1) for s, e in phrases for at in range(s, e) if stem(lowered[at]) == stem(head)]
    if same:
        return same[-1]
    if value[:1].isupper() and (names := [(s, e) for s, e in name_phrases(words) if not words[s].isdecimal()]):
        return names[-1]
    determined = value.split()[0].lower() in DETERMINERS
    alike = [(s, e) for s, e in phrases if (lowered[s] in DETERMINERS) == determined and not words[s][:1].isupper()]
    if alike:  # the subject before its complements
        return next(((s, e) for s, e in alike if s > 0 and lowered[s - 1] in AUXILIARIES), alike[0])
    if not determined and len(words) > 2 and lowered[-1] not in PREPOSITIONS and not could_be_verb(words[-1]):
        return len(words) - 1, len(words)  # the object at the end
    return phrases[-1] if phrases else None


# --- bare question words -----------------------------------------------------------------------------------------


def _asked_further(before: str, asked: str) -> str:
    """ "Did the board reject it" and "why" make "Why did the board reject it?"; others are joined."""
    first = before.split()[0].lower() if before else ""
    if first in AUXILIARIES:
        return _sentence(f"{asked} {before[:1].lower()}{before[1:]}")
    return _sentence(f"{before}, {asked[:1].lower()}{asked[1:]}")


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}?"


# --- pronouns ----------------------------------------------------------------------------------------------------


def _with_subject(question: str, last: Turn) -> str:
    """``question`` with its first pronoun that points back replaced by what it stands for."""
    words = question.split()
    for at, word in enumerate(words):
        bare = word.strip("?!.,;:").lower()
        role = _role(words, at, bare)
        if role is None:
            continue
        subject = _subject(last, role, plural=bare in ("they", "them", "their"))
        if not subject or subject.lower() in question.lower():
            return question
        tail = word[len(word.rstrip("?!.,;:")) :]
        owned = bare in _OWNED or (bare == "her" and _owns(words, at))
        suffix = ("'" if subject.endswith("s") else "'s") if owned else ""
        if role == "place":
            subject = subject if subject.split()[0].lower() in PREPOSITIONS else f"in {subject}"
        end = at + 1
        if bare in ("that", "this") and end < len(words) and words[end].strip("?!.,;:").lower() == "one":
            tail = words[end][len(words[end].rstrip("?!.,;:")) :]
            end += 1
        replaced = " ".join([*words[:at], f"{subject}{suffix}{tail}", *words[end:]])
        return f"{replaced[:1].upper()}{replaced[1:]}"
    return question


def _role(words: Sequence[str], at: int, bare: str) -> str | None:
    """The referent of the pronoun at ``at``: a thing, a person or a place; None where it points at nothing before."""
    following = words[at + 1].strip("?!.,;:").lower() if at + 1 < len(words) else ""
    if bare in _PERSONS or bare == "her" or _OWNED.get(bare) == "person":
        return "person"
    if _OWNED.get(bare) == "thing":
        return "thing"
    if bare in _PLACES:
        before = words[at - 1].lower() if at else ""
        return None if before in AUXILIARIES or following in AUXILIARIES else "place"
    if bare == "it" and following in ("possible", "true", "allowed", "ok", "okay", "necessary"):
        return None
    if bare in ("that", "this", "these", "those"):  # "the firm that built it" and "this contract" point elsewhere
        alone = not following or following in AUXILIARIES | PREPOSITIONS | {"one", "then", "exactly"}
        opens = at == 0 or words[at - 1].lower() in AUXILIARIES | PREPOSITIONS
        return "thing" if alone and opens else None
    return "thing" if bare in _THINGS else None


def _owns(words: Sequence[str], at: int) -> bool:
    following = words[at + 1].strip("?!.,;:").lower() if at + 1 < len(words) else ""
    return bool(following) and following not in PREPOSITIONS | AUXILIARIES | QUESTION_WORDS


def _subject(last: Turn, role: str, *, plural: bool) -> str:
    """The referent of the pronoun of a follow-up."""
    answer = last.answer.strip().rstrip(".")
    words = last.question.rstrip(" ?!.").split()
    asked = next((word.lower() for word in words if word.lower() in QUESTION_WORDS), "")
    short = 0 < len(answer.split()) <= _LONGEST_TOPIC and answer.lower() not in ("yes", "no")
    if role == "place":
        if short and (asked == "where" or answer[:1].isupper()):
            return answer
        places = [at for at, word in enumerate(words[:-1]) if word.lower() in ("in", "at", "near", "on")]
        if places:
            return " ".join(words[places[-1] : end_of_phrase(words, places[-1] + 1)])
        named = name_phrases(words)
        return " ".join(words[slice(*named[-1])]) if named else ""
    if role == "person":
        if short and asked in ("who", "whom", "whose"):
            return answer
        named = name_phrases(words)
        return " ".join(words[slice(*named[-1])]) if named else ""
    topic = _topic(words)
    if asked == "who":
        return answer if short and plural and not topic.endswith("s") else topic
    if short and asked in ("which", "what") and _names_a_thing(words, answer):
        return answer
    return topic


def _names_a_thing(words: Sequence[str], answer: str) -> bool:
    """True where "which pump" or "what company" was asked, so that the answer is the thing."""
    at = next(i for i, word in enumerate(words) if word.lower() in ("which", "what"))
    following = words[at + 1].lower() if at + 1 < len(words) else ""
    if re.fullmatch(r"[\d.,%€$£\s]+.{0,12}", answer):
        return words[at].lower() == "which" and " " not in answer
    if (
        following in AUXILIARIES
    ):  # "What is the capital of Norrland?": a name is the thing, a phrase says something of it
        return answer[:1].isupper()
    return answer[:1].isupper() or len(answer.split()) <= 4


def _topic(words: Sequence[str]) -> str:
    """The phrase that the question was about: the longest name, or its first noun phrase after the verb."""
    phrases = noun_phrases(words)
    if not phrases:
        return ""
    subjects = [(s, e) for s, e in phrases if s > 0 and words[s - 1].lower() in AUXILIARIES]
    if subjects and subjects[0][1] - subjects[0][0] == 1 and words[subjects[0][0]].islower() and len(phrases) > 1:
        subjects = phrases[phrases.index(subjects[0]) + 1 :]  # "responsible for backups", "decided about the roof"
    start, end = (subjects or phrases)[0]
    if end + 1 < len(words) and words[end].lower() in ("of", "on", "for", "at", "with"):  # it belongs to the phrase
        end = end_of_phrase(words, end + 1)
    if words[start].lower() in DETERMINERS - {"the", "this", "that", "these", "those"}:
        return " ".join(["the", *words[start + 1 : end]])
    return " ".join(words[start:end])
