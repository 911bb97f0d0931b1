"""Base of all settings: models that refuse unknown keys, and ``parse``, which names every wrong one."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragyena.errors import ConfigError

__all__ = ["Count", "Fraction", "Positive", "Strict", "parse"]


class Strict(BaseModel):
    """Frozen, no unknown keys, field docstrings kept."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, defer_build=True
    )


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


Model = TypeVar("Model", bound=BaseModel)


def parse(
    model: type[Model],
    values: dict[str, Any],
    *,
    source: str,
    hint: str = "`ragyena config show` lists every setting with its meaning",
) -> Model:
    """Check ``values`` against ``model``. Raises ConfigError naming each wrong key, and ``source`` as its place."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = []
        for item in error.errors():
            key = _key(item["loc"], values)
            if not key:  # of several settings together: the message names them
                problems.append(item["msg"].removeprefix("Value error, "))
            elif item["type"] == "extra_forbidden":
                problems.append(f"unknown setting '{key}'")
            else:
                problems.append(f"'{key}': {item['msg']} (got {item['input']!r:.60})")
        raise ConfigError(f"{source}: {'; '.join(problems)}", hint=hint) from error


def _key(loc: tuple[int | str, ...], values: Any) -> str:
    """The dotted key that pydantic's ``loc`` stands for: items of lists by their ``name``, kinds of unions left out."""
    parts = []
    for place, part in enumerate(loc):
        if isinstance(values, list | tuple) and isinstance(part, int):
            values = values[part] if part < len(values) else None  # a pair of one item
            parts.append(str(values.get("name", part) if isinstance(values, dict) else part))
        elif isinstance(values, dict) and part in values:
            values = values[part]
            parts.append(str(part))
        elif place == len(loc) - 1:
            parts.append(str(part))
    return ".".join(parts)
