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
from pathlib import Path
from typing import Any, get_origin

import platformdirs
import yaml
from pydantic import BaseModel

from ragyena import recipes
from ragyena.config import PipelineConfig, parse
from ragyena.errors import ConfigError

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
        for name, meaning in _leaves(PipelineConfig):
            value: Any = self.config
            for part in name.split("."):
                value = getattr(value, part)
            yield Setting(name, value, self.origins.get(name, "default"), meaning)


@dataclass(frozen=True, slots=True)
class _Layer:
    origin: str
    values: dict[str, Any]
    """Nested as in the YAML files."""


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
    for given, wanted in values.items():
        for name, value in _flatten(_checked(_nested("settings", given, wanted)).values):
            _put(merged, name, value)
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
    files = [layer for layer in (_project_layer(folder or Path.cwd()), _file_layer(user_file())) if layer]
    recipe, recipe_origin = _choose_recipe(environ, files)
    if pipeline:
        recipe, recipe_origin = pipeline, origin or "--pipeline"
    recipe_values, recipe_path = recipes.load_recipe("pipelines", recipe)

    layers = [_checked(_Layer(f"recipe {recipe}", recipe_values), source=str(recipe_path))]
    layers += [_checked(layer) for layer in reversed(files)]
    layers += _environment_layers(environ)
    layers += [
        _checked(_nested(origin or _flag(name), name, value))
        for name, value in (values or {}).items()
        if value is not None
    ]

    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for name, value in _flatten(layer.values):
            _put(merged, name, value)
            origins[name] = layer.origin
    return Settings(parse(PipelineConfig, merged, source="settings"), origins, recipe, recipe_origin)


def user_file() -> Path:
    """The user's own settings file; it need not exist."""
    return Path(platformdirs.user_config_dir("ragyena", appauthor=False)) / "config.yaml"


# --- the layers ------------------------------------------------------------------------------------------------


def _project_layer(folder: Path) -> _Layer | None:
    for candidate in (folder, *folder.parents):
        if (candidate / PROJECT_FILE).is_file():
            return _file_layer(candidate / PROJECT_FILE)
    return None


def _file_layer(path: Path) -> _Layer | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="correct the file or remove it") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{path} is not valid YAML: {problem}", hint="correct the file or remove it") from error
    if values is None:
        return None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings", hint="write settings as `name: value` lines")
    return _Layer(str(path), _relative_to(path.parent, values))


def _relative_to(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """``values`` with the paths in it taken from the file's own folder, wherever the command runs."""
    values = dict(values)
    if isinstance(values.get("index_root"), str):
        values["index_root"] = str(folder / Path(values["index_root"]).expanduser())
    reader = values.get("reader")
    if isinstance(reader, dict) and isinstance(reader.get("checkpoint"), str) and reader["checkpoint"] != "shipped":
        values["reader"] = {**reader, "checkpoint": str(folder / Path(reader["checkpoint"]).expanduser())}
    return values


def _choose_recipe(environ: Mapping[str, str], files: list[_Layer]) -> tuple[str, str]:
    """The recipe and where the choice comes from; takes the ``pipeline`` key out of the files' values."""
    chosen = (DEFAULT_RECIPE, "default")
    for layer in reversed(files):
        if "pipeline" in layer.values:
            chosen = (str(layer.values.pop("pipeline")), layer.origin)
    if environ.get("RAGYENA_PIPELINE"):
        chosen = (environ["RAGYENA_PIPELINE"], "RAGYENA_PIPELINE")
    return chosen


def _environment_layers(environ: Mapping[str, str]) -> list[_Layer]:
    layers = []
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            layers.append(_checked(_nested(variable, name, environ[variable])))
    return layers


def _flag(name: str) -> str:
    return "--" + name.rpartition(".")[2].replace("_", "-")


def _nested(origin: str, name: str, value: Any) -> _Layer:
    values: dict[str, Any] = {}
    if isinstance(value, str) and _is_tuple(name):
        value = [part.strip() for part in value.split(",") if part.strip()]
    _put(values, name, value)
    return _Layer(origin, values)


def _checked(layer: _Layer, source: str | None = None) -> _Layer:
    """The layer with present names, if its keys and values are right; else a ConfigError with the nearest right key."""
    layer = _with_present_names(layer, source or layer.origin)
    known = [name for name, _ in _leaves(PipelineConfig)]
    sections = {name.rpartition(".")[0] for name in known} - {""}
    for name, _ in _flatten(layer.values):
        if name not in known and name not in sections:
            near = difflib.get_close_matches(name, [*known, *sections], n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else "`ragyena config show` lists every setting"
            raise ConfigError(f"{source or layer.origin}: unknown setting '{name}'", hint=hint)
    parse(PipelineConfig, layer.values, source=source or layer.origin)
    return layer


def _with_present_names(layer: _Layer, source: str) -> _Layer:
    values: dict[str, Any] = {}
    for name, value in _flatten(layer.values):
        if name in RENAMED:
            log.warning(
                "%s: setting '%s' is now '%s'; the old name is read in this version", source, name, RENAMED[name]
            )
        _put(values, RENAMED.get(name, name), value)
    return _Layer(layer.origin, values)


# --- dotted names ----------------------------------------------------------------------------------------------


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted name and meaning of every setting of ``model``."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, " ".join((field.description or "").split())


def _is_tuple(name: str) -> bool:
    model: Any = PipelineConfig
    for part in name.split("."):
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return False
        model = field.annotation
    return get_origin(model) is tuple


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    *sections, last = name.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[last] = value
