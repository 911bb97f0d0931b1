"""Recipes: the YAML files of ``pipelines/`` and ``configs/``, in the installed package or the checkout.

A recipe may extend another: ``extends: NAME`` (of the same folder, or one that ships) or ``extends: PATH.yaml``. Its
mappings then merge into the base's key by key, and every other value replaces the base's; only a list of ``stages``
merges by the stages' names, where ``drop: true`` leaves a stage of the base out, ``rename: NAME`` renames it, and a
stage of a new name is added at the end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ragyena.errors import ConfigError, PathNotFoundError
from ragyena.parsing import MalformedError, parse_yaml, read_yaml

__all__ = ["asset", "load_recipe", "names", "override", "recipe_folder", "source_of"]

log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parent

RENAMED_KEYS: Mapping[str, Mapping[str, str]] = {
    "configs/train": {
        "data.sheets": "synthetic_records",
        "data.twists": "perturbations",
        "stages.*.described": "entity_bridge",
        "stages.*.twisted": "perturbed",
    }
}
"""Keys that had another name in the version before, by kind of recipe: the dotted old key, ``*`` for any item of a
list, and the new last part of it. Each is still read, with a note."""

_RENAMED = {
    "configs/train": {
        "local-twin": "reader-fid",
        "reader-alone": "reader-bundled-encoder",
        "reader-more": "reader-continued",
        "twin": "reader-attention",
    }
}
"""Recipes by the names that they had in the version before: each is still accepted, with a note."""


def recipe_folder(kind: str) -> Path:
    """The folder of ``pipelines``, ``configs/train`` or ``configs/eval``."""
    installed = _PACKAGE / "assets" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def names(kind: str) -> list[str]:
    """Names of the recipes of a kind, sorted."""
    return sorted(path.stem for path in recipe_folder(kind).glob("*.yaml"))


def load_recipe(kind: str, name: str, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], Path]:
    """The values of a recipe, with those of its bases under them and ``overrides`` over them, and its file.

    Args:
        kind: ``pipelines``, ``configs/train`` or ``configs/eval``.
        name: A recipe's name, or the path of a YAML file.
        overrides: ``KEY=VALUE`` each: dotted keys (``data.clozes``, ``stages.NAME.tokens``) and a YAML value.

    Raises:
        PathNotFoundError: An unknown name.
        ConfigError: A file that is not a YAML mapping, a base that is unknown or extends itself, an extension or
            override of what is not there. Whether the keys are known is for the reader of the values to say.
    """
    path = _file_of(kind, name)
    if path is None:
        known = ", ".join(names(kind)) or "none"
        raise PathNotFoundError(f"no recipe '{name}' in {kind}", hint=f"known: {known}; or give a .yaml file")
    values = _extended(kind, path, ())
    for text in overrides:
        override(values, text, kind)
    return values, path


def source_of(path: Path, overrides: Sequence[str] = ()) -> str:
    """A recipe's file and its overrides, as messages about its values name them."""
    return " ".join([str(path), *(f"--set {override}" for override in overrides)])


def asset(name: str) -> Path:
    """A file or folder that ships inside the package: ``reader``, ``demo``."""
    return _PACKAGE / "assets" / name


# --- extensions ------------------------------------------------------------------------------------------------


def _file_of(kind: str, name: str, first: Path | None = None) -> Path | None:
    """The file of a recipe by name or path, in the folder ``first`` before others; None where there is none."""
    if Path(name).suffix in {".yaml", ".yml"}:
        path = (first or Path()) / name
        return path if path.is_file() else None
    if name in (renamed := _RENAMED.get(kind, {})):
        log.warning("note: the recipe '%s' is now '%s'; the next version drops the old name", name, renamed[name])
        name = renamed[name]
    folders = [recipe_folder(kind)] if first is None else [first, recipe_folder(kind)]
    return next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)


