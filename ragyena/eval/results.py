"""Results of evaluations read from their files, with their answers.

Files from before there was a schema lack some fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ragyena.errors import DataError, PathNotFoundError
from ragyena.eval.significance import Scored
from ragyena.parsing import parse_json, read_json

__all__ = [
    "DOCUMENT_SCHEMA",
    "LARGEST_RESULT",
    "DocumentRun",
    "Run",
    "by_condition",
    "find_documents",
    "find_retrievals",
    "find_runs",
    "label_runs",
    "read_answers",
    "read_result",
    "read_rows",
    "scores_of",
    "short_name",
]

LARGEST_RESULT = 1_000_000_000
"""Bytes of a result."""
DOCUMENT_SCHEMA = "ragyena document evaluation 2"
"""The ``schema`` of a result of the task ``documents``; 1 had other figures of the confidence."""
_NEEDED = {"recipe", "date", "answers", "reader", "config", "conditions", "data", "machine"}
_NEEDED_OF_CONDITION = {"name", "title", "parameters", "whole", "sources", "passages", "tokens", "tokens_per_second"}
_NEEDED_OF_RETRIEVAL = {"recipe", "date", "config", "conditions", "settings", "machine"}
_NOT_A_NAME = ("checkpoint", "best")  # folders inside that of a training stage


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One reader's result of one recipe."""

    file: Path
    result: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...] | None
    """Its answers; None where their file is not there."""
    label: str = ""
    """Distinguishes the reader from the others of a report."""
    comparison: Mapping[str, Any] = field(default_factory=dict)
    """Its tests against the first reader of the same file, where the file holds several readers."""

    @property
    def recipe(self) -> str:
        return str(self.result["recipe"])

    @property
    def conditions(self) -> Mapping[str, Mapping[str, Any]]:
        """By name, in the order in which they were read."""
        return {condition["name"]: condition for condition in self.result["conditions"]}


def find_retrievals(paths: Sequence[Path]) -> list[Mapping[str, Any]]:
    """The results of the task ``retrieval`` in files and folders; of a recipe in a folder the newest."""
    results: list[Mapping[str, Any]] = []
    for path in paths:
        newest: dict[str, Mapping[str, Any]] = {}
        for _, values in _objects(path) if path.is_dir() else [(path, _json(path))]:
            if _is_retrieval(values) and newest.get(values["recipe"], values)["date"] <= values["date"]:
                newest[values["recipe"]] = values
        results += newest.values()
    return results


@dataclass(frozen=True, slots=True, eq=False)
class DocumentRun:
    """One reader's result of the task ``documents``."""

    file: Path
    result: Mapping[str, Any]
    label: str = ""

    @property
    def answers(self) -> tuple[Mapping[str, Any], ...] | None:
        """Its answers; None where their file is not there. Raises DataError for a damaged one."""
        if not (self.file.parent / str(self.result["answers"])).is_file():
            return None
        return tuple(read_rows(self.file, self.result))


def find_documents(paths: Sequence[Path]) -> dict[str, list[DocumentRun]]:
    """The results of the task ``documents`` in files and folders, by recipe; in a folder of each reader the newest."""
    runs: dict[tuple[str, str, Path], DocumentRun] = {}
    for path in paths:
        for file, values in _objects(path) if path.is_dir() else [(path, _json(path))]:
            if not _is_of_documents(values):
                continue
            key = values["recipe"], values["reader"]["fingerprint"], path
            if key not in runs or runs[key].result["date"] <= values["date"]:
                runs[key] = DocumentRun(file, values, short_name(str(values["reader"]["name"])))
    found: dict[str, list[DocumentRun]] = {}
    for (recipe, _, _), run in runs.items():
        taken = {one.label for one in found.get(recipe, ())}
        label = f"{run.label} ({run.result['reader']['fingerprint'][:8]})" if run.label in taken else run.label
        found.setdefault(recipe, []).append(replace(run, label=label))
    return found


def find_runs(paths: Sequence[Path]) -> list[Run]:
    """The readers' results in files and folders: in a folder, of each reader's runs of a recipe the newest, in the
    order in which the readers were named. A file of several readers stands for all of them.

    Raises PathNotFoundError, and DataError for a file that is no result and a folder without any.
    """
    runs: list[Run] = []
    for path in paths:
        if path.is_dir():
            runs += _of_folder(path)
        else:
            values = _json(path)
            if _is_retrieval(values) or _is_of_documents(values):
                continue
            runs += [_run(path, result, comparison) for result, comparison in _members(path, values)]
    return runs


def _of_folder(folder: Path) -> list[Run]:
    newest: dict[tuple[str, str, str], tuple[tuple[str, bool], Path, dict[str, Any]]] = {}
    comparisons: dict[tuple[str, str], Mapping[str, Any]] = {}  # of readers evaluated together, in their order
    listed: list[str] = []  # the recipes of a suite, in its order
    for path, values in _objects(folder):
        if "suite" in values:
            listed += values.get("recipes", ())
        several = _is_of_several(values)
        if not several and not values.keys() >= _NEEDED:  # a comparison, or something else
            continue
        for result, comparison in _members(path, values):
            reader = result["reader"]
            if several:
                comparisons[result["recipe"], reader["fingerprint"]] = comparison
            key, rank = (result["recipe"], reader["name"], reader["fingerprint"]), (result["date"], not several)
            if key not in newest or newest[key][0] <= rank:
                newest[key] = rank, path, result
    if not newest and not find_retrievals([folder]) and not find_documents([folder]):
        raise DataError(
            f"{folder} holds no result of ragyena eval", hint="give the --out folder of an evaluation, or its .json"
        )
    order = [*comparisons]

    def place(run: Run) -> tuple[int, int]:
        recipe = listed.index(run.recipe) if run.recipe in listed else len(listed)
        key = run.recipe, run.result["reader"]["fingerprint"]
        return recipe, order.index(key) if key in comparisons else len(order)

    runs = [
        _run(path, result, comparisons.get((result["recipe"], result["reader"]["fingerprint"]), {}))
        for _, path, result in newest.values()
    ]
    return sorted(runs, key=place)


def _members(path: Path, values: Mapping[str, Any]) -> list[tuple[dict[str, Any], Mapping[str, Any]]]:
    """The readers' results in a file, each with its comparison to the first; empty where there is none."""
    if not _is_of_several(values):
        return [(_checked(path, values), {})]
    comparisons = [{}, *values.get("comparisons", ())]
    comparisons += [{}] * (len(values["results"]) - len(comparisons))
    return [(_checked(path, result), comparison) for result, comparison in zip(values["results"], comparisons)]


def _run(path: Path, result: dict[str, Any], comparison: Mapping[str, Any]) -> Run:
    answers = path.parent / str(result["answers"])
    rows = tuple(read_answers(path, result)) if answers.is_file() else None
    return Run(path, result, rows, comparison=comparison)


def label_runs(runs: Sequence[Run]) -> list[Run]:
    """The runs with labels by which they can be told apart: the reader's name, where that is not enough its
    fingerprint, the folder of the result, a number."""
    labels = [short_name(str(run.result["reader"]["name"])) for run in runs]
    for more in (
        lambda run: str(run.result["reader"]["fingerprint"])[:8],
        lambda run: run.file.resolve().parent.name,
        lambda run: str(run.result["date"]),
    ):
        doubled = {label for label in labels if labels.count(label) > 1}
        labels = [f"{label} ({more(run)})" if label in doubled else label for label, run in zip(labels, runs)]
    seen: dict[str, int] = {}
    for place, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] > 1:
            labels[place] = f"{label} #{seen[label]}"
    return [replace(run, label=label) for run, label in zip(runs, labels)]


def short_name(reader: str) -> str:
    """A short name of a reader, from the path of its checkpoint."""
    parts = [part for part in Path(reader).parts if part not in _NOT_A_NAME]
    return parts[-1] if parts else reader


def read_result(path: Path) -> dict[str, Any]:
    """One reader's result. Raises PathNotFoundError and DataError."""
    return _checked(path, _json(path))


def read_answers(path: Path, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answers of the result in ``path``, from the file beside it. Raises PathNotFoundError and DataError."""
    rows = read_rows(path, result)
    try:
        by_condition(rows)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path.parent / str(result["answers"]), error) from error
    return rows


def read_rows(path: Path, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the file of answers, as they are. Raises PathNotFoundError and DataError."""
    answers = path.parent / str(result["answers"])
    try:
        with answers.open(encoding="utf-8", errors="surrogatepass") as file:
            return [parse_json(line, keep_surrogates=True) for line in file]
    except FileNotFoundError as error:
        raise PathNotFoundError(
            f"the answers of {path} are not beside it: there is no {answers}", hint="keep the two files together"
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(answers, error) from error


def _damaged(answers: Path, error: Exception) -> DataError:
    return DataError(f"{answers} is damaged: {error}", hint="evaluate again; the journal is kept")


def by_condition(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Scored]]:
    """Scores by condition and question id, from rows of a file of answers; answers without scores are left out."""
    scores: dict[str, dict[str, Scored]] = {}
    for row in rows:
        if "em" in row:
            scored = Scored(row["context_id"] or row["question_id"], row["source"], row["em"], row["f1"])
            scores.setdefault(row["condition"], {})[row["question_id"]] = scored
    return scores


def scores_of(run: Run) -> dict[str, dict[str, Scored]]:
    """Scores by condition and question id; empty where the answers are not there."""
    return by_condition(run.rows or ())


def _objects(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The JSON files of a folder that hold an object, by name: others are not ours."""
    for path in sorted(folder.glob("*.json")):
        values = _parsed(path)
        if isinstance(values, dict):
            yield path, values


def _json(path: Path) -> dict[str, Any]:
    values = _parsed(path)
    if not isinstance(values, dict):
        raise _no_result(path, "no JSON object")
    return values


def _parsed(path: Path) -> Any:
    try:
        return read_json(path, LARGEST_RESULT)
    except FileNotFoundError as error:
        raise PathNotFoundError(f"there is no file {path}", hint="give results of ragyena eval") from error
    except (OSError, ValueError) as error:
        raise _no_result(path, str(error)) from error


def _checked(path: Path, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict) or not values.keys() >= _NEEDED:
        lacking = sorted(_NEEDED - values.keys()) if isinstance(values, dict) else ["everything"]
        raise _no_result(path, f"it lacks {', '.join(lacking)}")
    for condition in values["conditions"]:
        lacking = sorted(_NEEDED_OF_CONDITION - condition.keys())
        if lacking:
            raise _no_result(path, f"a condition lacks {', '.join(lacking)}")
    return values


def _is_retrieval(values: Mapping[str, Any]) -> bool:
    of_it = str(values.get("schema", "")).startswith("ragyena.retrieval/")
    return of_it and values.keys() >= _NEEDED_OF_RETRIEVAL


def _is_of_documents(values: Mapping[str, Any]) -> bool:
    return values.get("schema") == DOCUMENT_SCHEMA and values.keys() >= {
        "recipe",
        "date",
        "reader",
        "conditions",
        "answers",
    }


def _is_of_several(values: Mapping[str, Any]) -> bool:
    return isinstance(values.get("results"), list) and "conditions" not in values


def _no_result(path: Path, why: str) -> DataError:
    return DataError(f"{path} is no result of ragyena eval: {why}", hint="give the .json of a run")
