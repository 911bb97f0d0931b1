"""Recipe name -> YAML. Recipes are data: ``pipelines/`` and ``configs/``, of the installed package or the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ragyena.errors import ConfigError, PathNotFoundError

__all__ = ["asset", "load_recipe", "names", "recipe_folder"]

_PACKAGE = Path(__file__).resolve().parent


def recipe_folder(kind: str) -> Path:
    """The folder of ``pipelines``, ``configs/train``, ``configs/eval`` or ``configs/models``."""
    installed = _PACKAGE / "assets" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def names(kind: str) -> list[str]:
    """Names of the recipes of a kind, sorted."""
    return sorted(path.stem for path in recipe_folder(kind).glob("*.yaml"))


def load_recipe(kind: str, name: str) -> tuple[dict[str, Any], Path]:
    """The values of a recipe and its file. ``name`` is a recipe's name or the path of a YAML file.

    Raises PathNotFoundError for an unknown name, ConfigError for a file that is not a YAML mapping.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        path = recipe_folder(kind) / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(names(kind)) or "none"
        raise PathNotFoundError(f"no recipe '{name}' in {kind}", hint=f"known: {known}; or give a .yaml file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}", hint="mend the file") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings", hint="a recipe is a YAML mapping; see configs/ and pipelines/")
    return values, path


def asset(name: str) -> Path:
    """A file or folder that ships inside the package: ``reader``, ``demo``."""
    return _PACKAGE / "assets" / name
