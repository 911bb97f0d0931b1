"""Settings of a store of LangChain's from which a pipeline retrieves in place of an index."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from ragyena.config.strict import Strict

__all__ = ["STORE_SETTING", "LangChainStoreConfig"]

STORE_SETTING = "retriever.langchain"
"""Dotted name of this setting. It names code to import, so that it is taken from a recipe that the user names alone."""

_PASSWORD = re.compile(r"://[^/@\s:]*:(?!\$\{)[^@\s]+@")


class LangChainStoreConfig(Strict):
    """A vector store of LangChain's: the class, how it is made, how it is searched. Only in a recipe that is named."""

    model_config = ConfigDict(populate_by_name=True)

    class_: str = Field(alias="class", pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
    """Dotted path of a vector store, or of a function or method that makes one: ``langchain_postgres.PGVector``."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Its arguments. ``${NAME}`` in a text is the environment variable NAME; a mapping with a ``class`` of its own, and
    ``arguments``, is made the same way."""
    search: Literal[
        "similarity_search_with_relevance_scores",
        "similarity_search_with_score",
        "similarity_search",
        "max_marginal_relevance_search",
    ] = "similarity_search_with_relevance_scores"
    """The method that searches. Passages rank in the order that it gives."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of that method."""
    filter: str = Field(default="", pattern=r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)+)?$")
    """Dotted path of a function that puts filters (a mapping of field to value) into the store's form; empty where that
    is a mapping as well."""

    @field_validator("arguments", "options")
    @classmethod
    def _no_password(cls, values: dict[str, Any]) -> dict[str, Any]:
        if any(_PASSWORD.search(text) for text in _texts(values)):
            raise ValueError("a password stands in it: put the address into an environment variable, and write ${NAME}")
        return values


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []
