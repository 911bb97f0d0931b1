"""Passages from a store that is not ours: any vector store with LangChain's methods, named in a pipeline recipe.

A document that the store returns is a document here: its ``page_content`` is the text that is read and quoted, with the
place in the original that its metadata gives (``source``, ``start``, ``line_start``, ``page``, ``headings``, as
``index.export`` writes them). No class of LangChain's is imported: a store is whatever answers to the methods.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

from ragyena.config import LangChainStoreConfig
from ragyena.documents.given_text import GivenText, Placed
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import ConfigError, EmptyQuestionError, IndexCorruptError, MissingDependencyError, StoreError
from ragyena.index.fusion import Matches, strictly_decreasing
from ragyena.types import Answer, Block, BlockKind, Context, FileState, Passage, ScoredPassage

__all__ = ["ExternalStore", "GivesVectors", "Returned", "id_of"]

MOST_HELD = 100_000
"""Returned documents whose texts are kept to be cited from."""
PLACES = (
    *("source", "title", "headings", "page", "page_label", "line_start", "line_end", "block_kind", "table_header"),
    *("start", "end", "ragyena_id", "_id"),
)
"""Fields of metadata that say where a text stands; all others are fields to filter by."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_KINDS: tuple[BlockKind, ...] = ("list", "table", "code", "notes", "footnote")


class Returned(Protocol):
    """A document in LangChain's sense."""

    page_content: str
    metadata: dict[str, Any]
    id: str | None


