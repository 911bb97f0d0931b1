"""Questions, the contexts they are asked on, and plain texts, read from files or Hugging Face ``datasets``.

A *name* is a file, a folder of files, or a dataset on the Hugging Face hub (``owner/name`` or ``owner/name:split``).
Files are JSON lines, SQuAD JSON (versions 1.1 and 2) or a JSON list of rows, each also as ``.xz`` or ``.gz``; a folder
may also be a dataset saved by ``datasets``. A row that cannot be used is left out and named in ``problems``: what is
returned plus ``problems`` accounts for every row.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ragyena import recipes
from ragyena.errors import DataError, MissingDependencyError, PathNotFoundError

__all__ = [
    "ContextRow",
    "ContextSet",
    "Question",
    "QuestionSet",
    "read_contexts",
    "read_questions",
    "read_rows",
    "under",
]


SHIPPED = "shipped:"
"""Begins the name of a file inside the package."""


def under(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The names with those of files and folders below ``root`` made paths, and what follows ``shipped:`` found inside
    the package; others are left as they are (files elsewhere, datasets on the hub).

    Raises PathNotFoundError for the name of a file that is nowhere.
    """
    names = [str(recipes.asset(n.removeprefix(SHIPPED))) if n.startswith(SHIPPED) else n for n in names]
    for name in names:
        if Path(name).suffix and not (root / name).exists() and not Path(name).exists():
            raise PathNotFoundError(
                f"no data file {root / name}", hint="give --data-root, the folder that the recipe's paths are under"
            )
    return tuple(str(root / name) if (root / name).exists() else name for name in names)


@dataclass(frozen=True, slots=True)
class ContextRow:
    """A text that questions are asked on, or that is read for its own sake."""

    id: str
    title: str
    text: str
    source: str
    """The collection it belongs to."""
    split: str = ""
    """``train``, ``dev``; empty where the data does not say."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with every answer that counts as right."""

    id: str
    source: str
    """The collection it belongs to."""
    question: str
    answers: tuple[str, ...]
    """Acceptable answers; empty where the context does not hold one."""
    context_id: str | None
    """The ``ContextRow`` it is asked on; None for a question that came without one."""
    answer_start: int
    """Char offset of ``answers[0]`` in the context's text; -1 where it is not a span of it."""
    split: str = ""


