"""The ``ragyena`` command: its groups, and the one place where errors become messages and exit codes.

A command parses, calls one use case and prints. What it needs beyond that is imported inside the command, so that
``--help`` loads next to nothing.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from ragyena.cli import ask, bench, chat, config, demo, doctor, index, mcp, reader, report, select, serve, train
from ragyena.cli import eval as evaluate
from ragyena.cli.terminal import install_streams, one_line
from ragyena.errors import RagyenaError, StorageError, UsageError

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
  10   the writer (--writer) cannot be reached, or its reply not used
  11   a process that embeds has died, or found no memory
  12   the store of a recipe cannot be opened, searched or written to
  13   a cluster (--cluster), or a shard in it, cannot be reached
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
            raise _interrupted() from None
        except BrokenPipeError:
            raise typer.Exit(0) from None  # the reader of our output has gone (`ragyena ... | head`)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if interrupts and not debug:  # a library made another error of the interrupt
                raise _interrupted() from None
            if debug or _is_usage(error):
                raise
            if isinstance(error, OSError) and (problem := _refusal(error)) is not None:
                complain(problem.message, problem.hint)
                raise typer.Exit(problem.exit_code) from None
            complain(
                f"unexpected {type(error).__name__}: {error}",
                "this is a bug in ragyena; please report it with the output of the same command and RAGYENA_DEBUG=1",
            )
            raise typer.Exit(1) from None


interrupts: list[int] = []
"""The interrupts (Ctrl-C) that this process got."""


def complain(message: str, hint: str | None) -> None:
    """One line that names the problem and one that says what to do, on stderr."""
    with suppress(RagyenaError, OSError):
        sys.stdout.flush()
    print("error: " + one_line(" ".join(message.split())), file=sys.stderr)
    if hint:
        print("hint: " + one_line(" ".join(hint.split())), file=sys.stderr)


def _interrupted() -> typer.Exit:
    complain("interrupted; what was already done is kept", None)
    return typer.Exit(130)


def _refusal(error: OSError) -> RagyenaError | None:
    """The error of ours that says what the system refuses; None where it is no matter of names, space or rights."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return UsageError("the working directory does not exist any more", hint="change to a folder that exists")
    what = str(error.filename or "a file")
    reason = f"{what[:200]}{'...' if len(what) > 200 else ''}: {error.strerror}"
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR):
        return UsageError(reason, hint="check the path")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO):
        return StorageError(reason, hint="check free space and permissions")
    return None


def _is_usage(error: Exception) -> bool:
    """True for an error of the parser of the command line: a wrong flag, a missing argument."""
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
app.command("chat")(chat.command)
app.command("select")(select.command)
app.command("mcp")(mcp.command)
app.command("serve")(serve.command)
app.command("demo")(demo.command)
app.add_typer(train.app, name="train")
app.command("eval")(evaluate.command)
app.command("report")(report.command)
app.add_typer(bench.app, name="bench")
app.add_typer(reader.app, name="reader")
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
    install_streams()
    logging.lastResort = notes = logging.StreamHandler()
    notes.setFormatter(_OneLine())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, about their own use
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _on_interrupt)
    code = _run()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be told
    gc.freeze()  # else the interpreter walks all objects of torch once more as it ends: half a second
    sys.exit(code)


def _run() -> int:
    """Run the command; the exit code."""
    try:
        code = app(prog_name="ragyena", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except RagyenaError as error:  # --help or the last of the output could not be written
        complain(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    except typer.Abort:
        return 1
    except Exception as error:
        if not _is_usage(error):
            raise
        return _show_usage(error)


def _show_usage(error: Any) -> int:
    """Print an error of the parser of the command line as it does, on one line whatever the arguments hold."""
    error.message = one_line(error.message)
    error.show()
    if type(error).__name__ == "NoSuchOption" and error.ctx is not None:
        arguments = [parameter for parameter in error.ctx.command.params if parameter.param_type_name == "argument"]
        if arguments:
            example = f"{error.ctx.command_path} -- {arguments[0].metavar or arguments[0].name.upper()}"
            print(f"hint: what begins with a dash and is no option goes after --: {example}", file=sys.stderr)
    return int(error.exit_code)


class _OneLine(logging.Formatter):
    """Notes of the log as a line each, whatever the names in them hold."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record)) if record.exc_info is None else super().format(record)


def _on_interrupt(number: int, frame: object) -> None:
    """The first Ctrl-C ends the command in order, the second at once."""
    interrupts.append(number)
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    raise KeyboardInterrupt
