"""Sources of settings: the order of the layers, recorded origins, misspelt keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragyena import settings
from ragyena.config import PipelineConfig
from ragyena.errors import ConfigError, PathNotFoundError
from ragyena.settings import load_settings, resolve


@pytest.fixture(autouse=True)
def _own_user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "user_file", lambda: tmp_path / "user" / "config.yaml")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def origin(loaded: settings.Settings, name: str) -> str:
    return {row.name: row.origin for row in loaded.rows()}[name]


def test_each_layer_overrides_the_one_below_it(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "deep"
    folder.mkdir(parents=True)
    name = "packer.context_tokens"

    def loaded(flags: dict[str, object] | None = None, environ: dict[str, str] | None = None) -> tuple[int, str]:
        loaded_settings = load_settings(flags, pipeline="quick", environ=environ or {}, folder=folder)
        return loaded_settings.config.packer.context_tokens, origin(loaded_settings, name)

    assert loaded() == (4096, "recipe quick")
    user = write(tmp_path / "user" / "config.yaml", "packer:\n  context_tokens: 5000\n")
    assert loaded() == (5000, str(user))
    project = write(tmp_path / "work" / "ragyena.yaml", "packer:\n  context_tokens: 6000\n")
    assert loaded() == (6000, str(project))
    assert loaded(environ={"RAGYENA_PACKER__CONTEXT_TOKENS": "7000"}) == (7000, "RAGYENA_PACKER__CONTEXT_TOKENS")
    flags: dict[str, object] = {name: 8000}
    assert loaded(flags, {"RAGYENA_PACKER__CONTEXT_TOKENS": "7000"}) == (8000, "--context-tokens")


def test_an_unset_setting_has_its_default(tmp_path: Path) -> None:
    loaded = load_settings({"packer.context_tokens": None}, environ={}, folder=tmp_path)
    assert loaded.config.packer == PipelineConfig().packer
    assert origin(loaded, "packer.context_tokens") == "default"


def test_the_recipe_is_chosen_by_flag_then_environment_then_file(tmp_path: Path) -> None:
    write(tmp_path / "ragyena.yaml", "pipeline: long\n")
    assert load_settings(environ={}, folder=tmp_path).recipe == "long"
    environ = {"RAGYENA_PIPELINE": "quick"}
    assert load_settings(environ=environ, folder=tmp_path).recipe == "quick"
    chosen = load_settings(pipeline="lexical", environ=environ, folder=tmp_path)
    assert (chosen.recipe, chosen.recipe_origin, chosen.config.retriever.mode) == ("lexical", "--pipeline", "lexical")


def test_a_recipe_may_be_a_file_of_the_user(tmp_path: Path) -> None:
    recipe = write(tmp_path / "mine.yaml", "retriever:\n  rrf_k: 7\n")
    assert load_settings(pipeline=str(recipe), environ={}, folder=tmp_path).config.retriever.rrf_k == 7


def test_paths_in_a_file_are_relative_to_the_file(tmp_path: Path) -> None:
    write(tmp_path / "ragyena.yaml", "index_root: stores\nreader:\n  checkpoint: models/mine\n")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    config = load_settings(environ={}, folder=below).config
    assert config.index_root == tmp_path / "stores"
    assert config.reader.checkpoint == str(tmp_path / "models" / "mine")


def test_a_list_in_the_environment_is_separated_by_commas(tmp_path: Path) -> None:
    environ = {"RAGYENA_INDEX__EXCLUDE": "*.log, build/"}
    assert load_settings(environ=environ, folder=tmp_path).config.index.exclude == ("*.log", "build/")


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("RAGYENA_PACKER__CONTEXT_TOKEN", "4096", "packer.context_tokens"),
        ("RAGYENA_PACKER_CONTEXT_TOKENS", "4096", "packer.context_tokens"),
        ("RAGYENA_RETREIVER__MODE", "dense", "retriever.mode"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest_setting(
    tmp_path: Path, variable: str, value: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={variable: value}, folder=tmp_path)
    assert variable in caught.value.message
    assert hint in caught.value.hint


def test_a_misspelt_key_in_a_file_names_the_file(tmp_path: Path) -> None:
    project = write(tmp_path / "ragyena.yaml", "packer:\n  contxt_tokens: 4096\n")
    with pytest.raises(ConfigError, match="contxt_tokens") as caught:
        load_settings(environ={}, folder=tmp_path)
    assert str(project) in caught.value.message
    assert "packer.context_tokens" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("packer:\n  context_tokens: many\n", "packer.context_tokens"),
        ("packer:\n  context_tokens: 12\n", "packer.context_tokens"),
        ("packer: 5\n", "packer"),
        ("- a list\n", "no settings"),
        ("packer: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    project = write(tmp_path / "ragyena.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={}, folder=tmp_path)
    assert str(project) in caught.value.message
    assert problem in caught.value.message


def test_a_wrong_flag_value_is_named_as_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--threshold"):
        load_settings({"reader.threshold": 1.5}, environ={}, folder=tmp_path)


def test_an_unknown_recipe_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError) as caught:
        load_settings(pipeline="nonesuch", environ={}, folder=tmp_path)
    assert "default" in caught.value.hint


def test_an_empty_project_file_is_no_problem(tmp_path: Path) -> None:
    write(tmp_path / "ragyena.yaml", "# nothing yet\n")
    assert load_settings(environ={}, folder=tmp_path).config.packer == PipelineConfig().packer


def test_every_setting_has_a_meaning_and_fits_json(tmp_path: Path) -> None:
    rows = list(load_settings(environ={}, folder=tmp_path).rows())
    assert all(row.meaning for row in rows)
    assert len({row.name for row in rows}) == len(rows)
    json.dumps([str(row.value) for row in rows])


def test_a_renamed_setting_is_read_by_its_old_name_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(settings.RENAMED, "packer.budget", "packer.context_tokens")
    project = write(tmp_path / "ragyena.yaml", "packer:\n  budget: 6000\n")
    loaded = load_settings(environ={}, folder=tmp_path)
    assert loaded.config.packer.context_tokens == 6000
    assert origin(loaded, "packer.context_tokens") == str(project)
    assert caplog.messages == [
        f"{project}: setting 'packer.budget' is now 'packer.context_tokens'; the old name is read in this version"
    ]
    environ = {"RAGYENA_PACKER__BUDGET": "7000"}
    assert load_settings(environ=environ, folder=tmp_path).config.packer.context_tokens == 7000


def test_overrides_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "ragyena.yaml", "packer:\n  context_tokens: 6000\n  neighbours: 2\n")
    config = resolve({"pipeline": "lexical", "packer.context_tokens": 7000})
    assert (config.packer.context_tokens, config.packer.neighbours, config.retriever.mode) == (7000, 2, "lexical")
    at_call = resolve({"packer.neighbours": 1}, config)
    assert (at_call.packer.context_tokens, at_call.packer.neighbours) == (7000, 1)
    assert resolve(None, config) is config and resolve(config) is config
    with pytest.raises(ConfigError, match=r"settings: unknown setting 'packer\.neighbors'"):
        resolve({"packer.neighbors": 1})
    with pytest.raises(ConfigError, match=r"settings: 'packer\.neighbours'"):
        resolve({"packer.neighbours": 99}, config)
