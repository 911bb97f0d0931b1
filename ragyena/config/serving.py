"""Settings of the HTTP server (``ragyena serve``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from ragyena.config.strict import Count, Positive, Strict

__all__ = ["ServeConfig"]

Seconds = Annotated[float, Field(gt=0.0, le=86_400.0)]


class ServeConfig(Strict):
    """The HTTP server: where it listens, who may ask, and how much of everything it takes."""

    indexes: tuple[str, ...] = ()
    """Indexes to serve, by name or path, the first where a request names none; empty is the default index."""
    host: str = "127.0.0.1"
    """Address to listen on. Any but a loopback address needs ``serve.api_keys``."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port to listen on; 0 takes a free one."""
    api_keys: tuple[SecretStr, ...] = ()
    """Keys, one of which every request to the API must carry (``Authorization: Bearer KEY``); empty asks for none."""
    hosts: tuple[str, ...] = ()
    """Names by which browsers may address the server, besides ``localhost``, IP addresses and ``serve.host``."""
    cors_origins: tuple[str, ...] = ()
    """Web pages of other origins (``https://app.example``) that may use the API; empty is none."""
    uploads: Path | None = None
    """Folder of uploaded files, with a folder for each index; unset is ``NAME.uploads`` beside each index."""
    baseline: str | None = None
    """A second reader, by name or folder, that a request can ask in the place of ``reader.checkpoint``, and the page
    beside it: an attention baseline."""
    read_only: bool = False
    """Refuse uploads and deletions."""
    queue: Positive = 128
    """Questions that may wait for the reader; one more is refused (429), as is one that would wait longer than half of
    ``serve.timeout_seconds``."""
    batch: Annotated[int, Field(ge=1, le=64)] = 4
    """The most waiting questions that are read together."""
    timeout_seconds: Seconds = 120.0
    """Seconds after which a question that is not answered yet is given up (504)."""
    shutdown_seconds: Seconds = 60.0
    """Seconds that a server which is told to end (SIGTERM) gives requests it has accepted."""
    max_body_mb: Annotated[float, Field(gt=0.0)] = 4.0
    """The largest body of a request, uploads apart."""
    max_upload_mb: Annotated[float, Field(gt=0.0)] = 500.0
    """The largest upload, all of its files together; ``index.max_file_mb`` holds for each of them."""
    header_seconds: Seconds = 10.0
    """Seconds in which the head of a request must arrive."""
    body_seconds: Seconds = 30.0
    """Seconds in which the body of a request, or the next part of an upload, must arrive, and a client must take the
    next part of a response."""
    keep_alive_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """Seconds that a connection may rest between two requests."""
    connections: Positive = 512
    """Connections at once; further ones are closed."""
    requests_per_minute: Count = 6000
    """Requests to the API by one key, or one address where there are no keys; 0 for no limit."""
