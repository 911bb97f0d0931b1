"""Value types shared by the parts of ragyena. All are frozen; do not write to their arrays.

A question passes through ``Document`` -> ``Passage`` (cut, stored) -> ``ScoredPassage`` (retrieved) -> ``Context``
(packed) -> ``Span`` (read) -> ``Citation`` and ``Answer``.

Character offsets are Python string indices, start inclusive, end exclusive. Line and page numbers count from 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int32]
    BoolArray = npt.NDArray[np.bool_]

__all__ = [
    "Answer",
    "AnswerKind",
    "Block",
    "BlockKind",
    "Citation",
    "Closest",
    "Context",
    "Document",
    "Evidence",
    "EvidencePiece",
    "FileState",
    "Heading",
    "PackingLog",
    "PackingLogEntry",
    "PackingOutcome",
    "Passage",
    "Placed",
    "Progress",
    "ScoredPassage",
    "Skipped",
    "Span",
    "WrittenSentence",
    "in_bulk",
    "place",
]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a document: the char offset at which its section starts, its level (1 = top) and its text."""

    start: int
    level: int
    text: str


BlockKind = Literal["prose", "list", "table", "code", "notes", "footnote"]


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a document that is not plain prose: ``[start, end)`` in characters."""

    start: int
    end: int
    kind: BlockKind
    header: tuple[str, ...] = ()
    """The column names of a table, in order; empty for other kinds and for a table without names."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its origin. A file is one document, or several (rows of a csv or jsonl file)."""

    source: str
    """An absolute path, followed by ``#row`` for one row of a table-like file, ``#line`` for a piece of a long one."""
    text: str
    """The whole text. Every offset elsewhere is an index into it."""
    title: str = ""
    """A title found in the document, or one made from its file name."""
    page_starts: tuple[int, ...] = ()
    """Char offset at which each page starts, page 1 first; empty where the format has no pages."""
    page_labels: tuple[str, ...] = ()
    """The name printed on each page (``iv``, ``A-3``), as long as ``page_starts``; empty where the file has none."""
    headings: tuple[Heading, ...] = ()
    """In order of ``start``."""
    blocks: tuple[Block, ...] = ()
    """Tables, lists, code and notes, in order and without overlap; all other text is prose."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Further fields (of a csv or jsonl row, say) that searches can filter by."""
    first_line: int = 1
    """The line of the file at which the text begins: of a piece of a long file, a later one. Passages count from it."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A part of a file that was not read, such as a bad row or a hidden slide; the rest of the file was."""

    source: str
    """Place of the part, written as the source of a document: ``path#row``."""
    message: str
    """The place and the reason: ``notes.jsonl, line 7 is not JSON: ...``."""
    hint: str
    """Way to mend the file."""
    is_fault: bool = True
    """False for a part that the file itself hides, as a hidden slide or sheet: it is said, and nothing has failed."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of one document: ``document.text[start:end] == text``."""

    text: str
    start: int
    end: int
    line_start: int
    line_end: int
    page: int | None
    """The page on which the passage starts."""
    title: str
    """The document's title."""
    heading_path: tuple[str, ...]
    """The headings the passage stands under, outermost first."""
    source: str
    """The document's source."""
    passage_id: int = -1
    """The id in the index's store; -1 before it is stored."""
    document_id: int = -1
    """The document's id in the index's store; -1 before it is stored."""
    page_label: str | None = None
    """The name printed on the page on which the passage starts, None where the file has none."""
    kind: BlockKind = "prose"
    """The kind of block that most of the passage belongs to."""
    table_header: tuple[str, ...] = ()
    """The column names of that block, where it is a table."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def header(self) -> str:
        """Title and heading path in one line: the subject of the passage, which its text may not name."""
        parts = [self.title, *(h for h in self.heading_path if h != self.title)]
        return " > ".join(p for p in parts if p)


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage retrieved by a search, with the score that ranks it and its component scores."""

    passage: Passage
    score: float
    """The ranking score; larger is better. Strictly decreasing along a result list."""
    dense_score: float | None = None
    """Cosine similarity to the question; None where the dense search did not find the passage."""
    lexical_score: float | None = None
    """BM25 score, larger is better; None where the lexical search did not find the passage."""
    similarity: float | None = None
    """``dense_score`` where it is a cosine of the bundled embedder, on whose scale a reader's confidence is fitted.
    None for that of another embedder or store, and where the dense search did not find the passage."""


PackingOutcome = Literal["packed", "duplicate", "over budget", "neighbour"]


