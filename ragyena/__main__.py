"""The entry point of `ragyena ...`, `python -m ragyena ...` (what torchrun needs) and `python app.py ...`."""

from __future__ import annotations

import os
import signal


def run() -> None:
    """Run the command line. An interrupt while it is being imported ends the process without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from ragyena.cli.main import run as run_command

    run_command()


if __name__ == "__main__":
    run()