@runtime_checkable
class GivesVectors(Protocol):
    """Embeddings that can be told the vectors of texts, so that they are not computed again."""

    model: str

    def given(self, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> AbstractContextManager[None]: ...


class ExternalStore:
    """A store that is open. Several threads may search it where the store itself allows it."""

    def __init__(self, config: LangChainStoreConfig, *, passage_tokens: int, rrf_k: int) -> None:
        """Import the class and make the store, which mostly connects to it.

        Documents longer than ``passage_tokens`` are cut; the document at rank r scores 1 / (rrf_k + r).

        Raises MissingDependencyError where the class cannot be imported, ConfigError where it is not a vector store or
        an environment variable is not set, StoreError where it cannot be made.
        """
        self.config = config
        self.name = config.class_
        self.embeddings: list[GivesVectors] = []
        """Arguments that can be given vectors."""
        self._passage_tokens = passage_tokens
        self._rrf_k = rrf_k
        self._secrets: dict[str, str] = {}
        self._held: OrderedDict[int, _Text] = OrderedDict()
        self._numbers: dict[tuple[str, int, str], int] = {}
        self._next = 1
        self._turn = threading.Lock()
        self._options = self._expanded(config.options)
        self._filter: Callable[[Mapping[str, Any]], Any] = _imported(config.filter) if config.filter else dict
        self.store = self._made(config.class_, config.arguments)
        missing = [
            name for name in (config.search, "add_texts", "delete") if not callable(getattr(self.store, name, 0))
        ]
        if missing:
            raise ConfigError(
                f"{self.name} is no vector store of LangChain's: it has no {missing[0]}",
                hint="name a subclass of langchain_core.vectorstores.VectorStore, or what makes one",
            )

    # --- searching

    def search(
        self, query: str, *, k: int, filters: Mapping[str, Any] | None, tokenizer: Tokenizer
    ) -> list[ScoredPassage]:
        """The passages of the best ``k`` documents, best first, with strictly decreasing scores. Raises StoreError."""
        if not query.strip():
            raise EmptyQuestionError("the query is empty", hint="search for something")
        found = self.documents(query, k=k, filters=filters)
        passages: list[tuple[Passage, float, float | None]] = []
        for rank, (document, score) in enumerate(found, 1):
            cut = self._passages(document, tokenizer)
            passages += [(passage, 1.0 / (self._rrf_k + rank), score) for passage in cut]
        scores = strictly_decreasing(Matches.of([(place, score) for place, (_, score, _) in enumerate(passages)]))
        return [ScoredPassage(passages[place][0], score, passages[place][2]) for place, score in scores]

    def documents(
        self, query: str, *, k: int, filters: Mapping[str, Any] | None = None
    ) -> list[tuple[Returned, float | None]]:
        """The best ``k`` documents as the store returns them, with the score that it gives, if any."""
        options = dict(self._options)
        if filters:
            if "filter" in options:
                raise ConfigError(
                    f"the recipe of {self.name} has a filter of its own (options.filter)",
                    hint="leave out the one or the other",
                )
            options["filter"] = self._filter(filters)
        with self.failures("searched"):
            found = list(getattr(self.store, self.config.search)(query, k=k, **options))
        return [(one[0], float(one[1])) if isinstance(one, tuple) else (one, None) for one in found]

    def _passages(self, document: Returned, tokenizer: Tokenizer) -> list[Passage]:
        """The passages of a returned document, numbered, at their places in the original."""
        text = _Text.of(document)
        if not text.text.strip():
            return []
        number = self._hold(text)
        whole = text.passage(number)
        read = text.reading.document
        if read.text == text.text and tokenizer.count_batch([text.text])[0] <= self._passage_tokens:
            return [whole]
        return [
            replace(
                whole,
                text=part.text,
                start=part.start + text.start,
                end=part.end + text.start,
                line_start=part.line_start - 1 + whole.line_start,
                line_end=part.line_end - 1 + whole.line_start,
                passage_id=number + place,
                kind=part.kind if read.blocks else whole.kind,
                table_header=part.table_header if read.blocks else whole.table_header,
            )
            for place, part in enumerate(split(read, tokenizer, self._passage_tokens))
        ]

    # --- what citations are read from

    def read(self, document_id: int, start: int, end: int) -> str:
        """The text of a returned document, as it is read, between two offsets; line breaks where it is not known."""
        text = self._of(document_id)
        before = "\n" * (min(text.start, end) - start)
        return before + text.reading.document.text[max(0, start - text.start) : max(0, end - text.start)]

    def page_at(self, document_id: int, offset: int) -> int | None:
        return self._of(document_id).whole("page", None)

    def block_at(self, document_id: int, offset: int) -> Block | None:
        text = self._of(document_id)
        for block in text.reading.document.blocks:
            if block.start <= offset - text.start < block.end:
                return replace(block, start=block.start + text.start, end=block.end + text.start)
        kind = text.kind
        return None if kind == "prose" else Block(text.start, text.start + len(text.text), kind, text.header)

    def as_given(self, placed: Placed) -> Placed:
        """A citation or a passage of a text as it is read, with its place and words in the text that was returned."""
        text = self._of(placed.document_id)
        moved = text.reading.as_given(replace(placed, start=placed.start - text.start, end=placed.end - text.start))
        return replace(moved, start=moved.start + text.start, end=moved.end + text.start)

    def answer_as_given(self, answer: Answer, context: Context) -> Answer:
        """The answer with all places and quotes in the texts that were returned."""
        found = answer.closest
        texts = [self._of(scored.passage.document_id) for scored in context.passages]
        alternatives = []
        for span, text in ((span, texts[span.slot]) for span in answer.alternatives):
            start, end = text.reading.place(span.start - text.start, span.end - text.start)
            alternatives.append(replace(span, start=start + text.start, end=end + text.start))
        return replace(
            answer,
            citations=tuple(map(self.as_given, answer.citations)),
            closest=found and replace(found, citation=self.as_given(found.citation)),
            passages=tuple(replace(one, passage=self.as_given(one.passage)) for one in answer.passages),
            alternatives=tuple(alternatives),
        )

    def neighbours(self, passage_id: int, distance: int) -> list[Passage]:
        """None: a store is asked for what is like a question, not for what stands beside a passage."""
        return []

    def file_state(self, document_id: int, source: str) -> tuple[str, FileState | None]:
        """The source as the store has it; nothing is known of its file."""
        return source, None

    def refresh(self) -> bool:
        return False

    def reading(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        """Forget the texts, and close the store or its client where that can be closed."""
        self._held.clear()
        self._numbers.clear()
        for owner in (self.store, getattr(self.store, "client", None)):
            if callable(close := getattr(owner, "close", None)):
                close()
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- details

    def _hold(self, text: _Text) -> int:
        """The number of a text, which stays the same while it is kept."""
        with self._turn:
            key = (text.source, text.start, text.text)
            number = self._numbers.get(key)
            if number is None:
                number, self._next = self._next, self._next + len(text.text)  # its passages are numbered from it on
                self._numbers[key] = number
            self._held[number] = text
            self._held.move_to_end(number)
            if len(self._held) > MOST_HELD:
                _, old = self._held.popitem(last=False)
                del self._numbers[old.source, old.start, old.text]
            return number

    def _of(self, number: int) -> _Text:
        try:
            return self._held[number]
        except KeyError as error:
            raise IndexCorruptError(
                f"{self.name}: a text that was read is no longer held", hint="ask fewer questions at once"
            ) from error

    def _made(self, path: str, arguments: Mapping[str, Any]) -> Any:
        make = _imported(path)
        values = self._expanded(arguments)
        with self.failures("opened"):
            made = make(**values)
        if isinstance(made, GivesVectors):
            self.embeddings.append(made)
        return made

    def _expanded(self, value: Any) -> Any:
        """``value`` with environment variables in the place of their names, and with nested classes made."""
        if isinstance(value, Mapping):
            if isinstance(value.get("class"), str) and value.keys() <= {"class", "arguments"}:
                return self._made(value["class"], value.get("arguments") or {})
            return {key: self._expanded(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._expanded(item) for item in value]
        return _VARIABLE.sub(self._variable, value) if isinstance(value, str) else value

    def _variable(self, match: re.Match[str]) -> str:
        name = match[1]
        if not os.environ.get(name):
            raise ConfigError(
                f"the recipe of {self.config.class_} needs the environment variable {name}", hint=f"export {name}=..."
            )
        self._secrets[os.environ[name]] = match[0]
        return os.environ[name]

    @contextlib.contextmanager
    def failures(self, done: str) -> Iterator[None]:
        """Turn what the store raises into StoreError, without the values of environment variables in it."""
        try:
            yield
        except (ConfigError, MissingDependencyError, StoreError):
            raise
        except Exception as error:  # every store raises what its client does
            problem = next((line for line in str(error).splitlines() if line.strip()), "")
            for secret, name in sorted(self._secrets.items(), key=lambda pair: -len(pair[0])):
                problem = problem.replace(secret, name)
            problem = re.sub(r"(://[^/@\s:]*):[^@\s]+@", r"\1:***@", problem)
            # Without its cause, whose message may hold an address with its password.
            raise StoreError(
                f"{self.config.class_} cannot be {done}: {type(error).__name__}: {problem[:300]}",
                hint="check that the store runs, its address, and the arguments in the recipe",
            ) from None


def id_of(document: Returned) -> str | None:
    """The id of a returned document; not every store gives it but in the metadata, as was written or in its own way."""
    given = document.id or document.metadata.get("ragyena_id") or document.metadata.get("_id")
    return None if given is None else str(given)


@dataclass(frozen=True, slots=True)
class _Text:
    """A returned text with its metadata, checked."""

    text: str
    metadata: Mapping[str, Any]
    id: str
    reading: GivenText
    """The text as it is read."""

    @classmethod
    def of(cls, document: Returned) -> _Text:
        if not isinstance(document.page_content, str):
            raise StoreError("the store returned a document without text", hint="check its column of texts")
        metadata, id = document.metadata or {}, id_of(document) or ""
        named = {"source": id or "a document without source", **metadata}
        return cls(document.page_content, metadata, id, GivenText(document.page_content, named, 1))

    @property
    def source(self) -> str:
        return str(self.metadata.get("source") or self.id or "a document without source")

    @property
    def start(self) -> int:
        """Offset of its first character in the original."""
        return max(0, self.whole("start", 0) or 0)

    @property
    def kind(self) -> BlockKind:
        named = self.metadata.get("block_kind")
        return next((kind for kind in _KINDS if kind == named), "prose")

    @property
    def header(self) -> tuple[str, ...]:
        return _texts(self.metadata.get("table_header"))

    def whole(self, field: str, otherwise: int | None) -> int | None:
        """A whole number of the metadata; stores that keep numbers as floats give them back as such."""
        value = self.metadata.get(field)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else otherwise

    def passage(self, number: int) -> Passage:
        """The whole text as a passage."""
        line = max(1, self.whole("line_start", 1) or 1)
        label = self.metadata.get("page_label")
        fields = {key: value for key, value in self.metadata.items() if key not in PLACES and value is not None}
        return Passage(
            text=self.text,
            start=self.start,
            end=self.start + len(self.text),
            line_start=line,
            line_end=line + self.text.count("\n"),
            page=self.whole("page", None),
            title=str(self.metadata.get("title") or ""),
            heading_path=_texts(self.metadata.get("headings")),
            source=self.source,
            passage_id=number,
            document_id=number,
            page_label=label if isinstance(label, str) else None,
            kind=self.kind,
            table_header=self.header,
            metadata={key: value if isinstance(value, str) else str(value) for key, value in fields.items()},
        )


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _imported(path: str) -> Any:
    """The object that a dotted path names: the longest part of it that is a module, and attributes of that."""
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
                continue
            raise MissingDependencyError(
                f"{module} needs {error.name}, which is not installed", hint=f"pip install {error.name}"
            ) from error
        for attribute in parts[count:]:
            if not hasattr(found, attribute):
                raise ConfigError(f"the recipe names {path}: {module} has no {attribute}", hint="check its spelling")
            found = getattr(found, attribute)
        return found
    raise MissingDependencyError(
        f"the recipe names {path}, which is not installed", hint=f"pip install {parts[0].replace('_', '-')}"
    )
