"""Keys of recipes that have another name than in the version before: the old one is read for one version, with a note.

A line here is all that renaming a key takes: ``recipes.load_recipe`` puts the new name in the place of the old one in
every file and override of that kind of recipe.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["RENAMED_KEYS", "current_key"]

RENAMED_KEYS: Mapping[str, Mapping[str, str]] = {
    "configs/train": {
        "data.sheets": "synthetic_records",
        "data.twists": "perturbations",
        "stages.*.described": "entity_bridge",
        "stages.*.twisted": "perturbed",
    }
}
"""By kind of recipe: the dotted old key, ``*`` for any item of a list, and the new last part of it."""


def current_key(kind: str, path: tuple[str, ...]) -> str:
    """The last part of a key of a recipe by the name that it has now."""
    for old, new in RENAMED_KEYS.get(kind, {}).items():
        parts = old.split(".")
        if len(parts) == len(path) and all(part in ("*", own) for part, own in zip(parts, path)):
            return new
    return path[-1]
