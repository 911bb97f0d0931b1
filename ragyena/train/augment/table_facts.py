"""Facts that the first sentences of an encyclopaedia's articles tell, found by how they are told.

Each is an answer in the text, ways to ask for it of a named thing, and ways to say which thing it is by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ragyena.data.clozes import DATE, NAME

__all__ = ["Fact", "facts"]

_LONGEST = 60  # chars of an answer
_PLACE = rf"{NAME}(?:, {NAME}){{0,2}}"
_SCHOOL = rf"(?:the )?{NAME}"
_PAST = {"written": "wrote", "sung": "sang"}


@dataclass(frozen=True, slots=True)
class Fact:
    """``text[start:end]`` of an article answers ``asked``, in which ``{}`` stands for what the article is about."""

    start: int
    end: int
    asked: tuple[str, ...]
    told: tuple[str, ...]
    """What follows the kind of thing to say which one it is: ``born in {}``, the answer for ``{}``. May be none."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: re.Pattern[str]
    """The group ``answer`` is the answer; ``verb``, where there is one, a word that goes into the questions."""
    asked: tuple[str, ...]
    told: tuple[str, ...] = ()


def _pattern(regex: str, asked: str, told: str = "") -> _Pattern:
    return _Pattern(re.compile(regex), tuple(asked.split(" | ")), tuple(told.split(" | ")) if told else ())


