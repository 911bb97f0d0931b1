"""A process that embeds texts for ``index.embed_processes``: JSON comes in, vectors go out.

A request is eight bytes of length and a JSON list of texts. A reply is one byte for its kind, eight for its length, and
its content: ``READY`` once at the start, with the sha256 of the weights; then, per request, ``VECTORS`` (float32, text
after text) or ``ERROR`` (JSON).
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys

import numpy as np

from ragyena.errors import RagyenaError
from ragyena.index.embedder import Embedder

__all__ = ["ERROR", "LENGTH", "READY", "REPLY", "VECTORS", "serve"]

READY, VECTORS, ERROR = b"R", b"V", b"E"
LENGTH, REPLY = struct.Struct(">Q"), struct.Struct(">cQ")


def serve(settings: str) -> None:
    """Answer requests from the standard input until it is closed. ``settings`` is JSON: ``embedder``, its name, and
    ``threads`` for its arithmetic."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that waits for the vectors
    values = json.loads(settings)
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a library prints is no reply

        def reply(kind: bytes, content: bytes) -> None:
            replies.write(REPLY.pack(kind, len(content)) + content)
            replies.flush()

        import torch

        torch.set_num_threads(values["threads"])
        try:
            embedder = Embedder.open(values["embedder"], download=False)
            reply(READY, embedder.fingerprint.encode())
            while head := requests.read(LENGTH.size):
                texts = json.loads(requests.read(*LENGTH.unpack(head)))
                reply(VECTORS, embedder.embed(texts).astype(np.float32).tobytes())
        except RagyenaError as error:
            reply(ERROR, json.dumps([error.message, error.hint]).encode())
        except Exception as error:  # the library raises whatever the device does, out of memory above all
            first = (str(error).strip().splitlines() or [""])[0][:300]
            reply(ERROR, json.dumps([f"{type(error).__name__}: {first}", ""]).encode())
