"""Settings of a writer: another model, at an address of one's own, that writes an answer from the evidence."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from ragyena.config.strict import Positive, Strict

__all__ = ["WriterConfig"]


class WriterConfig(Strict):
    """A writer behind an OpenAI-compatible API. Off unless ``url`` is set; nothing leaves the machine otherwise."""

    url: str | None = None
    """Address of the API (``http://localhost:8080/v1``), to which the question and the evidence are sent."""
    model: str = ""
    """Name of the model there."""
    api_key: SecretStr | None = None
    """Key of the API, sent as ``Authorization: Bearer KEY``; best set as RAGYENA_WRITER__API_KEY."""
    tokens: Annotated[int, Field(ge=64, le=131_072)] = 2000
    """Tokens of evidence that are sent at most, counted by the reader's tokenizer."""
    max_answer_tokens: Positive = 512
    """Tokens the model may write."""
    timeout_seconds: Annotated[float, Field(gt=0.0)] = 120.0
    """The longest wait for the next words of the model."""
    requests: Annotated[int, Field(ge=1, le=256)] = 4
    """Requests to it at once, of ``ragyena serve``; further ones wait."""
