"""Recipes: every shipped one loads; extensions, overrides and renamed keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ragyena import recipes
from ragyena.cli.main import app
from ragyena.config import DataConfig, EvalConfig, PipelineConfig, StageConfig, SuiteConfig, TrainConfig, parse
from ragyena.errors import ConfigError, PathNotFoundError
from ragyena.recipes import RENAMED_KEYS, load_recipe
from ragyena.settings import DEFAULT_RECIPE, load_settings
from ragyena.train.kinds import KINDS
from ragyena.train.run import load

MODELS = {"pipelines": PipelineConfig, "configs/train": TrainConfig, "configs/eval": EvalConfig}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in MODELS for name in recipes.names(kind)])
def test_a_shipped_recipe_loads_and_describes_itself(kind: str, name: str) -> None:
    values, path = recipes.load_recipe(kind, name)
    model = KINDS[values.get("kind", "reader")].config if kind == "configs/train" else MODELS[kind]
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


# --- extensions ------------------------------------------------------------------------------------------------

BASE: dict[str, Any] = {
    "seed": 1,
    "data": {"questions": ["a"], "clozes": 3},
    "stages": [{"name": "one", "tokens": 1, "model": {"depth": 2}}, {"name": "two", "tokens": 2}],
}


def write(folder: Path, name: str, values: Any) -> str:
    path = folder / f"{name}.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return str(path)


def extended(folder: Path, extension: dict[str, Any], *overrides: str) -> dict[str, Any]:
    write(folder, "base", BASE)
    path = write(folder, "extension", {"extends": "base", **extension})
    return load_recipe("configs/train", path, overrides)[0]


def test_an_extension_names_only_what_differs(tmp_path: Path) -> None:
    assert extended(tmp_path, {}) == BASE
    values = extended(tmp_path, {"seed": 2, "data": {"clozes": 0, "prose": []}})
    assert values == {**BASE, "seed": 2, "data": {"questions": ["a"], "clozes": 0, "prose": []}}
    assert extended(tmp_path, {"data": {"questions": ["b"]}})["data"] == {"questions": ["b"], "clozes": 3}


def test_stages_merge_by_name(tmp_path: Path) -> None:
    one, two = BASE["stages"]
    changed = {"name": "one", "model": {"width": 4}}
    assert extended(tmp_path, {"stages": [{"name": "new", "tokens": 3}, changed]})["stages"] == [
        {**one, "model": {"depth": 2, "width": 4}},
        two,
        {"name": "new", "tokens": 3},
    ]
    assert extended(tmp_path, {"stages": [{"name": "one", "drop": True}]})["stages"] == [two]
    anew = [{"name": "one", "drop": True}, {"name": "one", "tokens": 9}]
    assert extended(tmp_path, {"stages": anew})["stages"] == [two, {"name": "one", "tokens": 9}]
    renamed = [{"name": "one", "rename": "first", "tokens": 5}]
    assert extended(tmp_path, {"stages": renamed})["stages"] == [{**one, "name": "first", "tokens": 5}, two]


def test_extensions_of_extensions_and_of_paths(tmp_path: Path) -> None:
    write(tmp_path, "base", BASE)
    (tmp_path / "own").mkdir()
    write(tmp_path / "own", "middle", {"extends": "../base.yaml", "seed": 2})
    path = write(tmp_path / "own", "top", {"extends": "middle", "data": {"clozes": 1}})
    values, source = load_recipe("configs/train", path)
    assert (values["seed"], values["data"]["clozes"], str(source)) == (2, 1, path)
    shipped, _ = load_recipe("configs/train", write(tmp_path, "mine", {"extends": "reader"}))
    assert shipped == load_recipe("configs/train", "reader")[0]


def test_settings_of_a_pipeline_may_extend_another(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", {"extends": "long", "packer": {"order": "score"}})
    settings = load_settings({}, pipeline=path, environ={}, folder=tmp_path)
    packer, long = settings.config.packer, load_settings({}, pipeline="long", environ={}, folder=tmp_path).config.packer
    assert packer.order == "score" and packer == long.model_copy(update={"order": "score"})


@pytest.mark.parametrize(
    ("extension", "problem"),
    [
        ({"extends": "none"}, "'extends' names no recipe: none"),
        ({"extends": ["base"]}, "'extends' is"),
        ({"extends": "extension"}, "'extends: extension' is circular"),
        ({"stages": [{"name": "three", "drop": True}]}, "no stage 'three' to drop"),
        ({"stages": [{"name": "three", "rename": "four"}]}, "no stage 'three' to drop or rename"),
        ({"stages": [{"name": "two", "drop": True, "tokens": 2}]}, "stage 'two': drop is true and alone"),
        ({"stages": [{"name": "two", "drop": False}]}, "stage 'two': drop is true and alone"),
        ({"stages": [{"tokens": 2}]}, "'stages' merge by their names"),
    ],
)
def test_a_wrong_extension_is_named(tmp_path: Path, extension: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as error:
        extended(tmp_path, extension)
    assert "extension.yaml" in error.value.message


def test_a_circle_of_several_recipes_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a", {"extends": "b"})
    write(tmp_path, "b", {"extends": "./c.yaml"})
    with pytest.raises(ConfigError, match=r"b\.yaml: 'extends: \./c\.yaml' is circular"):
        load_recipe("configs/train", write(tmp_path, "c", {"extends": "a"}))


def test_keys_stay_strict(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", {"extends": "reader", "stages": [{"name": "tune", "tokenz": 1}]})
    with pytest.raises(ConfigError, match=r"mine\.yaml: unknown setting 'stages\.tune\.tokenz'"):
        load(path, tmp_path, check_data=False)


names = st.sampled_from(["one", "two", "three"])
plain = st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 3))
mappings = st.tuples(plain, st.dictionaries(st.sampled_from(["c", "d"]), plain)).map(lambda pair: pair[0] | pair[1])
stage_lists = st.lists(names, unique=True, max_size=4).flatmap(
    lambda order: st.tuples(*(mappings.map(lambda m, n=name: {**m, "name": n}) for name in order)).map(list)  # type: ignore[misc]
)
documents = st.tuples(mappings, stage_lists).map(lambda pair: {**pair[0], "stages": pair[1]})


def merged(base: dict[str, Any], extension: dict[str, Any]) -> dict[str, Any]:
    return recipes._merge(base, extension, "here")


@given(documents, documents, documents)
def test_merging_has_an_identity_is_idempotent_and_associative(
    a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]
) -> None:
    assert merged(a, {}) == merged({}, a) == merged(a, a) == a
    assert merged(merged(a, b), b) == merged(a, b)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))


@given(documents, documents)
def test_a_merge_holds_all_of_the_extension_and_leaves_both_as_they_were(a: dict[str, Any], b: dict[str, Any]) -> None:
    before = yaml.safe_dump([a, b])
    result = merged(a, b)
    assert yaml.safe_dump([a, b]) == before
    assert merged(result, b) == result
    assert [stage["name"] for stage in result["stages"]][: len(a["stages"])] == [s["name"] for s in a["stages"]]
    assert {stage["name"] for stage in result["stages"]} == {s["name"] for s in a["stages"] + b["stages"]}


# --- overrides -------------------------------------------------------------------------------------------------


def test_overrides_lie_over_the_recipe(tmp_path: Path) -> None:
    values = extended(
        tmp_path, {"seed": 2}, "seed=3", "data.questions=[x, y]", "stages.two.optimizer.muon_rate=1.0e-4", "kind=reader"
    )
    assert values["seed"] == 3 and values["data"] == {"questions": ["x", "y"], "clozes": 3}
    assert values["stages"] == [BASE["stages"][0], {"name": "two", "tokens": 2, "optimizer": {"muon_rate": 1.0e-4}}]
    assert values["kind"] == "reader"


def test_an_override_of_one_stage_leaves_those_that_share_its_anchor(tmp_path: Path) -> None:
    text = "stages:\n- {name: one, model: &m {depth: 2}}\n- {name: two, model: *m}\n"
    values, _ = load_recipe("configs/train", write(tmp_path, "shared", text), ["stages.one.model.depth=3"])
    assert [stage["model"]["depth"] for stage in values["stages"]] == [3, 2]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("seed", "'seed' sets nothing"),
        ("=3", "'=3' sets nothing"),
        ("data..clozes=3", "sets nothing"),
        ("seed=[1", r"--set seed=\[1: the value is not valid YAML"),
        ("seed.deep=1", r"--set seed\.deep=1: 'seed' holds no keys"),
        ("data.questions.deep=1", "'questions' holds no keys"),
        ("stages.three.tokens=1", r"--set stages\.three\.tokens=1: no stage 'three'"),
        ("stages.two=1", r"--set stages\.two=1: 'two' is a stage"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, override: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        extended(tmp_path, {}, override)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("data.cloze=1", r"--set data\.cloze=1: unknown setting 'data\.cloze'"),
        ("stages.tune.tokens=few", r"'stages\.tune\.tokens': Input should be a valid integer.*\(got 'few'\)"),
        ("kind=none", "unknown kind 'none'"),
    ],
)
def test_an_override_is_checked_as_the_recipe_is(tmp_path: Path, override: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as error:
        load("reader", tmp_path, [override], check_data=False)
    assert f"reader.yaml --set {override}" in error.value.message


def test_the_command_takes_overrides(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "reader", "--set", "stages.tune.tokens=few", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "'stages.tune.tokens'" in done.output
    done = CliRunner().invoke(app, ["bench", "train", "reader", "--set", "sed=3"])
    assert done.exit_code == 2 and "unknown setting 'sed'" in done.output


# --- names of the version before -------------------------------------------------------------------------------


def test_a_recipe_by_its_old_name_is_read_with_a_note(caplog: pytest.LogCaptureFixture) -> None:
    for kind, renamed in recipes._RENAMED.items():
        for old, new in renamed.items():
            caplog.clear()
            assert load_recipe(kind, old) == load_recipe(kind, new)
            assert [record.getMessage() for record in caplog.records] == [
                f"note: the recipe '{old}' is now '{new}'; the next version drops the old name"
            ]
            assert old not in recipes.names(kind)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(PathNotFoundError) as error:
        load_recipe("configs/train", "nobody")
    assert "reader" in error.value.hint and "nobody" in error.value.message


def test_old_keys_are_read_with_one_note_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stages = [{"name": "one", "twisted": 0.3}, {"name": "two", "twisted": 0.1, "described": 0.2}]
    old = write(tmp_path, "old", {"data": {"sheets": 5, "twists": 2}, "stages": stages})
    values, _ = load_recipe("configs/train", old, ["stages.one.described=0.5"])
    assert values == {
        "data": {"synthetic_records": 5, "perturbations": 2},
        "stages": [
            {"name": "one", "perturbed": 0.3, "entity_bridge": 0.5},
            {"name": "two", "perturbed": 0.1, "entity_bridge": 0.2},
        ],
    }
    notes = [record.getMessage() for record in caplog.records]
    assert len(notes) == 5 and sum("'twisted' is now 'perturbed'" in note for note in notes) == 1
    assert all("old.yaml" in note or "--set" in note for note in notes)
    extension = write(tmp_path, "new", {"extends": "old", "stages": [{"name": "one", "perturbed": 0.4}]})
    assert load_recipe("configs/train", extension)[0]["stages"][0] == {"name": "one", "perturbed": 0.4}
    assert load_recipe("pipelines", old)[0]["data"] == {"sheets": 5, "twists": 2}  # another kind has other keys


def test_an_old_key_beside_its_new_one_is_refused(tmp_path: Path) -> None:
    for data in ({"sheets": 1, "synthetic_records": 2}, {"synthetic_records": 2, "sheets": 1}):
        with pytest.raises(ConfigError, match="'sheets' is the old name of 'synthetic_records'"):
            load_recipe("configs/train", write(tmp_path, "both", {"data": data}))


def test_renamed_keys_name_settings(tmp_path: Path) -> None:
    """Every new name is a setting, and no old one is."""
    known = {"configs/train": (DataConfig, StageConfig)}
    for kind, renamed in RENAMED_KEYS.items():
        fields = {name for model in known[kind] for name in model.model_fields}
        for old, new in renamed.items():
            assert new in fields and old.rpartition(".")[2] not in fields
