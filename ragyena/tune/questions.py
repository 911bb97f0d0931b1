"""A person's own questions with answers: JSON lines written by hand.

    {"question": "When does the lease end?", "answer": "31 May 2027", "document": "lease.pdf"}
    {"question": "Which tools do I need?", "answer": ["a saw", "a file"]}
    {"question": "May I sublet?", "answer": "no", "quote": "Subletting is not permitted."}
    {"question": "Who pays for the lift?", "answer": null}

The same file can be asked (``ragyena ask --questions``). Rows of data sets, with ``answers`` (any of them is right) and
``answer_type``, are read as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragyena.data.document_questions import AnswerType
from ragyena.errors import DataError, PathNotFoundError
from ragyena.files import open_file
from ragyena.parsing import MalformedError, parse_json_lines

__all__ = ["OwnQuestion", "read_own_questions"]

_LARGEST = 64_000_000  # bytes of a file
_HINT = 'a row is {"question": "...", "answer": "..."}; answer is a text, a list of them, "yes", "no" or null'
_TYPES: tuple[AnswerType, ...] = ("span", "list", "yes", "no", "compare", "none")


@dataclass(frozen=True, slots=True)
class OwnQuestion:
    """A question of a file, with its answer."""

    line: int
    question: str
    answer_type: AnswerType
    answers: tuple[str, ...]
    """Acceptable answers; the items of a list; the word of a yes/no question; empty for ``none``."""
    document: str = ""
    """Path, or the end of it, or title of the document that answers it; empty where none is named."""
    quote: str = ""
    """Text of the document around the answer; empty where none is given."""


def read_own_questions(path: Path) -> tuple[list[OwnQuestion], list[str]]:
    """The questions of a file, and ``line N: reason`` of each row that is none.

    Raises PathNotFoundError for a missing file, DataError for one that cannot be read or has no usable row.
    """
    questions: list[OwnQuestion] = []
    problems: list[str] = []
    lines: dict[str, int] = {}
    try:
        with open_file(path, _LARGEST) as file:
            for number, values in parse_json_lines(file):
                try:
                    question = _question(number, values)
                except ValueError as error:
                    problems.append(f"line {number}: {error}")
                    continue
                key = " ".join(question.question.casefold().split())
                if key in lines:
                    problems.append(f"line {number}: asks what line {lines[key]} asks")
                    continue
                lines[key] = number
                questions.append(question)
    except FileNotFoundError as error:
        raise PathNotFoundError(f"no questions file {path}", hint="give the path of a .jsonl file") from error
    except (OSError, MalformedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {path}: {reason}", hint="save the file as UTF-8 JSON lines") from error
    if not questions:
        first = f"; {problems[0]}" if problems else ""
        raise DataError(f"{path} holds no question with an answer{first}", hint=_HINT)
    return questions, problems


def _question(number: int, values: Any) -> OwnQuestion:
    """Raises ValueError with the reason."""
    if isinstance(values, MalformedError):
        raise ValueError(values.problem)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    question = values.get("question")
    if not isinstance(question, str) or not any(character.isalnum() for character in question):
        raise ValueError("no 'question' in it")
    kind, answers = _answer(values)
    return OwnQuestion(
        number, " ".join(question.split()), kind, answers, _text(values, "document"), _text(values, "quote")
    )


def _text(values: dict[str, Any], name: str) -> str:
    text = values.get(name)
    if not isinstance(text, str | None):
        raise ValueError(f"'{name}' is no text")
    return (text or "").strip()


def _answer(values: dict[str, Any]) -> tuple[AnswerType, tuple[str, ...]]:
    if "answer" in values:
        given = values["answer"]
        several = isinstance(given, list)
        declared = values.get("answer_type", "list" if several else None)
    elif "answers" in values:
        given, declared = values["answers"], values.get("answer_type")
    else:
        raise ValueError("no 'answer' in it")
    if given is None or (isinstance(given, list) and not given):
        return "none", ()
    if isinstance(given, bool):
        given = "yes" if given else "no"
    texts = [
        str(one) if isinstance(one, int | float) else one for one in (given if isinstance(given, list) else [given])
    ]
    if not all(isinstance(one, str) and one.strip() for one in texts):
        raise ValueError("'answer' is neither a text, nor a list of texts, nor null")
    answers = tuple(dict.fromkeys(" ".join(one.split()) for one in texts))
    word = answers[0].casefold().rstrip(".!")
    if len(answers) == 1 and word in ("yes", "no"):
        return ("yes", ("yes",)) if word == "yes" else ("no", ("no",))
    if declared not in (*_TYPES, None) or declared in ("yes", "no", "none"):
        raise ValueError(f"'answer_type' {declared!r} does not go with its answer")
    kind: AnswerType = declared or "span"
    return ("span" if kind == "list" and len(answers) == 1 else kind), answers
