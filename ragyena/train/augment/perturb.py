"""Unanswerable questions: answerable ones perturbed until they ask for what their passage does not say.

The perturbations are those that annotators of SQuAD 2.0 used most (Rajpurkar et al. 2018, table 1): another name or
number, another word, an antonym, a negation, one condition more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from ragyena.config.training import PERTURBATION_WEIGHTS
from ragyena.data.clozes import mentions
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError
from ragyena.train.augment.words import word_lists

__all__ = ["Perturber", "word_neighbours"]

_STEM = 4  # letters that two forms of one word share
_NAME_FROM_PASSAGE = 0.5  # of the swapped-in names, taken from the passage itself where it has one
_NEIGHBOUR_IN_PASSAGE = 0.3  # of the swapped-in words that may occur in the passage
_NEGATE_PARTICIPLE = 0.5  # of the negations of questions that hold a participle
_TRIES = 4  # for each of several perturbations that are to differ
_LAST_YEAR = 2020

_EMBEDDINGS = "embeddings.word_embeddings.weight"
_NEAREST, _FARTHEST = 0.5, 0.33  # cosines between which a word means something else and still fits
_NEIGHBOURS = 10  # neighbours of a word
_SHORTEST = 4  # letters of a word with neighbours
_BLOCK = 1024  # words compared with all at once

_WORDS = word_lists("perturbation")


def _forms(verb: str) -> tuple[str, str, str, str]:
    """A regular verb and its forms in -s, -ed and -ing."""
    stem = verb.removesuffix("e")
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb, verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing"
    double = verb[-1] if verb in _WORDS["doubling_verbs"].split() else ""
    third = verb + ("es" if verb.endswith(("s", "x", "ch", "sh")) else "s")
    return verb, third, f"{stem}{double}ed", f"{stem}{double}ing"


def _antonyms() -> dict[str, str]:
    verbs = [map(_forms, pair.split("/")) for pair in _WORDS["antonym_verbs"].split()]
    pairs = [forms for one, other in verbs for forms in zip(one, other)]
    pairs += [tuple(pair.split("/")) for pair in _WORDS["antonyms"].split()]
    antonyms: dict[str, str] = {}
    for one, other in pairs:
        antonyms |= {other: one, one: other}
    return antonyms


def _any_of(words: Sequence[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_ANTONYMS = _antonyms()
_ANTONYM = re.compile(rf"\b({_any_of(list(_ANTONYMS))})\b", re.IGNORECASE)
_AUXILIARY = re.compile(rf"\b({_any_of(_WORDS['auxiliaries'].split())})\b")
_PARTICIPLE = re.compile(rf"\b(?:[a-z]{{3,}}ed|{_any_of(_WORDS['participles'].split())})\b")
_FUNCTION_WORDS = frozenset(_WORDS["function_words"].split())
_WORD = re.compile(r"\b[a-z]{4,}\b")
_ENDING = re.compile(r"(?:(?<!s)s|ed|ing|ion|ment|ity|er|or|al|ic|ous|ive|ly)$")
_THE = re.compile(r"\bthe (?=[a-z]{3,}\b)(?!first|last|most|same|other|second|name|year|type|number|term)")
_TIME = re.compile(r"\d|\bwhen\b|\byear|\bcentury\b|\bdate\b", re.IGNORECASE)
_YEAR = re.compile(r"\b1[5-9]\d\d\b|\b20[0-2]\d\b")


@dataclass(frozen=True, slots=True)
class Perturber:
    """Perturbs questions with names from other texts (``names``) and words near their own (``neighbours``, of each word
    others that are not its synonyms)."""

    names: Sequence[str]
    neighbours: Mapping[str, Sequence[str]]

    def perturbed(self, question: str, context: str, answer: str, chooser: random.Random) -> str | None:
        """The question asking for what ``context`` does not say; None where no perturbation applies."""
        perturbations: dict[str, _Perturbation] = {
            "mention": self._other_mention, "antonym": _antonym, "neighbour": self._neighbour, "negation": _negation,
            "narrowing": _narrowing, "year": _year, "exchange": _exchange, "answer": _answer_for_name,
            "passage_word": _passage_word,
        }  # fmt: skip
        order = sorted(
            perturbations, key=lambda name: chooser.random() ** (1 / PERTURBATION_WEIGHTS[name]), reverse=True
        )
        for name in order:
            result = perturbations[name](question, context, answer, chooser)
            if result is not None and result != question:
                return result
        return None

    def several(self, question: str, context: str, answer: str, most: int, chooser: random.Random) -> list[str]:
        """Up to ``most`` different perturbations, in the order in which they were drawn."""
        results: dict[str, None] = {}
        for _ in range(_TRIES * most):
            result = self.perturbed(question, context, answer, chooser)
            if result is None or len(results) == most:
                break
            results[result] = None
        return list(results)

    def _other_mention(self, question: str, context: str, answer: str, chooser: random.Random) -> str | None:
        """Another name, date or number in the place of one that the context holds."""
        candidates = [(a, b, kind) for a, b, kind in mentions(question) if a > 0 and question[a:b] in context]
        if not candidates:
            return None
        start, end, kind = chooser.choice(candidates)
        old = question[start:end]
        if kind == "name":
            inside = [context[a:b] for a, b, other in mentions(context) if other == kind]
            inside = [n for n in inside if n not in question and n not in answer and answer not in n and old not in n]
            from_passage = inside and chooser.random() < _NAME_FROM_PASSAGE
            new = chooser.choice(inside if from_passage else self.names)
            if new in question:
                return None
        else:
            digits = re.search(r"\d+", old)
            if digits is None:
                return None
            number = int(digits.group())
            number += chooser.choice([-1, 1]) * chooser.randint(1, max(2, number // 40))
            new = old[: digits.start()] + str(abs(number)) + old[digits.end() :]
            if new == old or new in context:
                return None
        return question[:start] + new + question[end:]

    def _neighbour(self, question: str, context: str, answer: str, chooser: random.Random) -> str | None:
        """A word near it in the place of one that the context holds."""
        context, answer = context.lower(), answer.lower()
        words = [
            match
            for match in _WORD.finditer(question)
            if match.group() in self.neighbours and match.group() in context and match.group() not in _FUNCTION_WORDS
        ]
        chooser.shuffle(words)
        for match in words:
            others = [
                other
                for other in self.neighbours[match.group()]
                if other not in question.lower()
                and other not in answer
                and (other not in context or chooser.random() < _NEIGHBOUR_IN_PASSAGE)
            ]
            if others:
                return _replaced(question, match, chooser.choice(others))
        return None


_Perturbation = Callable[[str, str, str, random.Random], "str | None"]


def _replaced(text: str, match: re.Match[str], word: str) -> str:
    return text[: match.start()] + word + text[match.end() :]


def _antonym(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    matches = list(_ANTONYM.finditer(question))
    if not matches:
        return None
    match = chooser.choice(matches)
    return _replaced(question, match, _ANTONYMS[match.group().lower()])


def _negation(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """``didn't`` for ``did``, or a ``not`` or ``never`` before a participle."""
    participles = [match for match in _PARTICIPLE.finditer(question) if match.start() > 0]
    verb = _AUXILIARY.search(question)
    if participles and (verb is None or chooser.random() < _NEGATE_PARTICIPLE):
        place = chooser.choice(participles).start()
        return f"{question[:place]}{chooser.choice(_WORDS['negations'])} {question[place:]}"
    if verb is None or verb.start() == 0:
        return None
    return _replaced(question, verb, "can't" if verb.group() == "can" else f"{verb.group()}n't")


def _narrowing(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """``the second bridge`` for ``the bridge``: one among several, of which the context knows nothing."""
    places = [match.end() for match in _THE.finditer(question)]
    text = f"{context} {question}".lower()
    words = [word for word in _WORDS["narrowing"].split() if word not in text]
    if not places or not words:
        return None
    place = chooser.choice(places)
    return f"{question[:place]}{chooser.choice(words)} {question[place:]}"


def _year(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """A year that the context does not name, where neither question nor answer is about a time."""
    if _TIME.search(f"{question} {answer}"):
        return None
    years = [int(year) for year in _YEAR.findall(context)] or [chooser.randrange(1850, _LAST_YEAR)]
    year = str(min(chooser.choice(years) + chooser.choice((-1, 1)) * chooser.randint(2, 40), _LAST_YEAR))
    return None if year in context else f"{question.rstrip(' ?')} in {year}?"


def _exchange(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """Two names of the question in each other's place."""
    names = [(a, b) for a, b, kind in mentions(question) if a > 0 and kind == "name"]
    if len(names) < 2:
        return None
    (a, b), (c, d) = sorted(chooser.sample(names, 2))
    return question[:a] + question[c:d] + question[b:c] + question[a:b] + question[d:]


def _answer_for_name(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """The answer, a name, in the place of a name of the question."""
    whole = [kind for a, b, kind in mentions(answer) if (a, b) == (0, len(answer))]
    names = [(a, b) for a, b, kind in mentions(question) if a > 0 and kind == "name" and question[a:b] in context]
    if whole != ["name"] or not names or answer in question:
        return None
    start, end = chooser.choice(names)
    return question[:start] + answer + question[end:]


def _passage_word(question: str, context: str, answer: str, chooser: random.Random) -> str | None:
    """A word of the passage in the place of another of the same ending."""
    in_passage = sorted({match.group() for match in _WORD.finditer(context)} - _FUNCTION_WORDS)
    both = f"{question}\n{answer}"
    candidates: list[tuple[re.Match[str], list[str]]] = []
    for match in _WORD.finditer(question):
        word, ending = match.group(), _ENDING.search(match.group())
        if word not in in_passage or ending is None:
            continue
        others = [
            other
            for other in in_passage
            if other.endswith(ending.group()) and other[:_STEM] != word[:_STEM] and other not in both
        ]
        if others:
            candidates.append((match, others))
    if not candidates:
        return None
    match, others = chooser.choice(candidates)
    return _replaced(question, match, chooser.choice(others))


# --- neighbours of words --------------------------------------------------------------------------------------


def word_neighbours(encoder: Path, tokenizer: Tokenizer) -> dict[str, tuple[str, ...]]:
    """The neighbours of each whole word in an encoder's word embeddings (river and lake), the nearest first; words
    without any are left out. Nearer still are inflections and synonyms, which ask for the same: they are none.

    ``encoder`` is a BERT-layout model.safetensors over the tokenizer's vocabulary. Raises CheckpointError.
    """
    embeddings_VD = _embeddings(encoder)
    vocabulary = tokenizer.vocabulary()
    words = [w for w in vocabulary if len(w) >= _SHORTEST and w.isascii() and w.isalpha() and w.islower()]
    if embeddings_VD.shape[0] < len(vocabulary):
        raise CheckpointError(
            f"{encoder} has {embeddings_VD.shape[0]} word embeddings for a vocabulary of {len(vocabulary)}",
            hint="name an encoder of the reader's own vocabulary",
        )
    ids = torch.tensor([vocabulary[word] for word in words], dtype=torch.long)
    # Embeddings differ more without the mean that all share.
    unit_WD = F.normalize((embeddings_VD - embeddings_VD.mean(0))[ids], dim=1)
    neighbours: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(words), _BLOCK):
        cosine = unit_WD[start : start + _BLOCK] @ unit_WD.T
        cosine.masked_fill_((cosine > _NEAREST) | (cosine < _FARTHEST), -1.0)
        best = cosine.topk(min(2 * _NEIGHBOURS, len(words)), dim=1)
        for row, (values, places) in enumerate(zip(best.values.tolist(), best.indices.tolist())):
            word = words[start + row]
            others = [words[i] for value, i in zip(values, places) if value > 0 and words[i][:_STEM] != word[:_STEM]]
            if others:
                neighbours[word] = tuple(others[:_NEIGHBOURS])
    return neighbours


def _embeddings(encoder: Path) -> Tensor:
    try:
        with safe_open(encoder, framework="pt") as file:
            names = [name for name in file.keys() if name.endswith(_EMBEDDINGS)]  # noqa: SIM118 - not a dict
            if len(names) != 1:
                raise CheckpointError(
                    f"{encoder} has no {_EMBEDDINGS}", hint="name the model.safetensors of a BERT-layout encoder"
                )
            tensor: Tensor = file.get_tensor(names[0])
            return tensor.float()
    except OSError as error:
        raise CheckpointError(f"{encoder} cannot be read: {error}", hint="name a model.safetensors file") from error