@dataclass(frozen=True, slots=True)
class PackingLogEntry:
    """The outcome for one candidate passage."""

    passage_id: int
    source: str
    score: float
    outcome: PackingOutcome
    """``neighbour`` is a passage that entered because it adjoins a hit."""
    slot: int | None
    """The slot the passage sits in, None if it did not enter."""
    tokens: int
    """Tokens of the passage, its header included."""
    detail: str = ""
    """The reason, where there is one: ``nearly the text of passage 17``."""
    document_id: int = -1
    start: int = 0
    end: int = 0
    """The passage is ``text[start:end]`` of this document of the index."""
    share: float | None = None
    """Its part of what speaks for an answer: the probability of its best span, of all packed passages together 1. None
    before the context was read, and for a passage that did not enter."""


@dataclass(frozen=True, slots=True)
class PackingLog:
    """The record of filling a context: one entry a candidate, and the use of the budget."""

    entries: tuple[PackingLogEntry, ...]
    context_tokens: int
    """The budget."""
    question_tokens: int
    """Length of the question slot."""
    slot_tokens: int
    """Length of each passage slot."""
    used_tokens: int
    """Question slot plus all passage slots, padding included; at most the budget."""
    filled_tokens: int
    """Tokens of ``used_tokens`` that are not padding."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A question and passages as token ids in slots (padded passages): the input of a reader.

    P passages, S slot tokens, Q question tokens.
    """

    question: str
    question_ids: IntArray
    """[Q] token ids of the question, with its begin and end tokens."""
    passages: tuple[ScoredPassage, ...]
    """P passages in slot order."""
    token_ids: IntArray
    """[P, S] header, separator, passage text, separator, padding."""
    token_mask: BoolArray
    """[P, S] False at padding."""
    text_mask: BoolArray
    """[P, S] True at tokens of the passage's own text: those an answer may be taken from."""
    char_starts: IntArray
    """[P, S] char offset in the *document* at which a text token starts; -1 elsewhere."""
    char_ends: IntArray
    """[P, S] char offset in the *document* at which a text token ends; -1 elsewhere."""
    log: PackingLog

    @property
    def length(self) -> int:
        """Tokens the reader reads, padding included."""
        return int(self.question_ids.shape[0] + self.token_ids.size)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a packed passage chosen as an answer."""

    slot: int
    token_start: int
    token_end: int
    """Exclusive."""
    start: int
    """Char offset in the document."""
    end: int
    text: str
    score: float
    """Probability of the span under the reader's softmax over the whole context."""


FileState = Literal["unchanged", "changed", "missing"]
"""A cited file now, compared with what it was when it was indexed."""

AnswerKind = Literal["extracted", "list", "yes", "no", "written", "withheld"]
"""``extracted`` is one span of a passage, ``list`` several, ``yes`` and ``no`` a decision, ``written`` other words than
those of one passage; ``withheld`` is an answer too doubtful to give, or none."""


@dataclass(frozen=True, slots=True)
class Citation:
    """Evidence for an answer, read again from the store: ``document.text[start:end] == quote``."""

    passage_id: int
    document_id: int
    source: str
    title: str
    page: int | None
    line_start: int
    line_end: int
    start: int
    end: int
    quote: str
    """The sentence or sentences that hold or decide the answer, the row of a table, or the lines of code, verbatim."""
    answer_start: int | None
    """Offset of the answer within ``quote``; None where the quote decides the answer and does not hold its words."""
    answer_end: int | None
    score: float
    file_state: FileState | None = None
    """The file compared with what was indexed; None for a document given in Python, and where it cannot be read."""
    page_label: str | None = None
    """The name printed on that page, None where the file has none."""
    kind: BlockKind = "prose"
    """The kind of block that the answer stands in."""
    table_header: tuple[str, ...] = ()
    """The column names of that block, where it is a table."""
    heading_path: tuple[str, ...] = ()
    """The headings that the passage stands under, outermost first."""
    row: str | None = None
    """The first cell of the row of an answer in a table, with its name, ``Model: V-20``; ``quote`` is the whole row."""
    column: str | None = None
    """The name of the answer's column; None where it has none, and outside tables."""


@dataclass(frozen=True, slots=True)
class Closest:
    """The likeliest answer among those read, where it is too doubtful to be given."""

    text: str
    probability: float
    """Calibrated probability that it is the answer."""
    citation: Citation


