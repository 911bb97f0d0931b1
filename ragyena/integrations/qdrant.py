"""Filters in Qdrant's form, for a recipe's ``filter: ragyena.integrations.qdrant.metadata_filter``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["metadata_filter"]


def metadata_filter(filters: Mapping[str, Any]) -> Any:
    """A ``qdrant_client.models.Filter`` that keeps documents whose metadata fields equal the given values."""
    from qdrant_client import models

    conditions: list[Any] = [
        models.FieldCondition(key=f"metadata.{key}", match=models.MatchValue(value=value))
        for key, value in filters.items()
    ]
    return models.Filter(must=conditions)
