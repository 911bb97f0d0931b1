"""The place of each answer in an index: the passage that holds it, and where in its document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from ragyena.data.document_questions import DocumentQuestion, Place
from ragyena.documents.sentences import sentence_span
from ragyena.index.index import Index
from ragyena.tune.questions import OwnQuestion
from ragyena.types import Passage, Progress, ScoredPassage

__all__ = ["Located", "locate", "pattern_of"]

_LOOKED_AT = 32  # passages that retrieval finds for the question, and for it with its answer
_SAME = {"'": "['’‘]", '"': '["“”]', "-": "[-‐‑–—]"}
_LEAST_WORD = 3  # letters of a word of the question that tells one place from another
_STEM = 6  # first letters by which words are compared


@dataclass(frozen=True, slots=True)
class Located:
    """A question, what retrieval finds for it, and the place of its answer."""

    question: OwnQuestion
    hits: tuple[ScoredPassage, ...] = field(repr=False)
    """Best first."""
    gold: Passage | None
    """The passage that answers it; None for a question without an answer."""
    spans: tuple[Place, ...] = ()
    """Chars of the document: the answer, the items of a list, or the text that decides yes or no."""

    @property
    def document(self) -> str:
        """The file that it is about: of one without an answer, the one that comes nearest."""
        passage = self.gold or (self.hits[0].passage if self.hits else None)
        return passage.source.partition("#")[0] if passage else ""

    def row(self) -> DocumentQuestion:
        """The question as evaluations score it."""
        own = self.question
        source = self.gold.source if self.gold else self.document
        return DocumentQuestion(
            id=f"line {own.line}",
            source="own",
            document_id=source,
            question=own.question,
            answers=own.answers,
            answer_type=own.answer_type,
            spans=self.spans,
            evidence=self.spans,
        )


@dataclass(frozen=True, slots=True)
class _Match:
    """One place that reads as the answer does."""

    passage: Passage
    place: Place
    fit: tuple[int, int]
    """Words of the question in the sentence around it, and in the passage with its headings."""
    sentence: str


class _NotFoundError(Exception):
    """The reason why an answer has no place."""


def locate(
    questions: Sequence[OwnQuestion], index: Index, *, hits: int, progress: Progress
) -> tuple[list[Located], list[str]]:
    """Each question with its ``hits`` and the place of its answer, and ``line N: reason`` of those without a place."""
    finder = _Finder(index)
    progress.start("finding the answers in the documents", len(questions), "questions")
    located, problems = [], []
    for question in questions:
        found = tuple(index.search(question.question, k=max(hits, _LOOKED_AT)))
        try:
            gold, spans = finder.find(question, found)
            located.append(Located(question, found[:hits], gold, spans))
        except _NotFoundError as reason:
            problems.append(f"line {question.line}: {reason}")
        progress.advance(1)
    return located, problems


def pattern_of(text: str) -> re.Pattern[str]:
    """A pattern for whole words of a text, whatever its white space, letter case, quotation marks and dashes."""
    words = ("".join(_SAME.get(c, re.escape(c)) for c in word) for word in text.split())
    before, after = (r"(?<!\w)" if text[0].isalnum() else ""), (r"(?!\w)" if text[-1].isalnum() else "")
    return re.compile(before + r"\s+".join(words) + after, re.IGNORECASE)


class _Finder:
    def __init__(self, index: Index) -> None:
        self.index = index
        self.sources = index.store.sources()
        self.passages: dict[int, list[Passage]] = {}

    def find(self, question: OwnQuestion, hits: Sequence[ScoredPassage]) -> tuple[Passage | None, tuple[Place, ...]]:
        """Raises _NotFoundError."""
        named = self._documents(question.document) if question.document else None
        if question.answer_type == "none":
            return None, ()
        passages = self._candidates(question, hits, named)
        if not passages:
            raise _NotFoundError("retrieval finds no passage for it")
        where = question.document or "what retrieval finds for it"
        inside = self._quoted(question.quote, passages, where) if question.quote else None
        if question.answer_type in ("yes", "no"):
            if inside is not None:
                passage, place = inside[0]
                return passage, (place,)
            words = _words(question.question)
            return max(passages, key=lambda one: len(words & _words(f"{one.header} {one.text}"))), ()
        if question.answer_type == "list":
            return _list(question, passages, inside, where)
        for answer in question.answers:
            if matches := _matches(answer, question.question, passages, inside):
                best = _best(matches, settled=inside is not None or named is not None)
                return best.passage, (best.place,)
        within = "its quote" if inside is not None else where
        raise _NotFoundError(f"the answer {question.answers[0]!r} is not in {within}, in one passage")

    def _candidates(
        self, question: OwnQuestion, hits: Sequence[ScoredPassage], named: list[int] | None
    ) -> list[Passage]:
        if named is not None:
            return [passage for document in named for passage in self._passages_of(document)]
        query = question.quote or " ".join((question.question, *question.answers))
        more = self.index.search(query, k=_LOOKED_AT)
        passages = {hit.passage.passage_id: hit.passage for hit in (*more, *hits[:_LOOKED_AT])}
        return list(passages.values())

    def _passages_of(self, document_id: int) -> list[Passage]:
        if document_id not in self.passages:
            self.passages[document_id] = self.index.store.passages_of(document_id)
        return self.passages[document_id]

    def _documents(self, name: str) -> list[int]:
        """The ids of the documents of the file of a name. Raises _NotFoundError."""
        ending = "/" + name.lstrip("./")
        paths = [one for one in self.sources if one.path == name or f"/{one.path}".endswith(ending)]
        exact = [one for one in paths if one.path == name]
        if len(exact or paths) > 1:
            raise _NotFoundError(f"document {name!r} is the name of {len(paths)} files: give more of its path")
        ids = [
            number
            for source in exact or paths
            for digest in self.index.store.origins(source.source_id).values()
            if (number := self.index.store.document_id(digest)) is not None
        ]
        if not ids:
            raise _NotFoundError(f"no document {name!r} is in the index")
        return ids

    def _quoted(self, quote: str, passages: Sequence[Passage], where: str) -> list[tuple[Passage, Place]]:
        """The places of a quote, each with the passage that holds its beginning. Raises _NotFoundError."""
        pattern = pattern_of(quote)
        result = []
        for document in dict.fromkeys(passage.document_id for passage in passages):
            text = self.index.document(document).text
            for match in pattern.finditer(text):
                for passage in self._passages_of(document):
                    if passage.start <= match.start() < passage.end:
                        result.append((passage, match.span()))
        if not result:
            raise _NotFoundError(f"its quote is not in {where}")
        return result


def _matches(
    answer: str, question: str, passages: Sequence[Passage], inside: list[tuple[Passage, Place]] | None
) -> list[_Match]:
    """The places of an answer, those in a quote alone where there is one."""
    pattern, words = pattern_of(answer), _words(question)
    matches = []
    for passage in passages:
        whole = len(words & _words(f"{passage.header} {passage.text}"))
        for match in pattern.finditer(passage.text):
            start, end = match.start() + passage.start, match.end() + passage.start
            if inside is not None and not any(
                other.document_id == passage.document_id and first <= start and end <= last
                for other, (first, last) in inside
            ):
                continue
            first, last = sentence_span(passage.text, *match.span())
            sentence = passage.text[first:last]
            matches.append(_Match(passage, (start, end), (len(words & _words(sentence)), whole), sentence))
    return matches


def _best(matches: Sequence[_Match], *, settled: bool) -> _Match:
    """The place that fits the question best, of equals the first. Raises _NotFoundError where two documents read
    differently and fit alike."""
    best = max(matches, key=lambda one: one.fit)
    others = (
        one
        for one in matches
        if one.fit == best.fit and one.passage.document_id != best.passage.document_id and one.sentence != best.sentence
    )
    if not settled and (other := next(others, None)) is not None:
        raise _NotFoundError(
            f"the answer is in {_name(best)} and in {_name(other)} alike: name its document, or give a quote"
        )
    return best


def _name(match: _Match) -> str:
    return match.passage.source.rpartition("/")[2]


def _list(
    question: OwnQuestion, passages: Sequence[Passage], inside: list[tuple[Passage, Place]] | None, where: str
) -> tuple[Passage, tuple[Place, ...]]:
    """The items in the passage that holds most of them. Raises _NotFoundError for fewer than two."""
    by_item = {item: _matches(item, question.question, passages, inside) for item in question.answers}
    if missing := [item for item, matches in by_item.items() if not matches]:
        raise _NotFoundError(f"the item {missing[0]!r} is not in {where}")

    def held(passage: Passage) -> list[list[_Match]]:
        own = ([one for one in matches if one.passage is passage] for matches in by_item.values())
        return [matches for matches in own if matches]

    best = max(passages, key=lambda one: (len(held(one)), max((m[0].fit for m in held(one)), default=(0, 0))))
    items = held(best)
    if len(items) < 2:
        raise _NotFoundError("no passage holds two of its items: ask for them one by one")
    middle = median(one.place[0] for matches in items for one in (matches if len(matches) == 1 else matches[:1]))
    places = (min(matches, key=lambda one: abs(one.place[0] - middle)).place for matches in items)
    return best, tuple(sorted(set(places)))


def _words(text: str) -> set[str]:
    return set(_stems(text))


def _stems(text: str) -> Iterator[str]:
    for word in re.findall(r"\w+", text.casefold()):
        if len(word) >= _LEAST_WORD or word.isdigit():
            yield word[:_STEM]