_PATTERNS = (
    _pattern(
        rf"\bborn (?:on )?(?P<answer>{DATE})",
        "When was {} born? | What is the date of birth of {}? | On what date was {} born? | What is {}'s birthday?",
        "born on {} | whose birthday is {}",
    ),
    _pattern(r"\bborn (?:on |in )?[^.;()]{0,24}?(?P<answer>\b(?:1[5-9]|20)\d\d)\b", "In what year was {} born?"),
    _pattern(
        rf"\bborn (?:[^.;()]{{0,30}} )?in (?P<answer>{_PLACE})",
        "Where was {} born? | What is the birthplace of {}? | In which city was {} born?",
        "born in {} | who comes from {}",
    ),
    _pattern(
        rf"^[^()]{{0,80}}\([^()]{{0,80}}(?:-|–|died) ?(?P<answer>{DATE})\)",
        "When did {} die? | What is the date of death of {}?",
        "who died on {}",
    ),
    _pattern(
        r"\b(?:is|was) an? (?P<answer>[A-Z][a-z]+(?:-[A-Z][a-z]+)?) (?:former |retired |professional |international )*"
        r"(?:[a-z]+ )?(?:footballer|player|actor|actress|singer|writer|director|politician|driver|cyclist|skater|"
        r"swimmer|athlete|boxer|racer|golfer|skier|musician|rapper|rower|wrestler|gymnast|composer|producer|coach|"
        r"manager|model|journalist|author|artist|rider|runner|jumper|fencer|sprinter)",
        "What is the nationality of {}? | What nationality is {}? | Which country is {} from?",
    ),
    _pattern(
        r"\b(?:is|was) an? (?:[A-Z][a-z]+(?:-[A-Z][a-z]+)? )?(?:former |retired |professional )*"
        r"(?P<answer>(?:[a-z]+ ){0,2}(?:footballer|player|actor|actress|singer|writer|director|politician|driver|"
        r"cyclist|skater|swimmer|boxer|golfer|skier|musician|rapper|rower|wrestler|gymnast|composer|coach|journalist))",
        "What is the profession of {}? | What is the occupation of {}? | What does {} do?",
    ),
    _pattern(
        rf"\b(?:located|situated|headquartered|based) (?:near |in |on |at )(?:the )?(?P<answer>{_PLACE})",
        "Where is {} located? | What is the location of {}? | In what place is {}?",
        "located in {} | that is in {}",
    ),
    _pattern(
        rf"\b(?:city|town|village|municipality|township|commune|suburb|community|parish) (?:located |situated )?in "
        rf"(?:the )?(?P<answer>{_PLACE})",
        "Where is {}? | Where is {} located? | What is {} part of?",
        "located in {}",
    ),
    _pattern(
        rf"\bin (?P<answer>{NAME} County)\b", "In which county is {}? | What county is {} in?", "in {} | located in {}"
    ),
    _pattern(
        r"\bpopulation (?:of |was |is |estimate of )(?:about |approximately |around |over |nearly |estimated at )?"
        r"(?P<answer>\d[\d,.]*\d(?: million)?)",
        "What is the population of {}? | How many people live in {}? | How many inhabitants does {} have?",
        "with a population of {} | that has {} inhabitants",
    ),
    _pattern(
        r"\b(?P<verb>founded|established|formed|opened|built|chartered|incorporated|completed|created|launched|"
        r"constructed|organized|erected|introduced|dissolved|abolished|closed|demolished) "
        rf"(?:on |in )(?P<answer>{DATE})",
        "When was {} VERB? | In what year was {} VERB? | What year was {} VERB?",
        "VERB in {} | that was VERB in {}",
    ),
    _pattern(
        rf"\b(?P<verb>directed|written|founded|produced|designed|composed|published|developed|created|built|recorded|"
        rf"performed|owned|operated|established|managed|led|edited|painted|invented|discovered|sung|released) by "
        rf"(?:the |American |British |Australian |architects? |director |singer |rapper )*(?P<answer>{NAME})",
        "Who PAST {}? | By whom was {} VERB? | {} was VERB by whom?",
        "VERB by {} | that was VERB by {}",
    ),
    _pattern(
        rf"\breleased (?:[a-z ]{{0,30}})?(?:on|in) (?P<answer>{DATE})",
        "When was {} released? | What is the release date of {}? | In what year did {} come out?",
        "released in {} | that came out in {}",
    ),
    _pattern(
        r"\b(?:capacity|seating) (?:of|for|is)(?: about| approximately| around| over)? (?P<answer>\d[\d,]*\d)",
        "What is the capacity of {}? | How many people can {} hold? | How many spectators does {} seat?",
        "with a capacity of {} | that holds {} people",
    ),
    _pattern(
        r"\belevation (?:of|is)(?: about| approximately)? (?P<answer>\d[\d,.]* (?:feet|metres|meters|ft|m)\b)",
        "What is the elevation of {}? | How high is {}?",
        "with an elevation of {}",
    ),
    _pattern(
        r"\barea (?:of|is)(?: about| approximately)? "
        r"(?P<answer>\d[\d,.]* (?:square (?:miles|kilometres|kilometers|feet)|acres|hectares|km|sq))",
        "What is the area of {}? | How large is {}?",
        "with an area of {}",
    ),
    _pattern(
        rf"\b(?:nicknamed|[Aa]lso known as|known as|better known as|[Nn]icknames? (?:is|was|are)|called) "
        rf"(?:the |The )?[\"“']?(?P<answer>{NAME})",
        "What is the nickname of {}? | What is {} also known as? | What is another name for {}?",
        "known as {} | nicknamed {}",
    ),
    _pattern(
        r"\b(?:formerly|originally|previously|initially) (?:known as |called |named )(?:the )?"
        rf"[\"“']?(?P<answer>{NAME})",
        "What was {} formerly known as? | What was the original name of {}? | What was the former name of {}?",
        "formerly known as {}",
    ),
    _pattern(
        rf"\b(?:attended|graduated from|studied at|educated at|student at|alumnus of|degree from) "
        rf"(?P<answer>{_SCHOOL})",
        "Which school did {} attend? | Where did {} study? | Where was {} educated?",
        "who studied at {} | who attended {}",
    ),
    _pattern(
        rf"\b(?:played|plays|playing)(?: [a-z-]+){{0,4}} (?:for|with) (?:the )?(?:[A-Za-z]+ (?:club|side|team) )?"
        rf"(?P<answer>{NAME})",
        "Which team did {} play for? | For which club did {} play? | What team does {} play for?",
        "who played for {}",
    ),
    _pattern(
        rf"\b(?:play|plays|played) (?:its|their) home (?:games|matches) (?:at|in) (?:the )?(?P<answer>{NAME})",
        "Where does {} play its home games? | What is the home ground of {}?",
        "that plays its home games at {}",
    ),
    _pattern(
        rf"\b(?:member|part|subsidiary|division|suburb) of (?:the )?(?P<answer>{NAME})",
        "What is {} a part of? | What is {} a member of?",
        "that is part of {} | that belongs to {}",
    ),
    _pattern(
        rf"\bwon (?:the |a |an |his first |her first )?(?P<answer>{NAME}(?: medal)?)",
        "What did {} win? | Which award did {} win?",
        "that won {} | who won the {}",
    ),
    _pattern(
        rf"\bnamed (?:after|for|in honou?r of) (?:the )?(?P<answer>{NAME})",
        "Who is {} named after? | What is {} named after? | Who is the namesake of {}?",
        "named after {}",
    ),
    _pattern(
        rf"\b(?:starring|stars) (?P<answer>{NAME})",
        "Who starred in {}? | Who plays the lead in {}?",
        "starring {}",
    ),
    _pattern(
        rf"\b(?:married|marriage to|wife of|husband of|spouse) (?:to )?(?P<answer>{NAME})",
        "Who is the spouse of {}? | Who did {} marry?",
        "married to {}",
    ),
    _pattern(
        r"\b(?P<answer>\d[\d,]*) (?P<verb>students|members|episodes|employees|rooms|floors|stories|seats|goals|games|"
        r"matches|islands|locations|stores|restaurants|species|chapters|schools|branches|campuses)\b",
        "How many VERB does {} have? | What is the number of VERB of {}?",
        "with {} VERB | that has {} VERB",
    ),
    _pattern(
        rf"\b(?:held|hosted|takes place|took place) (?:annually |every year )?(?:in|at) (?:the )?(?P<answer>{_PLACE})",
        "Where is {} held? | In which city does {} take place? | Where did {} take place?",
        "held in {} | that takes place in {}",
    ),
    _pattern(
        rf"\b(?:held|took place|takes place|ran|played)(?: [a-z]+){{0,3}} (?:on|from|between) (?P<answer>{DATE})",
        "When was {} held? | When did {} take place?",
        "held on {}",
    ),
    _pattern(
        rf"\b(?:represents|represented|competed for|competing for) (?P<answer>{NAME})",
        "Which country did {} represent? | What country does {} compete for?",
        "who represents {}",
    ),
    _pattern(
        rf"\b(?P<verb>capital|county seat|largest city) of (?:the )?(?P<answer>{NAME})",
        "What is {} the VERB of? | {} is the VERB of what?",
        "that is the VERB of {}",
    ),
    _pattern(
        rf"\b(?:set|takes place|filmed|shot) in (?P<answer>{_PLACE})",
        "Where is {} set? | What is the setting of {}?",
        "set in {}",
    ),
    _pattern(
        r"\b(?P<verb>genus|family|order) (?P<answer>[A-Z][a-z]+)\b",
        "What VERB does {} belong to? | What VERB is {} in?",
    ),
    _pattern(
        rf"\b(?:drafted|selected|signed) by (?:the )?(?P<answer>{NAME})",
        "Who drafted {}? | Which team signed {}?",
        "drafted by {} | who signed for {}",
    ),
)


