"""Settings from their layers over the defaults, merged, each value with its origin.

From strongest to weakest:

    Python                      ``settings={"packer.context_tokens": 4096}``
    flag                        ``--context-tokens 4096``
    environment                 ``RAGYENA_PACKER__CONTEXT_TOKENS=4096``
    project file                ``ragyena.yaml`` in the working directory or the nearest folder above it
    user file                   ``config.yaml`` in the user's configuration folder
    recipe                      ``pipelines/NAME.yaml``, chosen by ``--pipeline``, ``RAGYENA_PIPELINE`` or ``pipeline:``
    default                     ``ragyena.config``

Each layer is checked on its own, so that a misspelt key is reported with the file or variable it stands in.

In Python there is one way to override a setting: ``settings=``, a mapping of dotted names to values. Where an index or
a pipeline is opened it lies over all other layers, and the name ``pipeline`` chooses the recipe; at a call it lies over
the settings that the object was opened with. A whole ``PipelineConfig`` in its place is used as it is.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, get_origin

import platformdirs
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ragyena import recipes
from ragyena.config import PipelineConfig, parse
from ragyena.config.stores import STORE_SETTING
from ragyena.errors import ConfigError
from ragyena.files import expanded
from ragyena.parsing import MalformedError, read_yaml
from ragyena.readers import is_reader_name

__all__ = [
    "DEFAULT_RECIPE",
    "PROJECT_FILE",
    "Overrides",
    "Setting",
    "Settings",
    "load_settings",
    "resolve",
    "user_file",
]

Overrides = Mapping[str, object] | PipelineConfig | None
"""The type of a ``settings=`` argument: dotted names and values, or a whole configuration."""

log = logging.getLogger(__name__)

PROJECT_FILE = "ragyena.yaml"
DEFAULT_RECIPE = "default"
PREFIX = "RAGYENA_"
RENAMED: dict[str, str] = {}
"""Old dotted name of a setting -> its present one. The old name is read, with a note, for one version."""
NOT_SETTINGS = frozenset({"RAGYENA_DEBUG", "RAGYENA_PIPELINE"})
"""Variables that are read elsewhere: the traceback switch and the choice of recipe."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective value: its dotted name, where it comes from, and what it means."""

    name: str
    value: Any
    origin: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The merged configuration, and for each dotted name the origin of its value."""

    config: PipelineConfig
    origins: Mapping[str, str]
    recipe: str
    """The recipe below the files, environment and flags."""
    recipe_origin: str

    def rows(self) -> Iterator[Setting]:
        """Every setting in the order of ``ragyena.config``, the choice of recipe first."""
        yield Setting("pipeline", self.recipe, self.recipe_origin, "The recipe: a name, or the path of a YAML file.")
        for name, field in _FIELDS.items():
            meaning = " ".join((field.description or "").split())
            yield Setting(name, attrgetter(name)(self.config), self.origins.get(name, "default"), meaning)


def resolve(settings: Overrides, base: PipelineConfig | None = None) -> PipelineConfig:
    """The configuration that a ``settings=`` argument stands for.

    A mapping lies over ``base``, or over all layers where there is none. Raises what ``load_settings`` raises.
    """
    if isinstance(settings, PipelineConfig):
        return settings
    values = dict(settings or {})
    if base is None:
        recipe = values.pop("pipeline", None)
        return load_settings(values, pipeline=None if recipe is None else str(recipe), origin="settings").config
    if not values:
        return base
    merged = base.model_dump()
    for name, value in values.items():
        _put(merged, _checked("settings", _nested(name, value)))
    return parse(PipelineConfig, merged, source="settings")


def load_settings(
    values: Mapping[str, Any] | None = None,
    *,
    pipeline: str | None = None,
    origin: str | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Merge every layer. ``values`` maps dotted names (``packer.context_tokens``) to values, None for not given; they
    come from flags of the command line unless ``origin`` says otherwise.

    ``pipeline`` is the recipe chosen with them; ``environ`` and ``folder`` stand for the process's own environment
    and working directory. Raises ConfigError naming the file, variable or flag that holds a wrong key or value, and
    PathNotFoundError for an unknown recipe.
    """
    environ = os.environ if environ is None else environ
    files = {str(path): _read(path) for path in (_project_file(folder or Path.cwd()), user_file()) if path is not None}
    recipe, recipe_origin = _choose_recipe(environ, files)
    if pipeline is not None:
        recipe, recipe_origin = pipeline, origin or "--pipeline"
    recipe_values, recipe_path = recipes.load_recipe("pipelines", recipe)

    layers = [(f"recipe {recipe}", _checked(str(recipe_path), recipe_values))]
    if STORE_SETTING in layers[0][1] and Path(recipe_origin).name == PROJECT_FILE:
        raise _names_code(recipe_origin, f"the recipe {recipe}")
    layers += [(path, _checked(path, file)) for path, file in reversed(files.items())]
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            layers.append((variable, _checked(variable, _nested(name, environ[variable]))))
    for name, value in (values or {}).items():
        if value is not None:
            source = origin or "--" + name.rpartition(".")[2].replace("_", "-")
            layers.append((source, _checked(source, _nested(name, value))))

    for source, layer in layers[1:]:
        if STORE_SETTING in layer and source != origin:  # in Python, the program itself says so
            raise _names_code(source, f"'{STORE_SETTING}'")
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source, layer in layers:
        _put(merged, layer)
        origins |= dict.fromkeys(layer, source)
    return Settings(parse(PipelineConfig, merged, source="settings"), origins, recipe, recipe_origin)


