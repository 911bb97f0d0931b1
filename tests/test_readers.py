"""Readers by name: the one in the package, installed ones, folders; and what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena import recipes
from ragyena.errors import CheckpointError, MissingDependencyError
from ragyena.readers import installed_readers, is_reader_name, reader_folder
from ragyena.settings import load_settings


def installed(site: Path, name: str, package: str) -> None:
    """Lays an installed distribution into a folder of ``sys.path``."""
    (site / package).mkdir(parents=True)
    (site / package / "__init__.py").write_text("")
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ragyena.readers]\n{name} = {package}\n")


def test_small_is_in_the_package_and_base_says_how_to_get_it() -> None:
    assert reader_folder("small") == reader_folder("shipped") == recipes.asset("reader")
    assert load_settings().config.reader.checkpoint == "small" and "small" in installed_readers()
    if "base" not in installed_readers():
        with pytest.raises(MissingDependencyError, match="the reader 'base' is not installed") as caught:
            reader_folder("base")
        assert "pip install ./readers/base" in str(caught.value.hint)


def test_an_installed_reader_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    installed(site, "mine", "reader_of_mine")
    monkeypatch.syspath_prepend(str(site))
    assert reader_folder("mine") == site / "reader_of_mine" and next(iter(installed_readers())) == "small"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert reader_folder("mine") == site / "reader_of_mine" and reader_folder("./mine") == Path("mine")
    with pytest.raises(CheckpointError, match="no reader at other") as caught:
        reader_folder("other")
    assert "small, mine" in str(caught.value.hint)


def test_a_distribution_without_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "half", "reader_that_is_half")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "reader_that_is_half" / "__init__.py").unlink()
    (tmp_path / "reader_that_is_half").rmdir()
    with pytest.raises(MissingDependencyError, match="the reader 'half' is not whole"):
        reader_folder("half")


def test_in_a_settings_file_a_name_stays_a_name_and_a_path_is_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text, expected in (("base", "base"), ("runs/mine", str(tmp_path / "runs" / "mine"))):
        (tmp_path / "ragyena.yaml").write_text(f"reader:\n  checkpoint: {text}\n")
        assert load_settings().config.reader.checkpoint == expected
    assert is_reader_name("base") and not is_reader_name("./base")
