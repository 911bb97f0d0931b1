"""Draws the terminal picture of the README: real commands run in a real process, their screen saved as SVG.

``make picture`` runs it. Answers do not change from run to run; the seconds in the picture are those of the machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).resolve().parent / "pictures" / "terminal.svg"
COLUMNS = 100
WITHOUT_WEB_FONTS = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
CORPUS = Path("ragyena/assets/demo/corpus")
QUESTIONS = (
    "What is the highest point in Isle of Man, and how high is it?",
    "What does mpsc stand for?",
)


def main() -> None:
    """Index the demo corpus in a temporary folder, ask two questions, write ``PICTURE``."""
    os.chdir(PICTURE.parent.parent.parent)
    with tempfile.TemporaryDirectory() as folder:
        index = str(Path(folder) / "demo")
        lines = _run(["index", "add", str(CORPUS)], index)
        for question in QUESTIONS:
            lines += _run(["ask", question], index)
    screen = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    for line in lines:
        screen.print(line)
    PICTURE.parent.mkdir(exist_ok=True)
    screen.save_svg(str(PICTURE), title="ragyena", code_format=WITHOUT_WEB_FONTS)
    print(PICTURE)


def _run(words: list[str], index: str) -> list[Text]:
    """The typed command and what it prints on stdout."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, "-m", "ragyena", *words, "--index", index],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    typed = " ".join(f'"{word}"' if " " in word else word for word in words)
    return [
        Text(f"$ ragyena {typed}", style="bold"),
        *Text.from_ansi(done.stdout.replace(index, "demo")).split(),
        Text(),
    ]


if __name__ == "__main__":
    main()