def _names_code(source: str, named: str) -> ConfigError:
    """The error for a store that somebody else than the user may have named: a file in a folder that was fetched."""
    return ConfigError(
        f"{source}: {named} names a class to import, which is taken only from a recipe that you name yourself",
        hint="put it into a recipe of its own, and give that: --pipeline FILE.yaml",
    )


def user_file() -> Path:
    """The user's own settings file; it need not exist."""
    return Path(platformdirs.user_config_dir("ragyena", appauthor=False)) / "config.yaml"


# --- the layers ------------------------------------------------------------------------------------------------


def _project_file(folder: Path) -> Path | None:
    return next((file for each in (folder, *folder.parents) if (file := each / PROJECT_FILE).is_file()), None)


def _read(path: Path) -> dict[str, Any]:
    """The settings of a file; none where it is empty or not there."""
    try:
        values = read_yaml(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}", hint="correct the file or remove it"
        ) from error
    except MalformedError as error:
        raise ConfigError(f"{path}, {error}", hint="correct the file or remove it") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings", hint="write settings as `name: value` lines")
    return _relative_to(path.parent, values)


def _relative_to(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """``values`` with the paths in it taken from the file's own folder, wherever the command runs."""
    values = dict(values)
    if isinstance(values.get("index_root"), str):
        values["index_root"] = str(folder / expanded(values["index_root"]))
    reader = values.get("reader")
    if isinstance(reader, dict) and isinstance(reader.get("checkpoint"), str):
        checkpoint = reader["checkpoint"]
        if not is_reader_name(checkpoint):
            values["reader"] = {**reader, "checkpoint": str(folder / expanded(checkpoint))}
    return values


def _choose_recipe(environ: Mapping[str, str], files: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """The recipe and where the choice comes from; takes the ``pipeline`` key out of the files' values."""
    chosen = (DEFAULT_RECIPE, "default")
    for path, values in reversed(files.items()):
        if "pipeline" in values:
            chosen = (str(values.pop("pipeline")), path)
    if environ.get("RAGYENA_PIPELINE"):
        chosen = (environ["RAGYENA_PIPELINE"], "RAGYENA_PIPELINE")
    return chosen


def _checked(source: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested ``values`` by their dotted present names. Raises ConfigError for a wrong key, naming the nearest right
    one, and for a wrong value."""
    layer: dict[str, Any] = {}
    for name, value in _flatten(values):
        if name in RENAMED:
            log.warning(
                "%s: setting '%s' is now '%s'; the old name is read in this version", source, name, RENAMED[name]
            )
        layer[RENAMED.get(name, name)] = value
    known = [*_FIELDS, *{name.rpartition(".")[0] for name in _FIELDS} - {""}]
    for name in layer:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else "`ragyena config show` lists every setting"
            raise ConfigError(f"{source}: unknown setting '{name}'", hint=hint)
    for name, value in layer.items():
        texts = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise ConfigError(f"{source}: '{name}' holds a NUL character", hint="write it without")
    nested: dict[str, Any] = {}
    _put(nested, layer)
    parse(PipelineConfig, nested, source=source)
    return layer


# --- dotted names ----------------------------------------------------------------------------------------------


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


_FIELDS = dict(_fields(PipelineConfig))
"""Every setting by its dotted name."""


def _nested(name: str, value: Any) -> dict[str, Any]:
    """One setting, nested as in a file; a string for a tuple is separated by commas."""
    if isinstance(value, str) and name in _FIELDS and get_origin(_FIELDS[name].annotation) is tuple:
        value = [part.strip() for part in value.split(",") if part.strip()]
    nested: dict[str, Any] = {}
    _put(nested, {name: value})
    return nested


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value and prefix + name not in _FIELDS:  # a setting may be a mapping
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _put(values: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Puts settings by dotted names into nested ``values``."""
    for name, value in layer.items():
        *sections, last = name.split(".")
        within = values
        for section in sections:
            within = within.setdefault(section, {})
        within[last] = value