def _extended(kind: str, path: Path, extensions: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a file over those of its bases; ``extensions`` are the files that extend it."""
    values: dict[str, Any] = _with_current_keys(kind, _read(path), (), str(path), set())
    if "extends" not in values:
        return values
    base = values.pop("extends")
    if not isinstance(base, str):
        raise ConfigError(f"{path}: 'extends' is {base!r}", hint="name one recipe, or the path of one")
    base_path = _file_of(kind, base, path.parent)
    if base_path is None:
        raise ConfigError(f"{path}: 'extends' names no recipe: {base}", hint=f"known: {', '.join(names(kind))}")
    if base_path.resolve() in (*extensions, path.resolve()):
        raise ConfigError(f"{path}: 'extends: {base}' is circular", hint="that recipe extends this one: cut the circle")
    return _merge(_extended(kind, base_path, (*extensions, path.resolve())), values, str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}", hint="give a YAML file") from error
    except MalformedError as error:
        raise ConfigError(f"{path}, {error}", hint="correct the file") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings", hint="a recipe is a YAML mapping; see configs/ and pipelines/")
    return values


def _merge(base: Mapping[str, Any], extension: Mapping[str, Any], source: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extension.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merge(below, value, source)
        elif key == "stages" and isinstance(below, list) and isinstance(value, list):
            merged[key] = _merge_stages(below, value, source)
        else:
            merged[key] = value
    return merged


def _merge_stages(base: list[Any], extension: list[Any], source: str) -> list[Any]:
    stages = {_name_of(stage, source): stage for stage in base}
    for stage in extension:
        name = _name_of(stage, source)
        if name not in stages and not stage.keys().isdisjoint({"drop", "rename"}):
            raise ConfigError(
                f"{source}: no stage '{name}' to drop or rename", hint=f"stages of its base: {', '.join(stages)}"
            )
        if "drop" in stage:
            if stage != {"name": name, "drop": True}:
                raise ConfigError(f"{source}: stage '{name}': drop is true and alone", hint="leave out its other keys")
            del stages[name]
        else:
            stages[name] = _merge(stages.get(name, {}), stage, source)
    for stage in stages.values():
        if "rename" in stage:
            stage["name"] = stage.pop("rename")
    return list(stages.values())


def _name_of(stage: Any, source: str) -> str:
    if not isinstance(stage, dict) or not isinstance(stage.get("name"), str):
        raise ConfigError(f"{source}: 'stages' merge by their names: {stage!r:.60} has none", hint="give each a name")
    return str(stage["name"])


def _with_current_keys(kind: str, value: Any, path: tuple[str, ...], source: str, noted: set[str]) -> Any:
    """A copy of the value at ``path`` of a recipe, with old keys under their new names, each noted once.

    Nothing stands twice in it, though YAML's anchors make one object of several values.
    """
    if isinstance(value, list):
        return [_with_current_keys(kind, item, (*path, "*"), source, noted) for item in value]
    if not isinstance(value, dict):
        return value
    current: dict[str, Any] = {}
    for key, item in value.items():
        new = _current_key(kind, (*path, str(key)), source, noted)
        if new in current or (new != key and new in value):
            raise ConfigError(f"{source}: '{key}' is the old name of '{new}', and both are there", hint="keep one")
        current[new] = _with_current_keys(kind, item, (*path, str(key)), source, noted)
    return current


def _current_key(kind: str, path: tuple[str, ...], source: str, noted: set[str]) -> str:
    """The last part of a key by the name that it has now."""
    old = new = path[-1]
    for renamed, current in RENAMED_KEYS.get(kind, {}).items():
        parts = renamed.split(".")
        if len(parts) == len(path) and all(part in ("*", own) for part, own in zip(parts, path)):
            new = current
    if new != old and old not in noted:
        noted.add(old)
        log.warning("note: %s: '%s' is now '%s'; the next version drops the old name", source, old, new)
    return new


# --- overrides -------------------------------------------------------------------------------------------------


def override(values: dict[str, Any], text: str, kind: str) -> None:
    """Sets one ``KEY=VALUE`` in the values of a recipe. Raises ConfigError as ``load_recipe``."""
    key, equals, written = text.partition("=")
    *sections, last = key.split(".")
    if not (equals and last and all(sections)):
        raise ConfigError(
            f"'{text}' sets nothing", hint="write --set KEY=VALUE, as in --set stages.tune.tokens=1000000"
        )
    try:
        value = parse_yaml(written)
    except MalformedError as error:
        raise ConfigError(f"--set {text}: the value is {error.problem}", hint="quote it as YAML does") from error
    node: Any = values
    for depth, section in enumerate([*sections, last]):
        if isinstance(node, list):
            stages = {_name_of(stage, f"--set {text}"): stage for stage in node}
            if section not in stages:
                raise ConfigError(f"--set {text}: no stage '{section}'", hint=f"stages: {', '.join(stages)}")
            if depth == len(sections):
                raise ConfigError(f"--set {text}: '{section}' is a stage", hint=f"set a key of it: {key}.tokens=...")
            node = stages[section]
        elif depth == len(sections):
            node[_current_key(kind, (*sections, last), f"--set {text}", set())] = value
        else:
            node = node.setdefault(section, {})
            if not isinstance(node, dict) and not (section == "stages" and isinstance(node, list)):
                raise ConfigError(f"--set {text}: '{section}' holds no keys", hint=f"set '{section}' as a whole")
