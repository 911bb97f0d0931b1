"""The other commands, as their users see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Ragyena

pytestmark = pytest.mark.xdist_group("end_to_end")


def test_adding_again_skips_what_is_unchanged_and_replaces_what_changed(ragyena: Ragyena, tmp_path: Path) -> None:
    folder, index = tmp_path / "docs", tmp_path / "index"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\nThe first text is about apples.\n", encoding="utf-8")
    (folder / "b.md").write_text("# B\n\nThe second text is about bears.\n", encoding="utf-8")
    first = ragyena("index", "add", folder, "--index", index, "--json").succeeds().json
    assert (first["schema"], first["added"]) == ("ragyena.index.add/1", 2)
    (folder / "b.md").write_text("# B\n\nThe second text is about bees now.\n", encoding="utf-8")
    second = ragyena("index", "add", folder, "--index", index, "--json").succeeds().json
    assert (second["added"], second["replaced"], second["unchanged"]) == (0, 1, 1)
    (folder / "a.md").unlink()
    third = ragyena("index", "add", folder, "--index", index, "--prune", "--json").succeeds().json
    assert third["removed"] == 1
    result = ragyena("index", "search", "apples bees", "--index", index, "--json").succeeds().json
    assert [Path(row["document"]).name for row in result["passages"]] == ["b.md"]


def test_removing_a_document(ragyena: Ragyena, tmp_path: Path) -> None:
    index, file = tmp_path / "index", tmp_path / "only.txt"
    file.write_text("The only text there is.", encoding="utf-8")
    (tmp_path / "other.txt").write_text("Another text.", encoding="utf-8")
    ragyena("index", "add", file, tmp_path / "other.txt", "--index", index).succeeds()
    ragyena("index", "rm", file, "--index", index).succeeds()
    assert ragyena("index", "status", "--index", index, "--json").succeeds().json["documents"] == 1
    ragyena("index", "rm", file, "--index", index).fails(3, "only.txt")


def test_status_and_verify(ragyena: Ragyena, library: Path) -> None:
    shown = ragyena("index", "status", "--index", library).succeeds().out
    assert "all-MiniLM-L6-v2" in shown
    values = ragyena("index", "status", "--index", library, "--json").succeeds().json
    assert values["schema"] == "ragyena.index.status/1"
    assert values["documents"] == 7  # a table of short rows is one document
    report = ragyena("index", "verify", "--index", library, "--json").succeeds().json
    assert report["problems"] == []


def test_search_shows_places(ragyena: Ragyena, library: Path) -> None:
    assert "bridge.md, lines" in ragyena("index", "search", "iron bridge", "--index", library).succeeds().out
    result = ragyena("index", "search", "water behind the dam", "--index", library, "--json", "--top-k", "1").succeeds()
    (passage,) = result.json["passages"]
    assert (Path(passage["document"]).name, passage["page"]) == ("report.pdf", 2)


def test_config_shows_where_a_value_comes_from(ragyena: Ragyena) -> None:
    environment = {"RAGYENA_PACKER__CONTEXT_TOKENS": "4096"}
    values = ragyena("config", "show", "--json", environment=environment).succeeds().json
    (row,) = [row for row in values["settings"] if row["name"] == "packer.context_tokens"]
    assert (row["value"], row["origin"]) == (4096, "RAGYENA_PACKER__CONTEXT_TOKENS")
    assert (
        "packer.context_tokens = 4096  (RAGYENA_PACKER__CONTEXT_TOKENS)"
        in ragyena("config", "show", environment=environment).out
    )


def test_doctor_finds_everything_sound(ragyena: Ragyena, library: Path) -> None:
    values = ragyena("doctor", "--index", library, "--json").succeeds().json
    verdicts = {check["name"]: check["verdict"] for check in values["checks"]}
    assert values["sound"] is True
    assert {verdicts[name] for name in ("python", "torch", "device", "embedder", "reader", "index")} == {"ok"}


def test_doctor_reports_what_is_unsound(ragyena: Ragyena, library: Path, tmp_path: Path) -> None:
    environment = {"RAGYENA_READER__CHECKPOINT": str(tmp_path / "nowhere")}
    done = ragyena("doctor", "--index", library, environment=environment)
    assert done.code == 1 and "unsound: reader" in done.out
    values = ragyena("doctor", "--index", library, "--json", environment=environment).json
    (reader,) = [check for check in values["checks"] if check["name"] == "reader"]
    assert reader["verdict"] == "unsound" and "nowhere" in json.dumps(reader)


def test_app_py_is_the_same_command(ragyena: Ragyena) -> None:
    import subprocess

    app = Path(__file__).resolve().parents[2] / "app.py"
    command = [ragyena.command()[0], str(app), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=ragyena.environment(), cwd=ragyena.home)
    assert (done.returncode, done.stdout) == (0, ragyena("--version").out)


@pytest.mark.slow
def test_the_demo_answers_its_questions(ragyena: Ragyena) -> None:
    done = ragyena("demo").succeeds()
    assert "823 km" in done.out
    right, total = done.out.split(" answers right")[0].splitlines()[-1].split(" of ")
    assert int(total) == 9
    assert int(right) >= 6