@dataclass(frozen=True, slots=True)
class ContextSet:
    """Texts in file order, and the rows that could not be used."""

    contexts: tuple[ContextRow, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions in file order, the contexts they and their passage files brought, and the rows not used."""

    questions: tuple[Question, ...]
    contexts: Mapping[str, ContextRow] = field(repr=False)
    """By id. Holds every passage row read, also those no question refers to."""
    problems: tuple[str, ...]
    """``file, row: reason`` of every row left out."""


def read_questions(
    names: Sequence[str], passages: Sequence[str] = (), *, split: str | None = None, sources: Sequence[str] = ()
) -> QuestionSet:
    """Every question of ``names``, joined with the passage rows of ``passages`` by ``passage_id``.

    ``split`` keeps the questions of that split and those that name none; ``sources`` keeps the questions of these
    sources. Filters choose and do not count as problems. Where a row has no ``answer_start`` the first occurrence of
    its first answer in the context is taken.

    Raises PathNotFoundError for a missing file, DataError for one that cannot be read at all or where no row of a
    file can be used, MissingDependencyError where ``datasets`` is needed and not installed.
    """
    stored = read_contexts(passages) if passages else ContextSet((), ())
    contexts = {row.id: row for row in stored.contexts}
    problems = list(stored.problems)
    questions: list[Question] = []
    seen: set[str] = set()
    for name in names:
        read = 0
        failed = len(problems)
        for item in _rows(name):
            try:
                row = _QuestionRow.model_validate(_mapping(item))
                context_id = _context_of(row, item, contexts)
                question = _question(row, item, context_id, contexts)
                if question.id in seen:
                    raise _UnusableError(f"the id '{question.id}' is taken by an earlier row")
            except (ValidationError, _UnusableError) as error:
                problems.append(f"{item.where}: {_reason(error)}")
                continue
            read += 1
            seen.add(question.id)
            if (split is None or question.split in ("", split)) and (not sources or question.source in sources):
                questions.append(question)
        if not read:
            _nothing_usable(name, problems[failed:], "{id, question, answers, context | passage_id}")
    return QuestionSet(tuple(questions), contexts, tuple(problems))


def read_contexts(names: Sequence[str]) -> ContextSet:
    """Every text of ``names``: rows ``{id, title, context | text, source, split}`` of which only the text is required.

    Raises as ``read_questions`` does.
    """
    contexts: dict[str, ContextRow] = {}
    problems: list[str] = []
    for name in names:
        before = len(contexts)
        failed = len(problems)
        for item in _rows(name):
            try:
                row = _ContextRow.model_validate(_mapping(item))
                text = row.context or row.text
                if not text:
                    raise _UnusableError("'context': there is no text")
                row_id = row.id or _text_id(row.source or item.source, text)
                if row_id in contexts and contexts[row_id].text != text:
                    raise _UnusableError(f"the id '{row_id}' is taken by an earlier row with another text")
            except (ValidationError, _UnusableError) as error:
                problems.append(f"{item.where}: {_reason(error)}")
                continue
            contexts.setdefault(
                row_id, ContextRow(row_id, row.title, text, row.source or item.source, row.split or item.split)
            )
        if len(contexts) == before and len(problems) > failed:
            _nothing_usable(name, problems[failed:], "{id, title, context | text}")
    return ContextSet(tuple(contexts.values()), tuple(problems))


def read_rows(names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Every row of ``names`` as it stands, with its place (``file, line N``); unchecked, it may be of any type.

    Raises as ``read_questions`` does.
    """
    for name in names:
        for item in _rows(name):
            yield item.where, item.values


# ---------------------------------------------------------------------------------------------------------------
# What a row looks like
# ---------------------------------------------------------------------------------------------------------------


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    @field_validator("id", "title", "source", "split", mode="before", check_fields=False)
    @classmethod
    def _absent(cls, value: object) -> object:
        return "" if value is None else value


class _ContextRow(_Row):
    id: str = ""
    title: str = ""
    source: str = ""
    split: str = ""
    context: str | None = None
    text: str | None = None


class _QuestionRow(_Row):
    """Our own layout, SQuAD's and that of the SQuAD-like datasets of the hub; they differ in ``answers`` alone."""

    id: str = ""
    title: str = ""
    source: str = ""
    split: str = ""
    passage_id: str | None = None
    context: str | None = None
    question: str = Field(min_length=1)
    answers: tuple[tuple[str, int | None], ...] = ()
    """Each answer with its own start, None where none is given."""
    answer_start: int | None = None
    is_impossible: bool = False

    @field_validator("answers", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if value is None:
            return ()
        if isinstance(value, str):
            return ((value, None),)
        if isinstance(value, Mapping):
            texts = value.get("text", ())
            starts = value.get("answer_start") or [None] * len(texts)
            return tuple(zip(texts, starts))
        if isinstance(value, list | tuple):
            return tuple((a.get("text"), a.get("answer_start")) if isinstance(a, Mapping) else (a, None) for a in value)
        return value


class _UnusableError(Exception):
    """A row parses but cannot be used; the text says why."""


def _mapping(item: _Item) -> Mapping[str, Any]:
    if isinstance(item.values, Mapping):
        return item.values
    raise _UnusableError(str(item.values) if isinstance(item.values, _NotJson) else "not a JSON object")


def _question(row: _QuestionRow, item: _Item, context_id: str | None, contexts: Mapping[str, ContextRow]) -> Question:
    answers = () if row.is_impossible else tuple(dict.fromkeys(text for text, _ in row.answers if text))
    start = -1
    if answers and context_id is not None:
        text = contexts[context_id].text
        given = row.answer_start if row.answer_start is not None else row.answers[0][1]
        start = text.find(answers[0]) if given is None else given
        if start >= 0 and text[start : start + len(answers[0])] != answers[0]:
            raise _UnusableError(f"answer_start {start} does not point at '{answers[0]}' in the context")
    return Question(
        id=row.id or item.id,
        source=row.source or item.source,
        question=row.question,
        answers=answers,
        context_id=context_id,
        answer_start=start,
        split=row.split or item.split,
    )


def _context_of(row: _QuestionRow, item: _Item, contexts: dict[str, ContextRow]) -> str | None:
    """The id of the row's context, which is stored where the row brings it along."""
    if row.context:
        source = row.source or item.source
        context_id = row.passage_id or _text_id(source, row.context)
        known = contexts.setdefault(
            context_id, ContextRow(context_id, row.title, row.context, source, row.split or item.split)
        )
        if known.text != row.context:
            raise _UnusableError(f"passage_id '{context_id}' stands for another text in an earlier row")
        return context_id
    if row.passage_id is not None and row.passage_id not in contexts:
        raise _UnusableError(f"passage_id '{row.passage_id}' is in none of the passage files")
    return row.passage_id


def _text_id(source: str, text: str) -> str:
    return f"{source}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _reason(error: ValidationError | _UnusableError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"'{'.'.join(map(str, e['loc'])) or 'row'}': {e['msg'].lower()}" for e in error.errors())
    return str(error)


def _nothing_usable(name: str, problems: Sequence[str], layout: str) -> None:
    first = f"; the first: {problems[0]}" if problems else ""
    raise DataError(f"no row of {name} can be used{first}", hint=f"rows are {layout}, or SQuAD JSON")


# ---------------------------------------------------------------------------------------------------------------
# Where rows come from
# ---------------------------------------------------------------------------------------------------------------

_LINES = {".jsonl", ".ndjson"}
_COMPRESSED = {".xz", ".gz"}


@dataclass(frozen=True, slots=True)
class _Item:
    """One row before it is checked, and what its place says about it."""

    values: Any
    where: str
    """``file, row N``: names the row in a problem."""
    id: str
    """An id for a row that has none."""
    source: str
    """A source for a row that names none: the name of the file or dataset."""
    split: str = ""


def _rows(name: str) -> Iterator[_Item]:
    path = Path(name).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and _kind(file) is not None)
        if files and not (path / "dataset_info.json").exists() and not (path / "dataset_dict.json").exists():
            for file in files:
                yield from _file_rows(file)
        else:
            yield from _dataset_rows(name, path)
    elif path.is_file():
        yield from _file_rows(path)
    elif _kind(path) is not None or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise PathNotFoundError(f"there is no data file {name}", hint="check the path")
    else:
        yield from _dataset_rows(name, None)


def _kind(path: Path) -> str | None:
    """``lines``, ``json``, or None for a file of another kind."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    return "lines" if last in _LINES else "json" if last == ".json" else None


def _open(path: Path) -> TextIO:
    if path.suffix.lower() == ".xz":
        return lzma.open(path, "rt", encoding="utf-8-sig")
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _file_rows(path: Path) -> Iterator[_Item]:
    kind = _kind(path)
    if kind is None:
        raise DataError(
            f"{path} is of no kind that questions are read from", hint="use .jsonl or .json, also with .xz or .gz"
        )
    stem = path.name.split(".")[0]
    try:
        with _open(path) as file:
            if kind == "lines":
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield _Item(_parsed(line), f"{path}, line {number}", f"{stem}-{number}", stem)
                return
            content = json.load(file)
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", hint="the file is damaged or not what its name says"
        ) from error
    rows = _squad_rows(content, path)
    for number, values in enumerate(rows, 1):
        yield _Item(values, f"{path}, row {number}", f"{stem}-{number}", stem)


class _NotJson(str):
    """In place of a line's values: why it has none. The check of the row names it."""


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return _NotJson(f"not JSON: {error}")


def _squad_rows(content: Any, path: Path) -> Iterator[Any]:
    """Rows of a JSON file: SQuAD's articles and paragraphs flattened, or a list as it is."""
    if isinstance(content, list):
        yield from content
        return
    try:
        for article in content["data"]:
            for paragraph in article["paragraphs"]:
                for entry in paragraph["qas"]:
                    yield {**entry, "title": article.get("title", ""), "context": paragraph["context"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not in SQuAD's format ({type(error).__name__}: {error})",
            hint="it has data > paragraphs > context, qas > id, question, answers; or is a list of rows",
        ) from error


def _dataset_rows(name: str, folder: Path | None) -> Iterator[_Item]:
    """Rows of a dataset of the hub, or of a folder that ``datasets`` can read; its ``validation`` split is ``dev``."""
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError(
            f"'{name}' is not a file, and reading Hugging Face datasets needs the package datasets",
            hint="pip install 'ragyena[train]', or give the path of a .jsonl or .json file",
        ) from error
    place, _, only = name.partition(":") if folder is None else (name, "", "")
    try:
        if folder is not None and any((folder / f).exists() for f in ("dataset_info.json", "dataset_dict.json")):
            loaded = datasets.load_from_disk(str(folder))
        else:
            loaded = datasets.load_dataset(place, split=only or None)
    except Exception as error:  # datasets raises of many kinds, of its own and of its network libraries
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"the dataset '{name}' cannot be loaded: {first}",
            hint="a name is a file, a folder, or owner/name[:split] on the Hugging Face hub",
        ) from error
    parts = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {str(loaded.split or ""): loaded}
    source = place.rstrip("/").split("/")[-1]
    for part, rows in parts.items():
        split = "dev" if part == "validation" else part
        for number, values in enumerate(rows, 1):
            yield _Item(values, f"{name}, {part or 'all'} row {number}", f"{source}-{part}-{number}", source, split)
