"""The log of the server: one JSON object a line on stderr. No text of a document or question goes into it."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["set_up"]


class JsonFormatter(logging.Formatter):
    """A record as JSON, with the ``fields`` it carries. Of an exception, its type alone: its message may quote."""

    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        values |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            values["error"] = record.exc_info[0].__name__
        return json.dumps(values, default=str)


def set_up(*, requests: bool) -> None:
    """Write the log of the server and of its HTTP library to stderr; ``requests`` logs each request too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name, level in (("ragyena.serve", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(level)
    logging.getLogger("ragyena.serve.requests").setLevel(logging.INFO if requests else logging.WARNING)
