"""Every shipped recipe loads and is what its folder says it is."""

from __future__ import annotations

import pytest

from ragyena import recipes
from ragyena.config import EvalConfig, PipelineConfig, SuiteConfig, TrainConfig, parse
from ragyena.settings import DEFAULT_RECIPE
from ragyena.train.run import KINDS

MODELS = {"pipelines": PipelineConfig, "configs/train": TrainConfig, "configs/eval": EvalConfig}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in MODELS for name in recipes.names(kind)])
def test_a_shipped_recipe_loads_and_describes_itself(kind: str, name: str) -> None:
    values, path = recipes.load_recipe(kind, name)
    model = KINDS[values.get("kind", "reader")] if kind == "configs/train" else MODELS[kind]
    if kind == "configs/eval" and values.get("task") == "suite":
        model = SuiteConfig
    config = parse(model, values, source=str(path))
    assert getattr(config, "description", "")


def test_every_recipe_folder_has_a_recipe() -> None:
    assert DEFAULT_RECIPE in recipes.names("pipelines")
    assert all(recipes.names(kind) for kind in MODELS)


def test_no_recipe_lies_in_an_unknown_folder() -> None:
    folder = recipes.recipe_folder("configs")
    kinds = {f"configs/{path.parent.relative_to(folder)}" for path in folder.rglob("*.yaml")}
    assert kinds <= set(MODELS)
