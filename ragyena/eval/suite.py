"""The use case of ``ragyena eval`` for the task ``suite``: several recipes, each with every reader, in one folder.

A part that is finished is not run again, unless its recipe, the settings, the reader, or the data has changed; one that
was stopped goes on from its journals. From a folder of frozen contexts it is run where there is neither data nor index.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragyena import __version__, recipes
from ragyena.config import PipelineConfig, SuiteConfig, parse
from ragyena.errors import ConfigError, StorageError, UsageError
from ragyena.eval.compare import compare_all, write_together
from ragyena.eval.freeze_suite import check_contexts, contexts_file
from ragyena.eval.journal import Journal
from ragyena.eval.provenance import check_data, data_stamps, file_hash, stamps
from ragyena.eval.run import evaluate, load_config
from ragyena.eval.suite_parts import Part, Suite
from ragyena.reader.reader import Reader
from ragyena.types import Progress

__all__ = ["Finished", "load_suite", "run_suite"]

_FOR_EVERY_PART = ("limit", "timed", "split")


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
    return Suite(path.stem, recipe, tuple(parts))


def run_suite(
    suite: Suite,
    settings: Sequence[PipelineConfig],
    *,
    data_root: Path,
    out: Path,
    index_cache: Path,
    frozen: Path | None = None,
    progress: Progress | None,
    began: Callable[[str, str], None],
) -> Iterator[Finished]:
    """Runs what is not finished, part by part, each with every reader of ``settings``; ``began`` is told of each.

    With ``frozen``, a folder of ``freeze_suite``, neither data nor index are touched, and parts that read nothing are
    passed over. All results are written to ``out``, with the comparisons of several readers. Raises what ``evaluate``
    raises; for data or frozen contexts that any part lacks, and for a reader that cannot be opened, before the first
    part is run.
    """
    parts = suite.parts if frozen is None else suite.reading
    if frozen is not None:
        check_contexts(suite, settings, frozen)
    else:
        for part in parts:
            check_data(part.config, data_root)
    for one in settings:
        Reader.open(one.reader)
    shared = {"data_root": data_root, "out": out, "index_cache": index_cache, "progress": progress}
    with Journal(out / "finished.jsonl") as journal:
        done = {row["digest"]: out / row["result"] for row in journal.rows}
        for part in parts:
            contexts = None if frozen is None else contexts_file(frozen, part.name)
            made_of = _made_of(part, data_root, index_cache, contexts)
            results, kept = [], True
            for one in settings if part.reads else settings[:1]:
                reader = one.reader.checkpoint
                digest = _digest(part, one, made_of)
                path = done.get(digest)
                if there := path is not None and path.is_file():
                    result = path
                else:
                    began(part.name, reader)
                    if part.reads:
                        _, result = evaluate(part.config, one, name=part.name, frozen=contexts, **shared)  # type: ignore[arg-type]
                    else:
                        from ragyena.eval.run_retrieval import evaluate_retrieval

                        _, result = evaluate_retrieval(part.config, one, name=part.name, **shared)  # type: ignore[arg-type]
                    journal.append([{"digest": digest, "part": part.name, "reader": reader, "result": result.name}])
                    kept = False
                assert result is not None
                results.append(result)
                yield Finished(part.name, reader, result, there)
            together = out / f"{part.name}-{len(results)}-readers.json"
            if len(results) > 1 and not (kept and together.is_file()):
                write_together(results, compare_all(results), together)
    _write_order(suite.name, [part.name for part in parts], out)


def _write_order(suite: str, names: Sequence[str], out: Path) -> None:
    """For the report: in which order the recipes were meant to be shown."""
    path = out / f"{suite}.suite.json"
    try:
        path.write_text(json.dumps({"suite": suite, "recipes": names}, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error


def _made_of(part: Part, data_root: Path, index_cache: Path, contexts: Path | None) -> dict[str, Any]:
    """Names what is read: the frozen contexts, wherever they lie, or the data and the index."""
    if contexts is not None:
        return {"contexts": file_hash(contexts)}
    return {"data": data_stamps(part.config, data_root), "index": str(index_cache.resolve())}


def _digest(part: Part, settings: PipelineConfig, made_of: Mapping[str, Any]) -> str:
    """Names all that a result depends on: the same is not run again."""
    checkpoint = settings.reader.checkpoint
    folder = recipes.asset("reader") if checkpoint == "shipped" else Path(checkpoint).expanduser()
    shaped_by = {
        "part": part.name,
        "config": part.config.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json", exclude={"reader": {"checkpoint"}}),
        "reader": stamps([folder]),
        "version": __version__,
        **made_of,
    }
    return hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:16]
