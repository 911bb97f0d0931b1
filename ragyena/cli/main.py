"""The ``ragyena`` command: its groups, and the one place where errors become messages and exit codes.

A command parses, calls one use case and prints. What it needs beyond that is imported inside the command, so that
``--help`` loads next to nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from ragyena.cli import ask, bench, config, demo, doctor, index, report, train
from ragyena.cli import eval as evaluate
from ragyena.errors import RagyenaError

__all__ = ["app", "commands", "run"]

EXIT_CODES = """\b
Exit codes:
  0    done
  1    an unexpected error, or `doctor` found something unsound
  2    the command cannot be run as given, or a setting is wrong
  3    a document or data file cannot be used (the rest was done)
  4    the index is missing, damaged or of another kind
  5    another process is writing to the index
  6    no space or no permission to write
  7    the reader's files are missing, damaged or of other shape
  8    an optional package or device is not there
  9    training failed
  130  interrupted
"""


MOVED = {"eval-compare": "report A.json B.json", "plot-training": "report RUN_FOLDER"}
"""Commands of earlier versions and what does their work now."""


class Guarded(TyperGroup):
    """Runs a command; what it raises becomes ``error:`` and ``hint:`` lines and an exit code."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in MOVED:
            complain(f"there is no command '{args[0]}' any more", f"ragyena {MOVED[args[0]]}")
            raise typer.Exit(2)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        debug = ctx.params.get("debug") or os.environ.get("RAGYENA_DEBUG")
        try:
            return super().invoke(ctx)
        except RagyenaError as error:
            if debug:
                raise
            complain(error.message, error.hint)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            complain("interrupted; what was already done is kept", None)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of our output has gone (`ragyena ... | head`): nothing is left to tell it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if debug or _is_usage(error):
                raise
            complain(
                f"unexpected {type(error).__name__}: {error}",
                "this is a bug in ragyena; please report it with the output of the same command and RAGYENA_DEBUG=1",
            )
            raise typer.Exit(1) from None


def complain(message: str, hint: str | None) -> None:
    """One line that names the problem and one that says what to do, on stderr."""
    sys.stdout.flush()
    print("error: " + " ".join(message.split()), file=sys.stderr)
    if hint:
        print("hint: " + " ".join(hint.split()), file=sys.stderr)


def _is_usage(error: Exception) -> bool:
    """True for an error that typer reports itself: a wrong flag, a missing argument."""
    return hasattr(error, "exit_code") and hasattr(error, "format_message")


app = typer.Typer(
    name="ragyena",
    cls=Guarded,
    help="Answer questions over document collections, with exact citations.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

# One line a command. A group lives in a module of its own as ``app = typer.Typer(...)``, a command as ``command``.
app.add_typer(index.app, name="index")
app.command("ask")(ask.command)
app.command("demo")(demo.command)
app.command("train")(train.command)
app.command("eval")(evaluate.command)
app.command("report")(report.command)
app.add_typer(bench.app, name="bench")
app.command("doctor")(doctor.command)
app.add_typer(config.app, name="config")


def commands() -> list[tuple[str, ...]]:
    """Every command and group as its words: ``("ask",)``, ``("index",)``, ``("index", "add")``."""

    def walk(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, command in getattr(group, "commands", {}).items():
            yield (*words, name)
            yield from walk(command, (*words, name))

    return list(walk(typer.main.get_command(app), ()))


def _version(wanted: bool) -> None:
    if wanted:
        from ragyena import __version__

        print(f"ragyena {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error (also RAGYENA_DEBUG=1)."),
) -> None:
    """Answer questions over document collections, with exact citations."""


def run() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        # A file name or a quote may hold what the terminal's encoding does not: write it escaped, never fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="ragyena")
