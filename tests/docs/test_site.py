"""The documentation site: it builds without a warning, holds every page, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "mkdocs.yml").is_file():
    pytest.skip("runs in a checkout", allow_module_level=True)


def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_in_the_navigation(site: Path) -> None:
    navigation = re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text().partition("nav:")[2])
    joined = hooks().JOINED.values()
    assert sorted(navigation) == sorted([*(path.name for path in (ROOT / "docs").glob("*.md")), *joined])
    assert all((site / name).with_suffix(".html").is_file() for name in navigation)


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = [
        found
        for page in site.rglob("*.html")
        for found in re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]+)"', page.read_text())
    ]
    assert loaded == []


def test_the_start_page_is_the_readme_with_its_picture(site: Path) -> None:
    page = (site / "index.html").read_text()
    assert 'src="pictures/terminal.svg"' in page
    assert (site / "pictures" / "terminal.svg").is_file()
    assert 'href="get-started.html"' in page


@pytest.mark.parametrize(
    ("origin", "before", "after"),
    [
        ("README.md", "[a](docs/json.md#x)", "[a](json.md#x)"),
        ("README.md", "![a](docs/plots/a.svg)", "![a](plots/a.svg)"),
        ("docs/json.md", "[index](../indexes/README.md)", "[index](index-format.md)"),
        ("docs/json.md", "[recipes](../configs/train)", "recipes"),
        ("docs/json.md", "[a](https://example.org/b)", "[a](https://example.org/b)"),
        ("docs/json.md", "[a](#fields)", "[a](#fields)"),
        ("ragyena/assets/reader/README.md", "[a](../../../docs/json.md)", "[a](json.md)"),
    ],
)
def test_links_follow_the_pages(origin: str, before: str, after: str) -> None:
    assert hooks().with_links(before, origin, {"json.md", "index-format.md", "plots/a.svg"}) == after


def test_the_configuration_names_the_hooks_that_are_there() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert all((ROOT / hook).is_file() for hook in settings["hooks"])
