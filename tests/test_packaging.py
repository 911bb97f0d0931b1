"""The wheel: its contents, and that it works outside a checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="runs in a checkout"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_recipes_reader_and_demo(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    recipes = [*(ROOT / "pipelines").glob("*.yaml"), *(ROOT / "configs").rglob("*.yaml")]
    assert recipes
    for path in recipes:
        assert f"ragyena/assets/{path.relative_to(ROOT)}" in names
    for name in ("reader/config.json", "reader/model.safetensors", "reader/tokenizer.json", "demo/questions.jsonl"):
        assert f"ragyena/assets/{name}" in names
    assert {"ragyena/py.typed", "ragyena/index/words/stopwords.txt"} <= names
    assert any(name.startswith("ragyena/assets/demo/corpus/") for name in names)
    lists = [*(ROOT / "ragyena").rglob("words/*.txt"), *(ROOT / "ragyena").rglob("words/*.yaml")]
    assert lists and {path.relative_to(ROOT).as_posix() for path in lists} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_claims_one_import_name(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ragyena"}


def test_an_unpacked_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import ragyena.recipes as recipes\n"
        f"assert recipes.__file__.startswith({str(tmp_path)!r}), recipes.__file__\n"
        "assert 'default' in recipes.names('pipelines') and recipes.names('configs/train')\n"
        "from ragyena.settings import load_settings\n"
        "print(load_settings(pipeline='quick').config.packer.context_tokens)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "4096"
