"""A reader packaged as a distribution: built, installed, and read with by its name."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ragyena.cli.main import app
from ragyena.errors import CheckpointError, UsageError
from ragyena.model import checkpoint as checkpoints
from ragyena.model.checkpoint import load_config, load_state, save_checkpoint
from ragyena.model.confidence import Calibration, save_calibration
from ragyena.model.input_ranges import RANGES_FILE, InputRanges, save_ranges
from ragyena.reader.distribution import write_distribution


def ragyena(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_an_installed_distribution_reads_by_its_name(
    small_reader: Path, small_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several files, as the reader that is too large for one."""
    in_parts = tmp_path / "checkpoint"
    monkeypatch.setattr(checkpoints, "LARGEST_FILE", checkpoints._HEADER + 2**20)
    config, state = load_config(small_reader), load_state(small_reader)
    save_checkpoint(
        in_parts, state, config, tokenizer=small_reader / "tokenizer.json", card="# Card", storage="float32"
    )
    assert len(list(in_parts.glob("model-*.safetensors"))) > 1
    save_calibration(in_parts, Calibration(right={"answer": 0.5, "intercept": 1.25}))
    save_ranges(in_parts, InputRanges(inputs={}))
    (in_parts / "notes.txt").write_text("not of the checkpoint")
    done = ragyena("reader", "package", str(in_parts), "--name", "base", "--to", str(tmp_path / "readers" / "base"))
    assert done.exit_code == 0 and "--reader base" in done.stdout, done.output
    folder = tmp_path / "readers" / "base"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "pyproject.toml", "ragyena_reader_base"]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("ragyena_reader_base-1.0.0-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    assert not (tmp_path / "site" / "ragyena_reader_base" / "notes.txt").exists()
    assert (tmp_path / "site" / "ragyena_reader_base" / RANGES_FILE).is_file()
    asked = ["ask", "Who painted the harbour?", "--index", str(small_index), "--json", "--threshold", "0"]
    absent = ragyena(*asked, "--reader", "base")
    assert absent.exit_code == 8 and "pip install ./readers/base" in absent.stderr
    assert "the reader 'base' is not installed" in absent.stderr
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    rows: list[dict[str, Any]] = json.loads(ragyena("reader", "list", "--json").stdout)["readers"]
    assert [row["name"] for row in rows] == ["small", "base"]
    readers = ("base", str(in_parts), "small")
    named, by_folder, small = (json.loads(ragyena(*asked, "--reader", reader).stdout) for reader in readers)
    assert (named["answer"], named["confidence"]) == (by_folder["answer"], by_folder["confidence"])
    assert named["confidence"] != small["confidence"]
    (tmp_path / "site" / "ragyena_reader_base" / "calibration.json").unlink()
    assert json.loads(ragyena(*asked, "--reader", "base").stdout)["confidence"] != named["confidence"]


def test_only_a_whole_reader_is_packaged_and_nothing_else_overwritten(small_reader: Path, tmp_path: Path) -> None:
    options = {"version": "1.0.0", "licence": "CC-BY-SA-4.0"}
    for name in ("small", "Base", "a/b", ""):
        with pytest.raises(UsageError, match="no reader can be called"):
            write_distribution(small_reader, name, tmp_path / "to", **options)
    with pytest.raises(CheckpointError):
        write_distribution(tmp_path, "base", tmp_path / "to", **options)
    assert not (tmp_path / "to").exists()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="holds something else"):
        write_distribution(small_reader, "base", tmp_path / "notes", **options)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "kept"
    for version in ("1.0.0", "1.1.0"):
        folder = write_distribution(small_reader, "base", tmp_path / "base", version=version, licence="CC0-1.0")
        project = (folder / "pyproject.toml").read_text()
        assert f'version = "{version}"' in project and 'license = "CC0-1.0"' in project
