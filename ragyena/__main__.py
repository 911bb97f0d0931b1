"""The entry point of `ragyena ...`, `python -m ragyena ...` (what torchrun needs) and `python app.py ...`."""

from __future__ import annotations

# What signal wraps: that takes milliseconds to import, in which an interrupt would be a traceback.
import _signal  # type: ignore[import-not-found]
import os


def run() -> None:
    """Run the command line. An interrupt while it is being imported ends the process without a word."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, lambda *_: os._exit(130))
    from ragyena.cli.main import run as run_command

    run_command()


if __name__ == "__main__":
    run()