def facts(text: str) -> Iterator[Fact]:
    """What the text tells of what it is about: of each kind the first."""
    yield from _full_name(text)
    for pattern in _PATTERNS:
        found = pattern.regex.search(text)
        if found is None:
            continue
        start, end = found.span("answer")
        full_stop = re.search(r"\w{3}(?=\. )", found["answer"])  # a name that runs into the next sentence
        if full_stop is not None:
            end = start + full_stop.end()
        if not 1 < end - start <= _LONGEST or re.search(r"\b[A-Z]$", text[start:end]):  # an initial: it goes on
            continue
        verb = found["verb"] if "verb" in pattern.regex.groupindex else ""
        asked, told = (
            tuple(form.replace("VERB", verb).replace("PAST", _PAST.get(verb, verb)) for form in forms)
            for forms in (pattern.asked, pattern.told)
        )
        yield Fact(start, end, asked, told)


def _full_name(text: str) -> Iterator[Fact]:
    """What an article begins with, in front of a bracket or a verb, is a name in full."""
    found = re.match(rf"(?:The )?(?P<answer>{NAME})(?= \(|, | is | was )", text)
    if found is not None and len(found["answer"].split()) >= 3:
        asked = ("What is the full name of {}?", "What is the official name of {}?", "What is the birth name of {}?")
        yield Fact(found.start("answer"), found.end("answer"), asked, ())
