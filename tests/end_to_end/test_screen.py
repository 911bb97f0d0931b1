"""The user's screen, as a terminal gets it: every command with names and texts that hold escape sequences, and
standard streams that are closed, full or gone."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from command_line import Ragyena
from warm import warm

pytestmark = pytest.mark.xdist_group("end_to_end")
QUESTION = "When was the iron bridge built?"
EVIL = "\x1b[38;5;133mE\x1b]0;title\x07\x9b31m\u202egnp\u2066\u200fz\u200b\x08\x7f"
OURS = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|2K|1A)|\r+\n|\r")
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def screen(ragyena: Ragyena, *arguments: str | Path, code: int = 0, **environment: str) -> str:
    """Run a command with a terminal for all its streams, and check what the terminal gets."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    variables = ragyena.environment(TERM="xterm-256color", **environment)
    variables = {name: value for name, value in variables.items() if name not in ("NO_COLOR", "COLUMNS")}
    process = warm().start(
        list(map(str, arguments)), cwd=ragyena.home, environment=variables, stdin=inner, stdout=inner, stderr=inner
    )
    os.close(inner)
    parts = []
    while True:
        try:
            part = os.read(outer, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(outer)
    text = b"".join(parts).decode("utf-8", "surrogateescape")
    assert process.wait(60) == code, text
    assert not FORBIDDEN.findall(OURS.sub("", text).replace("\n", "")), text
    assert "\x1b[38;5;133m" not in text
    assert "Traceback" not in text
    return text


@pytest.fixture(scope="module")
def hostile(ragyena: Ragyena, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of documents with escape sequences in their names and texts."""
    folder = tmp_path_factory.mktemp("hostile")
    filler = "Nothing else is known of it, and nobody asks. " * 100
    (folder / f"n{EVIL}\nerror: forged.txt").write_text(f"The iron bridge was built in 1932 {EVIL} by Ada. {filler}")
    (folder / "t.csv").write_text(f"name,x{EVIL}\nMaria{EVIL},gardener\n" + f"Otto,{filler}\n" * 3)
    (folder / "[red]m[bold].md").write_text(f"# The museum {EVIL}\n\nThe museum opens at nine {EVIL}.\n\n{filler}")
    (folder / f"bad{EVIL}.pdf").write_bytes(b"%PDF-1.4 junk")
    return folder


def test_documents_names_and_questions_do_not_reach_the_terminal_as_orders(ragyena: Ragyena, hostile: Path) -> None:
    index = hostile / f"i{EVIL}"
    added = screen(ragyena, "index", "add", hostile, "--index", index, code=3)
    assert r"bad\x1b[38;5;133mE" in added and "\r\nerror: forged" not in added
    assert r"\nerror: forged.txt" in screen(ragyena, "index", "status", "--files", "--index", index)
    assert r"1932 \x1b" in " ".join(screen(ragyena, "index", "search", f"iron bridge {EVIL}", "--index", index).split())
    assert "1932" in screen(ragyena, "ask", f"When was the iron bridge built? {EVIL}", "--index", index, "--explain")
    screen(ragyena, "index", "rm", EVIL, "--index", index, code=3)


@pytest.mark.slow
def test_arguments_and_settings_do_not_either(ragyena: Ragyena, library: Path, tmp_path: Path) -> None:
    screen(ragyena, EVIL, code=2)
    screen(ragyena, "ask", f"--no{EVIL}\nerror: forged", code=2)
    screen(ragyena, "ask", QUESTION, "--filter", EVIL, code=2)
    screen(ragyena, "config", "show", "--pipeline", EVIL, code=3)
    screen(ragyena, "config", "show", "--json", RAGYENA_READER__CHECKPOINT=EVIL)
    assert r"\u202egnp" in screen(ragyena, "config", "show", RAGYENA_READER__CHECKPOINT=EVIL)
    screen(ragyena, "index", "status", "--index", f"./{EVIL}", code=4)
    for command in ("train", "eval"):
        screen(ragyena, command, EVIL, code=3)
    questions = tmp_path / "q.jsonl"
    rows = [json.dumps({"question": f"When was the iron bridge built? {EVIL}", "id": EVIL}), "{bad " + EVIL]
    questions.write_text("\n".join([*rows, '{"question": "When was the iron bridge \\ud800 built?"}']))
    shown = screen(ragyena, "ask", "--questions", questions, "--index", library, code=3)
    assert shown.count('"answer": "1932"') == 2


def test_output_that_cannot_be_written_is_an_error(ragyena: Ragyena, library: Path) -> None:
    """To a full device, a closed stream and a pipe whose reader has gone."""
    command = " ".join(f"'{word}'" for word in ragyena.command("index", "status", "--index", library))
    for redirection, code in ((">/dev/full", 6), (">&-", 6), ("| true; exit ${PIPESTATUS[0]}", 0), ("<&- 2>&-", 0)):
        done = subprocess.run(
            ["bash", "-c", f"{command} {redirection}"], capture_output=True, text=True, env=ragyena.environment()
        )
        assert done.returncode == code, (redirection, done)
        assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
        assert ("error: stdout cannot be written" in done.stderr) == (code == 6)


@pytest.mark.slow
def test_an_interrupt_while_it_starts_is_no_traceback(ragyena: Ragyena, library: Path) -> None:
    """From the first line of ours on: before it, Python itself is starting."""
    script = (
        "import sys, ragyena.__main__ as main\n"
        "print('ready', flush=True)\n"
        f"sys.argv = ['ragyena', 'ask', {QUESTION!r}, '--index', {str(library)!r}]\n"
        "main.run()\n"
    )
    for delay in (0.03, 0.1, 0.3, 0.7, 1.5):
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            env=ragyena.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell that runs the tests in the background has Ctrl-C ignored, and its children with it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode in (130, 0), (delay, err)
        assert "Traceback" not in err


def test_what_begins_with_a_dash_and_empty_paths(ragyena: Ragyena, library: Path) -> None:
    done = ragyena("index", "search", "-5 degrees", "--index", library)
    assert done.code == 2 and "hint: what begins with a dash" in done.err and "--" in done.err
    ragyena("index", "search", "--index", library, "--", "-bridge").succeeds()
    ragyena("index", "add", "", "--index", library).fails(2, "empty")
    ragyena("index", "status", "--index", "~nosuch/index").fails(2, "~nosuch", "no such user")
    ragyena("index", "status", "--index", "n" * 300).fails(2, "too long")
