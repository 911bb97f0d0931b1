"""The use case of ``ragyena eval`` for the task ``suite``: several recipes, each with every reader, in one folder.

A part that is finished is not run again, unless its recipe, the settings, the reader, or the data has changed; one that
was stopped goes on from its journals.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragyena import __version__, recipes
from ragyena.config import EvalConfig, PipelineConfig, SuiteConfig, parse
from ragyena.errors import ConfigError, StorageError, UsageError
from ragyena.evaluation.journal import Journal
from ragyena.pipelines.compare import compare_all, write_together
from ragyena.pipelines.evaluate import evaluate, load_config
from ragyena.reader.reader import Reader
from ragyena.text.qa_files import under
from ragyena.types import Progress

__all__ = ["Finished", "Part", "Suite", "load_suite", "run_suite"]

_FOR_EVERY_PART = ("limit", "timed", "split")
_DATA = ("questions", "passages", "unanswerable", "prose", "documents", "corpus")


@dataclass(frozen=True, slots=True)
class Part:
    """One recipe of a suite."""

    name: str
    config: EvalConfig


@dataclass(frozen=True, slots=True)
class Suite:
    name: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """One reader's result of one part; of a part without a reader, its result."""

    part: str
    reader: str
    """Its checkpoint, as it was named."""
    result: Path
    kept: bool
    """Whether it was there from an earlier run."""


def load_suite(recipe: str | None, flags: Mapping[str, Any]) -> Suite | None:
    """The suite of a recipe whose task that is, else None. ``flags`` (None: not given) lie over every part.

    Raises PathNotFoundError for an unknown recipe, ConfigError for a wrong key or value, and UsageError for flags
    that are of one recipe alone.
    """
    if recipe is None:
        return None
    values, path = recipes.load_recipe("configs/eval", recipe)
    if values.get("task") != "suite":
        return None
    suite = parse(SuiteConfig, values, source=str(path))
    given = {key: value for key, value in flags.items() if value is not None}
    if foreign := sorted(given.keys() - set(_FOR_EVERY_PART)):
        raise UsageError(
            f"{', '.join(foreign)} cannot be set for the suite '{path.stem}': its recipes ask different things",
            hint=f"run one of them ({', '.join(suite.recipes)}), or write a suite of your own recipes",
        )
    parts = []
    for one in suite.recipes:
        is_file = Path(one).suffix in {".yaml", ".yml"}
        its_values, its_path = recipes.load_recipe("configs/eval", str(path.parent / one) if is_file else one)
        if its_values.get("task") == "suite":
            raise ConfigError(f"{path} lists {one}, which is a suite itself", hint="list that suite's recipes instead")
        # a search reads nothing, so there is nothing to time
        suiting = {k: v for k, v in given.items() if k != "timed" or its_values.get("task") != "retrieval"}
        parts.append(Part(its_path.stem, load_config(str(its_path), suiting)[0]))
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path} lists two recipes of one name", hint="name each file of your own differently")
    return Suite(path.stem, tuple(parts))


def run_suite(
    suite: Suite,
    settings: Sequence[PipelineConfig],
    *,
    data_root: Path,
    out: Path,
    index_cache: Path,
    progress: Progress | None,
    began: Callable[[str, str], None],
) -> Iterator[Finished]:
    """Runs what is not finished, part by part, each with every reader of ``settings``; ``began`` is told of each.

    All results are written to ``out``, with the comparisons of several readers. Raises what ``evaluate`` raises; for
    data that any part lacks, and for a reader that cannot be opened, before the first part is run.
    """
    for part in suite.parts:
        for files in _data(part.config):
            under(data_root.expanduser(), files)
    for one in settings:
        Reader.open(one.reader)
    shared = {"data_root": data_root, "out": out, "index_cache": index_cache, "progress": progress}
    with Journal(out / "finished.jsonl") as journal:
        done = {row["digest"]: out / row["result"] for row in journal.rows}
        for part in suite.parts:
            retrieves = part.config.task == "retrieval"
            results, kept = [], True
            for one in settings[:1] if retrieves else settings:
                reader = one.reader.checkpoint
                digest = _digest(part, one, data_root, index_cache)
                path = done.get(digest)
                if there := path is not None and path.is_file():
                    result = path
                else:
                    began(part.name, reader)
                    if retrieves:
                        from ragyena.pipelines.evaluate_retrieval import evaluate_retrieval  # indexes alone need FAISS

                        _, result = evaluate_retrieval(part.config, one, name=part.name, **shared)  # type: ignore[arg-type]
                    else:
                        _, result = evaluate(part.config, one, name=part.name, **shared)  # type: ignore[arg-type]
                    journal.append([{"digest": digest, "part": part.name, "reader": reader, "result": result.name}])
                    kept = False
                assert result is not None
                results.append(result)
                yield Finished(part.name, reader, result, there)
            together = out / f"{part.name}-{len(results)}-readers.json"
            if len(results) > 1 and not (kept and together.is_file()):
                write_together(results, compare_all(results), together)
    _write_order(suite, out)


def _write_order(suite: Suite, out: Path) -> None:
    """For the report: in which order the recipes were meant to be shown."""
    path = out / f"{suite.name}.suite.json"
    try:
        path.write_text(
            json.dumps({"suite": suite.name, "recipes": [part.name for part in suite.parts]}, indent=1) + "\n",
            encoding="utf-8",
        )
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error


def _data(config: EvalConfig) -> Iterator[tuple[str, ...]]:
    for name in _DATA:
        if files := getattr(config, name):
            yield files


def _digest(part: Part, settings: PipelineConfig, data_root: Path, index_cache: Path) -> str:
    """Names all that a result depends on: the same is not run again."""
    checkpoint = settings.reader.checkpoint
    folder = recipes.asset("reader") if checkpoint == "shipped" else Path(checkpoint).expanduser()
    files = [Path(name) for of_kind in _data(part.config) for name in under(data_root.expanduser(), of_kind)]
    if part.config.beir:
        files.append(data_root.expanduser() / part.config.beir)
    shaped_by = {
        "part": part.name,
        "config": part.config.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json", exclude={"reader": {"checkpoint"}}),
        "reader": _stamps([folder]),
        "data": _stamps(files),
        "index": str(index_cache.resolve()),
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:16]


def _stamps(paths: Iterable[Path]) -> list[list[Any]]:
    """Name, size and time of change of each file, and of the files in each folder."""
    found: list[list[Any]] = []
    for path in paths:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            stat = file.stat() if file.is_file() else None  # not a file: a dataset on the hub
            found.append([str(file), stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0])
    return found
