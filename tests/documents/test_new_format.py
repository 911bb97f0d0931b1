"""The walkthrough "A new file format" of CONTRIBUTING.md, followed to the letter."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragyena import Index
from ragyena.documents import formats
from ragyena.errors import UnreadableDocumentError

ROOT = Path(__file__).resolve().parents[2]
SAYINGS = "A rolling stone gathers no moss.\n%\nThe lamp of Oldtown was lit in 1698.\n%\n"

pytestmark = pytest.mark.skipif(not (ROOT / "CONTRIBUTING.md").is_file(), reason="runs in a checkout")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with ``fortune.py`` as CONTRIBUTING.md shows it, which the folder of formats reaches into."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## A new file format\n")[1]
    code = re.search(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    assert code is not None
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / "fortune.py").write_text(code[1], encoding="utf-8")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    forget()
    yield folder
    forget()
    sys.modules.pop(f"{formats.__name__}.fortune", None)


def forget() -> None:
    formats.all_formats.cache_clear()
    formats._by_suffix.cache_clear()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "sayings.fortune").write_text(SAYINGS, encoding="utf-8")
    (folder / "broken.fortune").write_text(SAYINGS + "and then", encoding="utf-8")
    return folder


def test_a_file_of_it_is_indexed_and_searched_and_a_broken_one_named(
    plugin: Path, corpus: Path, tmp_path: Path
) -> None:
    with Index.create(tmp_path / "index") as index:
        report = index.add([corpus])
        (hit,) = index.search("When was the lamp lit?", k=1)
    assert (report.files, report.added, report.documents) == (2, 1, 2)
    (failure,) = report.failed
    assert failure.path == str(corpus / "broken.fortune") and "is cut short" in failure.message
    assert failure.hint == "end every saying with a line that holds % alone"
    assert hit.passage.source == f"{corpus / 'sayings.fortune'}#2"
    assert (hit.passage.title, hit.passage.text) == ("sayings", "The lamp of Oldtown was lit in 1698.")


def test_error_messages_list_it(plugin: Path, tmp_path: Path) -> None:
    hints = {}
    for suffix in (".dat", ".xyz"):
        error = formats.unsupported(tmp_path / f"a{suffix}")
        assert isinstance(error, UnreadableDocumentError) and suffix in error.message
        hints[suffix] = error.hint
    assert hints == {
        ".dat": "index the .fortune file that it belongs to",
        ".xyz": f"convert it to one of {formats.listed()}",
    }
    assert ", fortune, " in formats.listed()


def test_the_help_lists_it(plugin: Path) -> None:
    code = (
        "from ragyena.documents import formats\n"
        f"formats.__path__.append({str(plugin)!r})\n"
        "from ragyena.cli.main import run\n"
        "run()\n"
    )
    command = [sys.executable, "-c", code, "index", "add", "--help"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert f"Formats: {formats.listed()}." in " ".join(done.stdout.split())


def test_two_formats_cannot_claim_one_suffix(plugin: Path) -> None:
    (plugin / "fortune.py").write_text('SUFFIXES = (".md",)\nWAY_OUT = {}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"fortune and markdown both claim \.md"):
        formats.format_of(Path("a.md"))
