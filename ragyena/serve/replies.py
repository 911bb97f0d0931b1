"""Responses of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

__all__ = ["JsonReply", "to_json"]


def to_json(value: Any) -> bytes:
    """``value`` as JSON in UTF-8 on one line; undecodable bytes of a file's name are escaped as in Python."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")


class JsonReply(Response):
    """A model as JSON."""

    media_type = "application/json"

    def __init__(self, model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = to_json(model.model_dump(by_alias=True, mode="json"))
        super().__init__(content, status_code=status, headers=dict(headers or {}))
