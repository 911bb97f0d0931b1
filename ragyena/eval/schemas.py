"""JSON schemas of what an evaluation writes, made from the classes that it is written from."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, TypeAdapter

from ragyena.eval.report import AnswerRow, Report
from ragyena.eval.retrieval import RetrievalReport

__all__ = ["answers_schema", "results_schema", "retrieval_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def results_schema() -> dict[str, Any]:
    """Of a results file of ``ragyena eval``."""
    return _schema(Report)


def answers_schema() -> dict[str, Any]:
    """Of a line of the file of answers beside it."""
    return _schema(AnswerRow)


def retrieval_schema() -> dict[str, Any]:
    """Of a results file of ``ragyena eval`` for the task ``retrieval``."""
    return _schema(RetrievalReport)


def _schema(kind: type) -> dict[str, Any]:
    # the tuple around it lends the class a configuration: its own would have to be pydantic's
    config = ConfigDict(use_attribute_docstrings=True)
    whole = TypeAdapter(tuple[kind], config=config).json_schema(mode="serialization")  # type: ignore[valid-type]
    definitions = whole["$defs"]
    main = definitions.pop(kind.__name__)
    return {"$schema": _DIALECT, **main, **({"$defs": definitions} if definitions else {})}
