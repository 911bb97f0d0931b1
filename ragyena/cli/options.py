"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragyena.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ragyena.config import PipelineConfig

__all__ = [
    "ExcludeOption",
    "IndexOption",
    "JsonOption",
    "PipelineOption",
    "QuietOption",
    "ReaderOption",
    "SetOption",
    "WhereOption",
    "WriterModelOption",
    "WriterOption",
    "configure",
    "given_path",
    "index_path",
    "parse_filters",
    "whole_numbers",
]

IndexOption = Annotated[
    str | None, typer.Option("--index", "-i", metavar="NAME|PATH", help="The index: a name, or the path of its folder.")
]
PipelineOption = Annotated[
    str | None,
    typer.Option(
        "--pipeline", "-p", metavar="RECIPE", help="The pipeline: a recipe of pipelines by name, or a YAML file."
    ),
]
ReaderOption = Annotated[
    str | None,
    typer.Option(
        "--reader",
        metavar="NAME|PATH",
        help="The reader: small, base or another installed one (`ragyena reader list`), a checkpoint folder, or "
        "several that read together (small+FOLDER).",
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="Leave out matching files, as in a .gitignore (index.exclude)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, described in docs/json.md.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="KEY=VALUE", help="Only passages with this metadata; repeatable."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a setting of the recipe (seed=1, stages.NAME.tokens=1000000); repeatable.",
    ),
]
WriterOption = Annotated[
    str | None,
    typer.Option(
        "--writer",
        metavar="URL",
        help="Send the evidence to this OpenAI-compatible API, which writes the answer, and check each sentence "
        "(writer.url); 'off' for none.",
    ),
]
WriterModelOption = Annotated[
    str | None, typer.Option("--writer-model", metavar="NAME", help="The model there (writer.model).")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def configure(pipeline: str | None, flags: dict[str, Any] | None = None) -> PipelineConfig:
    """The settings of this run; ``flags`` maps dotted names to values, None for flags that were not given.

    ``writer.url`` may be ``off``.
    """
    from ragyena.settings import load_settings

    config = load_settings(flags, pipeline=pipeline).config
    if config.writer.url == "off":
        config = config.model_copy(update={"writer": config.writer.model_copy(update={"url": None})})
    return config


def index_path(index: str | None, config: PipelineConfig) -> Path:
    """The folder that ``--index`` means."""
    from ragyena.index.storage import locate

    return locate(index, config)


def given_path(text: str) -> Path:
    """A path of the command line. Raises UsageError for an empty one, which would be the working directory."""
    from pathlib import Path

    if not text.strip():
        raise UsageError("a path is empty", hint="name a file or folder; '.' is the working directory")
    return Path(text)


def parse_filters(pairs: list[str]) -> dict[str, str]:
    """``["lang=en"]`` as a mapping. Raises UsageError for what is no pair."""
    filters = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"'{pair}' is no filter", hint="write --filter KEY=VALUE")
        filters[key] = value
    return filters


def whole_numbers(flag: str, texts: list[str] | None) -> list[int] | None:
    """``["4096,8192", "131072"]`` as numbers; None where the flag was not given. Raises UsageError for what is none."""
    if not texts:
        return None
    numbers = []
    for text in texts:
        for part in text.split(","):
            if not (part.strip().isascii() and part.strip().isdecimal()):
                raise UsageError(
                    f"{flag} {text}: '{part.strip()}' is no whole number",
                    hint=f"separate numbers by commas, without spaces: {flag} 4096,8192",
                )
            numbers.append(int(part))
    return numbers