@dataclass(frozen=True, slots=True)
class WrittenSentence:
    """A sentence that another model wrote, checked against the evidence."""

    text: str
    """The sentence without its marks."""
    citations: tuple[int, ...]
    """Evidence it rests on: places in ``Answer.citations``, from 1."""
    supported: bool
    """False where the check found a problem with it."""
    problem: str | None = None
    """The problem, in words; None where it is supported."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, with its evidence."""

    question: str
    text: str
    """The answer; empty where it is withheld."""
    kind: AnswerKind
    confidence: float
    """Calibrated probability that this answer is right; of a withheld one, that what was read holds no answer; of one
    that another model wrote, the share of its sentences that the evidence supports; 0 where that model found none."""
    no_answer_probability: float
    """Weight of there being no answer under the reader's softmax; not calibrated."""
    citations: tuple[Citation, ...]
    """Evidence, best first; empty where the answer is withheld."""
    passages: tuple[ScoredPassage, ...]
    """The packed passages, best first by the reader's scores; look here where the answer is withheld."""
    closest: Closest | None = None
    """The candidate that came closest to an answer that is withheld; None where nothing did."""
    items: tuple[str, ...] = ()
    """The items of a list; empty for other kinds of answers."""
    computed: str = ""
    """The computation that gave the answer: ``lowest Price of 40 rows``; empty for what a reader found in words."""
    sentences: tuple[WrittenSentence, ...] = ()
    """The sentences of an answer that another model wrote; empty for other kinds of answers."""
    alternatives: tuple[Span, ...] = ()
    """Other spans the reader considered, best first."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage: ``retrieve``, ``pack``, ``read``."""
    log: PackingLog | None = None


@dataclass(frozen=True, slots=True)
class EvidencePiece:
    """A passage, or some neighbouring sentences of one, chosen as evidence and read again from the store:
    ``document.text[passage.start:passage.end] == passage.text``."""

    passage: Passage
    """The text chosen and its place; of sentences, with the ids, headings and kind of the passage they were taken
    from."""
    score: float
    """Share of the evidence that the reader and the retriever give to it, between 0 and 1; comparable within one
    question."""
    tokens: int
    """Tokens of the text, counted by the reader's tokenizer."""
    file_state: FileState | None = None
    """The file compared with what was indexed; None for a document given in Python, and where it cannot be read."""

    @property
    def text(self) -> str:
        """The text chosen, byte for byte that of the document."""
        return self.passage.text


@dataclass(frozen=True, slots=True)
class Evidence:
    """The parts of a context that are worth giving to another model, best first."""

    question: str
    pieces: tuple[EvidencePiece, ...]
    """Best first by score."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage: ``retrieve``, ``pack``, ``read``, ``total``."""
    log: PackingLog | None = None

    @property
    def tokens(self) -> int:
        """Tokens of all pieces."""
        return sum(piece.tokens for piece in self.pieces)


Value = TypeVar("Value")


def in_bulk(kind: type[Value], count: int, columns: Mapping[str, Sequence[object]]) -> list[Value]:
    """Make ``count`` values of a frozen class of this module, of which ``columns`` has every field by name.

    Its own ``__init__`` sets a field at a time in Python, which takes some milliseconds for thousands of values.
    """
    if set(columns) != {f.name for f in fields(kind)}:  # type: ignore[arg-type]
        raise TypeError(f"not the fields of {kind.__name__}: {', '.join(columns)}")
    made = [kind.__new__(kind) for _ in range(count)]
    for name, values in columns.items():
        if len(values) != count:
            raise ValueError(f"{len(values)} values of {name} for {count}")
        deque(map(getattr(kind, name).__set__, made, values), maxlen=0)
    return made


class Placed(Protocol):
    """Something with a place in a document: a passage, a citation, or their JSON."""

    @property
    def page(self) -> int | None: ...
    @property
    def page_label(self) -> str | None: ...
    @property
    def line_start(self) -> int: ...
    @property
    def line_end(self) -> int: ...


def place(placed: Placed) -> str:
    """``page 3``, ``page iv (4 in the file)`` or ``lines 10-12``."""
    if placed.page is not None and placed.page_label not in (None, str(placed.page)):
        return f"page {placed.page_label} ({placed.page} in the file)"
    if placed.page is not None:
        return f"page {placed.page}"
    if placed.line_start == placed.line_end:
        return f"line {placed.line_start}"
    return f"lines {placed.line_start}-{placed.line_end}"


class Progress(Protocol):
    """Receives the progress of a long task. The command line draws it; ``Silent`` shows nothing."""

    def start(self, description: str, total: int | None, unit: str) -> None:
        """Begin a stage: ``total`` is in ``unit``s (``passages``, ``tokens``), None where it is not known yet."""

    def advance(self, amount: int, status: str = "") -> None:
        """Count ``amount`` more units as done; ``status`` is shown next to the rate."""

    def note(self, text: str) -> None:
        """Print a line that stays on the screen."""


class Silent:
    """The ``Progress`` that shows nothing."""

    def start(self, description: str, total: int | None, unit: str) -> None: ...

    def advance(self, amount: int, status: str = "") -> None: ...

    def note(self, text: str) -> None: ...
