"""Questions twisted until their passage answers them not.

Such a question asks for something its passage does not say, by the means that the annotators of SQuAD 2.0 used most
(Rajpurkar et al. 2018, table 1): another name or number, another word, an antonym, a negation, one condition more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ragyena.data.clozes import mentions

__all__ = ["STEM", "Twister"]

STEM = 4  # letters that two forms of one word share
_IN_PASSAGE = 0.5  # of the swapped-in names, taken from the passage itself where it has one
_DRAWS = 4  # for each of several twists that are to differ
_NEAR_IN_PASSAGE = 0.3  # of the swapped-in words that may occur in the passage

_OPPOSITES = """first/last before/after largest/smallest biggest/smallest highest/lowest most/least more/fewer
    north/south northern/southern east/west eastern/western northeast/southwest northwest/southeast best/worst
    oldest/youngest older/younger early/late earlier/later inside/outside male/female men/women father/mother
    son/daughter brother/sister husband/wife king/queen positive/negative maximum/minimum longest/shortest
    longer/shorter major/minor higher/lower larger/smaller bigger/smaller public/private common/rare strong/weak
    stronger/weaker rich/poor richer/poorer hot/cold warm/cool fast/slow faster/slower heavy/light
    heaviest/lightest wide/narrow deep/shallow legal/illegal possible/impossible direct/indirect formal/informal
    regular/irregular military/civilian modern/ancient old/new good/bad better/worse easy/difficult
    easier/harder domestic/foreign internal/external upper/lower urban/rural temporary/permanent active/inactive
    successful/unsuccessful popular/unpopular famous/unknown majority/minority advantage/disadvantage
    success/failure victory/defeat war/peace beginning/end birth/death above/below up/down toward/away
    primary/secondary former/current few/many always/never often/rarely similar/different same/different
    left/right front/back top/bottom full/empty dry/wet dark/bright begin/end began/ended begun/ended won/lost
    win/lose rise/fall rose/fell risen/fallen buy/sell bought/sold grow/shrink grew/shrank find/lose found/lost
    build/destroy built/destroyed teach/learn taught/learned forget/remember forgot/remembered sink/float
    sank/floated come/go came/went send/receive sent/received leave/enter left/entered"""
_VERBS = """increase/decrease start/stop open/close join/leave agree/disagree support/oppose allow/forbid accept/reject
    gain/lose add/subtract accelerate/decelerate attack/defend create/destroy expand/contract strengthen/weaken
    raise/lower include/exclude appear/disappear connect/disconnect attract/repel import/export absorb/emit
    encourage/discourage approve/veto arrive/depart advance/retreat succeed/fail enable/prevent protect/endanger
    praise/criticize legalize/outlaw appoint/dismiss hire/fire borrow/lend admit/deny confirm/deny elect/defeat
    introduce/abolish establish/dissolve improve/worsen unite/divide collect/distribute invade/liberate
    remember/forget continue/cease receive/send produce/consume follow/precede"""  # of these all forms
_IRREGULAR = frozenset(("lose", "leave", "forbid", "send", "forget", "lend"))  # stand among the opposites


def _forms(verb: str) -> tuple[str, str, str, str]:
    """A regular verb and its forms in -s, -ed and -ing."""
    stem = verb.removesuffix("e")
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb, verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing"
    double = verb[-1] if verb in ("stop", "admit", "repel", "emit") else ""
    return (
        verb,
        verb + ("es" if verb.endswith(("s", "x", "ch", "sh")) else "s"),
        stem + double + "ed",
        stem + double + "ing",
    )


def _antonyms() -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in _VERBS.split():
        one, other = pair.split("/")
        if not {one, other} & _IRREGULAR:
            for form, opposite in zip(_forms(one), _forms(other)):
                found |= {opposite: form, form: opposite}
        else:
            found |= {other: one, one: other}
    for pair in _OPPOSITES.split():
        one, other = pair.split("/")
        found |= {other: one, one: other}
    return found


_ANTONYMS = _antonyms()
_ANTONYM = re.compile(r"\b(" + "|".join(sorted(_ANTONYMS, key=len, reverse=True)) + r")\b", re.IGNORECASE)
_AUXILIARY = re.compile(r"\b(did|does|do|is|was|are|were|has|have|had|can|could|would|should)\b")
_DONE = re.compile(r"\b(?:[a-z]{3,}ed|known|made|used|found|given|seen|taken|born|built|held|called|able)\b")
_WORD = re.compile(r"\b[a-z]{4,}\b")
_ASKING = frozenset(
    """what which when where whose whom many much does have been being were with from that this these those there their
    they into than then other kind type name called used during about would could should""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Twister:
    """Twists questions with names from other texts (``pool``) and words that stand near one another (``near``, of
    each word others that are not its synonyms)."""

    pool: Sequence[str]
    near: Mapping[str, Sequence[str]]

    def twist(self, question: str, context: str, answer: str, chooser: random.Random) -> str | None:
        """The question asking for what ``context`` does not say; None where no way is found."""
        ways: list[_Way] = [
            self._swap, _antonym, self._another_word, _negate, _narrow, _date, _exchange, _turn, _word_of_passage,
        ]  # fmt: skip
        # The plainest of them, a negation, only now and then; the others as often as annotators took them.
        order = sorted(ways, key=lambda way: chooser.random() ** (1 / _WEIGHT[way.__name__]), reverse=True)
        for way in order:
            twisted = way(question, context, answer, chooser)
            if twisted is not None and twisted != question:
                return twisted
        return None

    def twists(self, question: str, context: str, answer: str, most: int, chooser: random.Random) -> list[str]:
        """Up to ``most`` different ones, in the order they were found."""
        found: dict[str, None] = {}
        for _ in range(_DRAWS * most):
            twisted = self.twist(question, context, answer, chooser)
            if twisted is None or len(found) == most:
                break
            found[twisted] = None
        return list(found)

    def _swap(self, question: str, context: str, answer: str, chooser: random.Random) -> str | None:
        """Another name, date or number in the place of one that the context holds."""
        found = [(a, b, kind) for a, b, kind in mentions(question) if a > 0 and question[a:b] in context]
        if not found:
            return None
        start, end, kind = chooser.choice(found)
        old = question[start:end]
        if kind == "name":
            inside = [context[a:b] for a, b, other in mentions(context) if other == kind]
            inside = [n for n in inside if n not in question and n not in answer and answer not in n and old not in n]
            new = chooser.choice(inside) if inside and chooser.random() < _IN_PASSAGE else chooser.choice(self.pool)
            if new in question:
                return None
        else:
            digits = re.search(r"\d+", old)
            if digits is None:
                return None
            moved = int(digits.group()) + chooser.choice([-1, 1]) * chooser.randint(
                1, max(2, int(digits.group()) // 40)
            )
            new = old[: digits.start()] + str(abs(moved)) + old[digits.end() :]
            if new == old or new in context:
                return None
        return question[:start] + new + question[end:]

    def _another_word(self, question: str, context: str, answer: str, chooser: random.Random) -> str | None:
        """A word near it in the place of one that the context holds."""
        told, answered = context.lower(), answer.lower()
        words = [
            match
            for match in _WORD.finditer(question)
            if match.group() in self.near and match.group() in told and match.group() not in _ASKING
        ]
        chooser.shuffle(words)
        for match in words:
            others = [
                other
                for other in self.near[match.group()]
                if other not in question.lower()
                and other not in answered
                and (other not in told or chooser.random() < _NEAR_IN_PASSAGE)
            ]
            if others:
                return question[: match.start()] + chooser.choice(others) + question[match.end() :]
        return None


_Way = Callable[[str, str, str, random.Random], "str | None"]
_WEIGHT = {
    "_swap": 0.35,
    "_another_word": 0.3,
    "_antonym": 0.6,  # few questions have one
    "_negate": 0.12,
    "_narrow": 0.12,
    "_date": 0.06,
    "_exchange": 0.25,  # few questions have two names
    "_turn": 0.06,
    "_word_of_passage": 0.35,
}


def _antonym(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    found = list(_ANTONYM.finditer(question))
    if not found:
        return None
    match = chooser.choice(found)
    return question[: match.start()] + _ANTONYMS[match.group().lower()] + question[match.end() :]


def _negate(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """``didn't`` for ``did``, or a ``not`` or ``never`` before what was done."""
    done = [match for match in _DONE.finditer(question) if match.start() > 0]
    verb = _AUXILIARY.search(question)
    if done and (verb is None or chooser.random() < _BEFORE_DEED):
        place = chooser.choice(done).start()
        return f"{question[:place]}{chooser.choice(_NOT)} {question[place:]}"
    if verb is None or verb.start() == 0:
        return None
    negated = "can't" if verb.group() == "can" else f"{verb.group()}n't"
    return question[: verb.start()] + negated + question[verb.end() :]


def _narrow(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """``the second bridge`` for ``the bridge``: asks for one among several, of which the context knows nothing."""
    places = [match.end() for match in _THE.finditer(question)]
    told = f"{context} {question}".lower()
    words = [word for word in _NARROWING if word not in told]
    if not places or not words:
        return None
    place = chooser.choice(places)
    return f"{question[:place]}{chooser.choice(words)} {question[place:]}"


def _date(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """Asks of a year that the context does not name, where neither question nor answer is about a time."""
    if re.search(r"\d|\bwhen\b|\byear|\bcentury\b|\bdate\b", f"{question} {answer}", re.IGNORECASE):
        return None
    years = [int(year) for year in _YEAR.findall(context)] or [chooser.randrange(1850, _LAST_YEAR)]
    year = str(min(chooser.choice(years) + chooser.choice((-1, 1)) * chooser.randint(2, 40), _LAST_YEAR))
    if year in context:
        return None
    return f"{question.rstrip(' ?')} in {year}?"


def _exchange(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """Two names of the question in each other's place: who did it to whom is turned round."""
    names = [(a, b) for a, b, kind in mentions(question) if a > 0 and kind == "name"]
    if len(names) < 2:
        return None
    (a, b), (c, d) = sorted(chooser.sample(names, 2))
    return question[:a] + question[c:d] + question[b:c] + question[a:b] + question[d:]


def _turn(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """The answer, a name, in the place of a name of the question: the deed is asked of the other side."""
    whole = [kind for a, b, kind in mentions(answer) if (a, b) == (0, len(answer))]
    names = [(a, b) for a, b, kind in mentions(question) if a > 0 and kind == "name" and question[a:b] in context]
    if whole != ["name"] or not names or answer in question:
        return None
    start, end = chooser.choice(names)
    return question[:start] + answer + question[end:]


def _word_of_passage(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """A word of the passage in the place of another of the same ending: what is asked for stands there, of something
    else."""
    told = sorted({match.group() for match in _WORD.finditer(context)} - _ASKING)
    found: list[tuple[re.Match[str], list[str]]] = []
    for match in _WORD.finditer(question):
        word, ending = match.group(), _ENDING.search(match.group())
        if word not in told or ending is None:
            continue
        others = [
            other
            for other in told
            if other.endswith(ending.group())
            and other[:STEM] != word[:STEM]
            and other not in question
            and other not in answer
        ]
        if others:
            found.append((match, others))
    if not found:
        return None
    match, others = chooser.choice(found)
    return question[: match.start()] + chooser.choice(others) + question[match.end() :]


_ENDING = re.compile(r"(?:(?<!s)s|ed|ing|ion|ment|ity|er|or|al|ic|ous|ive|ly)$")
_THE = re.compile(r"\bthe (?=[a-z]{3,}\b)(?!first|last|most|same|other|second|name|year|type|number|term)")
_LAST_YEAR = 2020
_YEAR = re.compile(r"\b1[5-9]\d\d\b|\b20[0-2]\d\b")
_NARROWING = """second third fourth last other former previous next only original new old oldest newest largest smallest
    northern southern eastern western private foreign annual national secret main least female military""".split()  # noqa: SIM905
_NOT = ("not", "not", "never", "no longer")
_BEFORE_DEED = 0.5  # of the negations of questions that say what was done
