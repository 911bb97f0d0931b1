"""Rules of the repository: layers, speed of ``--help``, generated pages, words."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
HELP_SECONDS = 0.5
SLACK = 3
"""Factor by which a busy test machine may be slower than a quiet one."""

checkout = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="runs in a checkout")


@checkout
def test_imports_go_down_the_layers() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_is_instant() -> None:
    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ragyena", "--help"], check=True, capture_output=True, cwd=ROOT)
        return time.perf_counter() - began

    assert min(once() for _ in range(3)) < HELP_SECONDS * SLACK


@pytest.mark.parametrize("folder", ["ragyena", "tests"])
def test_a_docstring_opens_with_a_noun_phrase_or_an_imperative(folder: str) -> None:
    riddle = re.compile(r"(What|Of|Whether|How|Where|Whose|Which|That|Those|Who|Why|When)\b")
    opened = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value.value.splitlines()[0]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if riddle.match(node.value.value)
    ]
    assert not opened, "\n".join(opened)


@checkout
def test_the_generated_pages_are_current() -> None:
    for name, text in _generator().pages().items():
        path = ROOT / "docs" / name
        assert path.read_text(encoding="utf-8") == text, f"docs/{name} is out of date: run `make docs`"


@checkout
def test_the_results_in_the_readme_are_those_of_the_files() -> None:
    written = (ROOT / "README.md").read_text(encoding="utf-8")
    assert written == _generator().readme(), "README.md is out of date: run `make docs`"


@checkout
def test_the_plots_of_results_are_those_of_the_page() -> None:
    drawn = {path.name for path in (ROOT / "docs" / "plots").glob("*.svg")}
    assert drawn == set(_generator().plots()), "docs/plots/ is out of date: run `make docs`"


@checkout
def test_every_exit_code_is_documented() -> None:
    from ragyena import errors

    codes = {getattr(errors, name).exit_code for name in errors.__all__} | {0, 130}
    page = (ROOT / "docs" / "get-started.md").read_text(encoding="utf-8")
    assert codes <= {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    listed = (ROOT / "ragyena" / "cli" / "main.py").read_text(encoding="utf-8")
    assert codes <= {int(code) for code in re.findall(r"^  (\d+) ", listed, re.MULTILINE)}


@checkout
def test_the_pinned_versions_fit_the_declared_ranges() -> None:
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines) if version
    }
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["train"], *project["dependency-groups"]["dev"]]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not pinned in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]} is not {requirement.specifier}"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
