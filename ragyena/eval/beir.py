"""Folders in the layout of BEIR (Thakur et al. 2021): ``corpus.jsonl`` (``_id``, ``title``, ``text``),
``queries.jsonl`` (``_id``, ``text``) and ``qrels/SPLIT.tsv`` (a head, then query, document, grade).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ragyena.data.rows import valid_rows
from ragyena.errors import DataError, PathNotFoundError
from ragyena.eval.datasets import ContextRow, EvalData, Question, sample

__all__ = ["BeirData", "load_beir"]


@dataclass(frozen=True, slots=True)
class BeirData:
    """What is asked, and which documents are right."""

    data: EvalData
    """Questions have no answers; contexts are the documents, by id."""
    relevant: Mapping[str, Mapping[str, int]] = field(repr=False)
    """Grades above 0 by query id and document id."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    id: str = Field(alias="_id", min_length=1)
    title: str | None = None
    text: str = Field(min_length=1)


def load_beir(folder: Path, split: str, limit: int, seed: int) -> BeirData:
    """Queries of a split that have a relevant document, at most ``limit`` of them, and all documents.

    Raises PathNotFoundError for a file that is not there, DataError for one that cannot be used or where no query is
    left.
    """
    judgements = folder / "qrels" / f"{split}.tsv"
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", judgements):
        if not path.is_file():
            raise PathNotFoundError(
                f"{folder} is no folder of BEIR: there is no {path}", hint="check --data-root, and split of the recipe"
            )
    problems: list[str] = []
    documents = _rows(folder / "corpus.jsonl", problems)
    queries = _rows(folder / "queries.jsonl", problems)
    relevant: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_text(judgements).splitlines(), 1):
        parts = line.split("\t")
        if not line.strip() or (number == 1 and not parts[-1].strip().lstrip("-").isdigit()):
            continue
        try:
            query, document, grade = parts[0], parts[1], int(parts[2])
        except (IndexError, ValueError):
            problems.append(f"{judgements}, line {number}: not query, document and grade")
            continue
        if query not in queries or document not in documents:
            problems.append(f"{judgements}, line {number}: query or document is in none of the files")
        elif grade > 0:
            relevant.setdefault(query, {})[document] = grade
    asked = [
        Question(row.id, folder.resolve().name, row.text, (), None, -1, split)
        for row in queries.values()
        if row.id in relevant
    ]
    if not asked:
        raise DataError(f"no query of {judgements} has a relevant document", hint="check split of the recipe")
    contexts = {
        row.id: ContextRow(row.id, row.title or "", row.text, folder.resolve().name) for row in documents.values()
    }
    return BeirData(EvalData(tuple(sample(asked, limit, seed)), (), contexts, (), tuple(problems)), relevant)


def _rows(path: Path, problems: list[str]) -> dict[str, _Row]:
    found: dict[str, _Row] = {}
    for place, row in valid_rows([str(path)], _Row, problems):
        if row.id in found:
            problems.append(f"{place.where}: the id '{row.id}' is taken by an earlier row")
        else:
            found[row.id] = row
    if not found:
        first_problem = f"; the first problem: {problems[0]}" if problems else ""
        raise DataError(f"no row of {path} can be used{first_problem}", hint="rows are {_id, text}")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", hint="the file is damaged or not what its name says"
        ) from error
