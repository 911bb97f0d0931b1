"""The real command on real files: every call is a process of its own, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warm import warm

SECONDS = 240
"""The most that a command may take."""


@dataclass(frozen=True, slots=True)
class Result:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    def fails(self, code: int, *words: str) -> Result:
        """Asserts an ``error:`` line with ``words``, a ``hint:`` line, the exit code, and no traceback."""
        assert self.code == code, (self.code, self.out, self.err)
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert [line for line in lines if line.startswith("hint: ")], self.err
        (message,) = [line for line in lines if line.startswith("error: ")]
        for word in words:
            assert word in message, (word, message)
        return self

    def succeeds(self) -> Result:
        assert self.code == 0, (self.code, self.out, self.err)
        return self


@dataclass(frozen=True, slots=True)
class Ragyena:
    """Runs ``ragyena``; ``home`` stands for the user's home, so that no real settings or indexes are touched.

    ``without`` is a package that is not installed."""

    home: Path
    without: str | None = None

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "ragyena", *map(str, arguments)]

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAGYENA_", "XDG_"))}
        return {**kept, "HOME": str(self.home), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "100", **extra}

    def __call__(
        self,
        *arguments: str | Path,
        stdin: str | bytes = "",
        environment: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Result:
        """A process that ``warm`` forks; one from its start where ``before`` is to run in it before Python does, or
        where ``environment`` holds settings of Python itself."""
        given, values = stdin.encode() if isinstance(stdin, str) else stdin, self.environment(**(environment or {}))
        if before is None and not any(name.startswith("PYTHON") for name in environment or {}):
            return self._forked(list(map(str, arguments)), given, values)
        done = subprocess.run(
            self.command(*arguments),
            input=given,
            capture_output=True,
            cwd=self.home,
            env=values,
            preexec_fn=before,
            timeout=SECONDS,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def script(self, path: Path, *arguments: str | Path) -> Result:
        """A Python file in place of ``ragyena``."""
        return self._forked(list(map(str, arguments)), b"", self.environment(), path)

    def _forked(
        self, arguments: list[str], stdin: bytes, environment: dict[str, str], script: Path | None = None
    ) -> Result:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            command = warm(*[self.without] if self.without else ()).start(
                arguments, cwd=self.home, environment=environment, script=script,
                stdin=given.fileno(), stdout=out.fileno(), stderr=err.fileno(),
            )  # fmt: skip
            try:
                code = command.wait(SECONDS)
            finally:
                command.kill()
            out.seek(0)
            err.seek(0)
            return Result(code, out.read().decode(), err.read().decode())


def write_pdf(path: Path, *pages: str) -> Path:
    from reportlab.pdfgen import canvas

    pdf = canvas.Canvas(str(path))
    for page in pages:
        pdf.drawString(72, 720, page)
        pdf.showPage()
    pdf.save()
    return path
