"""The questions of an evaluation and the texts they are asked on, read from the files of its recipe."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ragyena.config import EvalConfig, PipelineConfig
from ragyena.data.hybrid import parts, read_hybrid
from ragyena.data.loaded_tables import load_tables
from ragyena.data.qa_files import ContextRow, Question, read_contexts, read_questions, under
from ragyena.data.rows import valid_rows
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError, PathNotFoundError
from ragyena.files import expanded
from ragyena.types import Document, Passage

__all__ = ["ContextRow", "EvalData", "Question", "cut", "data_files", "fingerprint", "load", "sample", "stamps"]

_FILES = ("questions", "passages", "unanswerable", "prose", "documents", "corpus")


@dataclass(frozen=True, slots=True)
class EvalData:
    """Questions, the texts they are asked on, and the texts that are only retrieved from."""

    answerable: tuple[Question, ...]
    unanswerable: tuple[Question, ...] = ()
    contexts: Mapping[str, ContextRow] = field(default_factory=dict, repr=False)
    """Every context read, by id."""
    prose: tuple[ContextRow, ...] = field(default=(), repr=False)
    """Further texts to retrieve from, none of whose ids is that of a context."""
    problems: tuple[str, ...] = ()
    """Rows that were left out, and why."""
    documents: Mapping[str, Sequence[Document]] = field(default_factory=dict, repr=False)
    """By the ``context_id`` of questions: the texts of each hybrid document, and each context that holds a table."""
    relevant: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)
    """BEIR: grades above 0 by query id and document id."""


def data_files(config: EvalConfig, data_root: Path) -> EvalConfig:
    """The recipe with the names of its data files made paths. Raises PathNotFoundError for a file that is missing."""
    root = expanded(data_root)
    files: dict[str, Any] = {name: under(root, getattr(config, name)) for name in _FILES}
    return config.model_copy(update=files | ({"beir": str(root / config.beir)} if config.beir else {}))


def stamps(paths: Iterable[str | Path]) -> list[list[Any]]:
    """Name, size and time of change of each file, and of the files in each folder."""
    rows: list[list[Any]] = []
    for path in map(Path, paths):
        for file in sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]:
            stat = file.stat() if file.is_file() else None  # not a file: a dataset on the hub
            rows.append([str(file), stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0])
    return rows


def data_stamps(files: EvalConfig) -> list[list[Any]]:
    """Stamps of all data of a recipe, as ``data_files`` returns it."""
    return stamps([*(name for kind in _FILES for name in getattr(files, kind)), *([files.beir] if files.beir else [])])


def load(files: EvalConfig, *, needs_context: bool = True) -> EvalData:
    """The rows of a recipe whose names are paths (``data_files``).

    A row without answers is unanswerable, whichever file it stands in. A row without a context is left out, and named,
    where ``needs_context``. Raises PathNotFoundError and DataError for files that cannot be used, DataError where no
    answerable question is left.
    """
    if files.beir:
        data = _beir(files)
    elif files.task == "hybrid":
        data = _hybrid(files)
    else:
        data = _rows(files, needs_context)
    answerable, unanswerable = (
        tuple(sample(questions, files.limit, files.seed)) for questions in (data.answerable, data.unanswerable)
    )
    return replace(data, answerable=answerable, unanswerable=unanswerable)


def _rows(files: EvalConfig, needs_context: bool) -> EvalData:
    """Questions and passages of the common layouts."""
    if not files.questions:
        raise DataError("there are no questions to ask", hint="name a recipe that has some, or give --data FILE")
    rows = load_tables(read_questions((*files.questions, *files.unanswerable), files.passages, split=files.split))
    further = read_contexts(files.prose) if files.prose else None
    prose = further.contexts if further else ()
    problems = [*rows.problems, *(further.problems if further else ())]
    chosen = [q for q in rows.questions if not q.answers or not files.sources or q.source in files.sources]
    if files.answer_types:
        chosen = [q for q in chosen if not q.answers or q.answer_type in files.answer_types]
    if needs_context:
        problems += [f"question {q.id}: it has no context" for q in chosen if q.context_id is None]
        chosen = [question for question in chosen if question.context_id is not None]
    if files.same_articles:
        titles = {_title(question, rows.contexts) for question in chosen if not question.answers}
        chosen = [q for q in chosen if not q.answers or _title(q, rows.contexts) in titles]
    answerable = tuple(question for question in chosen if question.answers)
    if not answerable:
        wanted = f"split '{files.split}'" + (f" and sources {', '.join(files.sources)}" if files.sources else "")
        wanted += f" and types {', '.join(files.answer_types)}" if files.answer_types else ""
        having = "an answer and a context" if needs_context else "an answer"
        raise DataError(
            f"{', '.join(files.questions)}: no question with {having} is of {wanted}",
            hint="check split and sources of the recipe, and that the passage files were given (--passages)",
        )
    problems += [f"text {row.id}: the id is that of a passage" for row in prose if row.id in rows.contexts]
    return EvalData(
        answerable,
        tuple(question for question in chosen if not question.answers),
        rows.contexts,
        tuple(row for row in prose if row.id not in rows.contexts),
        tuple(problems),
        {key: [document] for key, document in rows.documents.items()},
    )


def _title(question: Question, contexts: Mapping[str, ContextRow]) -> str:
    return contexts[question.context_id].title if question.context_id is not None else ""


def sample(questions: Sequence[Question], limit: int, seed: int) -> list[Question]:
    """At most ``limit`` of the questions, in file order; the same ones for the same seed."""
    if not limit or len(questions) <= limit:
        return list(questions)
    return [questions[place] for place in sorted(random.Random(seed).sample(range(len(questions)), limit))]


def cut(data: EvalData, tokenizer: Tokenizer, passage_tokens: int) -> dict[str, list[Passage]]:
    """The passages of every context that is asked on, by its id, cut as an index cuts them."""
    ids = dict.fromkeys(q.context_id for q in (*data.answerable, *data.unanswerable) if q.context_id is not None)
    passages = {}
    for context_id in ids:
        texts = data.documents.get(context_id)
        if texts is None:
            row = data.contexts[context_id]
            texts = [Document(row.id, row.text, row.title)]
        passages[context_id] = [passage for text in texts for passage in split(text, tokenizer, passage_tokens)]
    return passages


def fingerprint(rows: Iterable[ContextRow], settings: PipelineConfig, tokenizer: Tokenizer) -> str:
    """Identifies the index of these texts under these settings."""
    digest = hashlib.sha256(f"{settings.index.model_dump_json()} {tokenizer.fingerprint}".encode())
    for row in rows:
        digest.update(json.dumps([row.id, row.title, row.text]).encode())
    return digest.hexdigest()[:12]


def _hybrid(files: EvalConfig) -> EvalData:
    """Questions on documents of a table and linked articles (HybridQA; Chen et al. 2020). The ``source`` of each says
    where its answer stands."""
    articles = read_contexts(files.prose) if files.prose else None
    linked = {row.id: row for row in articles.contexts} if articles else {}
    rows = read_hybrid(files.questions, files.documents, linked, split=files.split)
    problems = (*(articles.problems if articles else ()), *rows.problems)
    questions = [
        Question(row.id, row.source, row.question, row.answers, row.doc_id, -1, row.split)
        for row in rows.questions
        if not files.sources or row.source in files.sources
    ]
    if not questions:
        raise DataError(
            f"{', '.join(files.questions)}: no question on a document is of split '{files.split}'"
            + (f"; the first problem: {problems[0]}" if problems else ""),
            hint="check split and sources of the recipe, and that documents and prose files are given",
        )
    documents = {question.doc_id: parts(rows.documents[question.doc_id], linked) for question in rows.questions}
    return EvalData(tuple(questions), problems=problems, documents=documents)


# ---------------------------------------------------------------------------------------------------------------
# BEIR
# ---------------------------------------------------------------------------------------------------------------


class _BeirRow(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    id: str = Field(alias="_id", min_length=1)
    title: str | None = None
    text: str = Field(min_length=1)


def _beir(files: EvalConfig) -> EvalData:
    """A folder in the layout of BEIR (Thakur et al. 2021): ``corpus.jsonl`` (``_id``, ``title``, ``text``),
    ``queries.jsonl`` (``_id``, ``text``) and ``qrels/SPLIT.tsv`` (a head, then query, document, grade).

    The queries of the split that have a relevant document, and all documents.
    """
    folder = Path(files.beir)
    judgements = folder / "qrels" / f"{files.split}.tsv"
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", judgements):
        if not path.is_file():
            raise PathNotFoundError(
                f"{folder} is no folder of BEIR: there is no {path}", hint="check --data-root, and split of the recipe"
            )
    problems: list[str] = []
    documents, queries = (_beir_rows(folder / name, problems) for name in ("corpus.jsonl", "queries.jsonl"))
    relevant: dict[str, dict[str, int]] = {}
    for where, query, document, grade in _judgements(judgements, problems):
        if query not in queries or document not in documents:
            problems.append(f"{where}: query or document is in none of the files")
        elif grade > 0:
            relevant.setdefault(query, {})[document] = grade
    name = folder.resolve().name
    questions = [Question(q.id, name, q.text, (), None, -1, files.split) for q in queries.values() if q.id in relevant]
    if not questions:
        raise DataError(f"no query of {judgements} has a relevant document", hint="check split of the recipe")
    return EvalData(
        tuple(questions),
        contexts={row.id: ContextRow(row.id, row.title or "", row.text, name) for row in documents.values()},
        problems=tuple(problems),
        relevant=relevant,
    )


def _beir_rows(path: Path, problems: list[str]) -> dict[str, _BeirRow]:
    rows: dict[str, _BeirRow] = {}
    for place, row in valid_rows([str(path)], _BeirRow, problems):
        if row.id in rows:
            problems.append(f"{place.where}: the id '{row.id}' is taken by an earlier row")
        else:
            rows[row.id] = row
    if not rows:
        first_problem = f"; the first problem: {problems[0]}" if problems else ""
        raise DataError(f"no row of {path} can be used{first_problem}", hint="rows are {_id, text}")
    return rows


def _judgements(path: Path, problems: list[str]) -> Iterator[tuple[str, str, str, int]]:
    """Place, query id, document id and grade of each line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", hint="the file is damaged or not what its name says"
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        columns = line.split("\t")
        if not line.strip() or (number == 1 and not columns[-1].strip().lstrip("-").isdigit()):
            continue
        try:
            yield f"{path}, line {number}", columns[0], columns[1], int(columns[2])
        except (IndexError, ValueError):
            problems.append(f"{path}, line {number}: not query, document and grade")
