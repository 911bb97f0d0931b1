"""Standard streams that carry out no orders of the text they show.

Documents, file names, arguments and settings may hold escape sequences, which move the cursor, set colours or write to
the clipboard, and characters that turn or hide text. ``visible`` writes them out (``\\x1b``, ``\\u202e``), and is
applied where everything passes: ``install_streams`` replaces stdout and stderr by streams that apply it, and
``VisibleConsole``, which draws in colour, applies it to each piece of text on its way to ``VisibleStream.styled``.
"""

from __future__ import annotations

import io
import os
import re
import sys
from typing import TextIO

from ragyena.errors import StorageError

__all__ = ["HIDDEN", "VisibleStream", "install_streams", "one_line", "visible"]

HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    "\u180e\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # invisible
    "\ud800-\udfff"  # lone surrogates: undecodable bytes of a name, half an emoji
)
"""The characters of a terminal's orders and of deceit, as a class of a regular expression.

Joiners (U+200C, U+200D) are not among them: several scripts and many emoji need them.
"""

_HIDDEN = re.compile(f"[{HIDDEN}]")
_BREAKS = str.maketrans({"\n": "\\n", "\t": "\\t"})


def visible(text: str) -> str:
    """``text`` with controls written out; newlines and tabs stay."""
    return _HIDDEN.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """``text`` with controls written out, newlines and tabs too: for names, which must not look like lines."""
    return visible(text).translate(_BREAKS)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class StandardStream(io.TextIOBase):
    """stdout or stderr. What cannot be written to stdout is an error once, and no further one when Python exits."""

    def __init__(self, stream: TextIO, *, name: str, must_arrive: bool) -> None:
        """``must_arrive`` raises StorageError or BrokenPipeError for what cannot be written; else it is dropped."""
        self.stream = stream
        self._name = name
        self._must_arrive = must_arrive

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors

    def write(self, text: str) -> int:
        try:
            self.stream.write(text)
        except OSError as error:
            self._lost(error)
        return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as error:
            self._lost(error)

    def reconfigure(self, *, encoding: str | None = None, errors: str | None = None) -> None:
        """Change the encoding, as for any text stream."""
        if isinstance(self.stream, io.TextIOWrapper):
            self.stream.reconfigure(encoding=encoding, errors=errors)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def _lost(self, error: OSError) -> None:
        """Send what is left nowhere, so that it does not fail again."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if not self._must_arrive:
            return
        if isinstance(error, BrokenPipeError):
            raise error
        raise StorageError(
            f"{self._name} cannot be written: {error.strerror or error}",
            hint="check where the output goes; what the command was to do, but for the output, is done",
        ) from error


class VisibleStream(StandardStream):
    """A standard stream on which all text is ``visible``; ``styled`` is the same stream for text that already is."""

    def __init__(self, stream: TextIO, *, name: str, must_arrive: bool) -> None:
        super().__init__(stream, name=name, must_arrive=must_arrive)
        self.styled = StandardStream(stream, name=name, must_arrive=must_arrive)

    def write(self, text: str) -> int:
        super().write(visible(text))
        return len(text)


def install_streams() -> None:
    """Replace stdout and stderr, and open those of the standard streams that are closed.

    A closed one would else be the number of the next file that is opened, and an index could get what is printed.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):  # to write to a closed stdout fails
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        if hasattr(stream, "reconfigure"):
            # A file name or a quote may hold what the terminal's encoding does not: write it escaped, never fail.
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, VisibleStream(stream, name=name, must_arrive=name == "stdout"))
