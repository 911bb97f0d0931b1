"""Files that change, move and vanish after they were indexed, as the users of the commands see it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Ragyena

pytestmark = pytest.mark.xdist_group("end_to_end")


@pytest.fixture
def town(tmp_path: Path) -> Path:
    folder = tmp_path / "town"
    folder.mkdir()
    (folder / "bridge.txt").write_text("The iron bridge was built in 1932 by the engineer Ada Stone.", encoding="utf-8")
    (folder / "tower.txt").write_text("The tower fell in the storm of 1811.", encoding="utf-8")
    return folder


def shown(text: str) -> str:
    """Text of a screen in one line."""
    return " ".join(text.split())


def test_an_answer_says_that_its_file_is_gone(ragyena: Ragyena, town: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    ragyena("index", "add", town, "--index", index).succeeds()
    ask = ("ask", "Who built the iron bridge?", "--index", index, "--threshold", "0")
    assert ragyena(*ask, "--json").succeeds().json["citations"][0]["file_state"] == "unchanged"
    (town / "bridge.txt").unlink()
    assert "this file is gone" in ragyena(*ask).succeeds().out
    added = shown(ragyena("index", "add", town, "--index", index).succeeds().out)
    assert "1 file in the index can no longer be found" in added and "--prune" in added and "sync" in added
    assert "1 file; `ragyena index sync`" in ragyena("index", "status", "--index", index).succeeds().out
    search = ("index", "search", "tower", "--index", index)
    (town / "tower.txt").write_text("The tower was built again in 1850.", encoding="utf-8")
    assert "has changed since" in ragyena(*search).succeeds().out
    report = ragyena("index", "sync", town, "--index", index, "--json").succeeds().json
    assert [(change["kind"], Path(change["path"]).name) for change in report["changes"]] == [
        ("replaced", "tower.txt"),
        ("removed", "bridge.txt"),
    ]
    (passage,) = ragyena(*search, "--json").succeeds().json["passages"]
    assert passage["file_state"] == "unchanged"


def test_sync_says_what_it_did_and_refuses_a_folder_that_is_not_there(
    ragyena: Ragyena, town: Path, tmp_path: Path
) -> None:
    sync = ("index", "sync", town, "--index", tmp_path / "index")
    assert "2 added" in ragyena(*sync).succeeds().out
    (town / "tower.txt").rename(town / "ruin.txt")
    said = shown(ragyena(*sync).succeeds().out)
    assert said.startswith("> ") and "ruin.txt (was " in said
    assert "1 renamed, 1 unchanged" in said
    town.rename(tmp_path / "elsewhere")
    ragyena(*sync).fails(3, "does not exist")
    assert ragyena("index", "status", "--index", tmp_path / "index", "--json").succeeds().json["documents"] == 2


def test_a_bad_row_is_named_by_add_and_by_status(ragyena: Ragyena, town: Path, tmp_path: Path) -> None:
    rows = town / "rows.jsonl"
    rows.write_text('{"text": "The harbour froze."}\n{"text": cut\n{"text": "The lamp is red."}\n', encoding="utf-8")
    failed = ragyena("index", "add", rows, "--index", tmp_path / "index").fails(3, "1 row", "rows.jsonl#2")
    assert "line 2 is not JSON" in failed.err
    status = shown(ragyena("index", "status", "--index", tmp_path / "index").succeeds().out)
    assert "line 2 is not JSON" in status and "run `ragyena index add` again" not in status
    (source,) = ragyena("index", "status", "--index", tmp_path / "index", "--json").succeeds().json["sources"]
    assert source["complete"] and source["skipped"][0]["source"].endswith("#2")


def test_a_new_index_is_announced_and_not_made_for_a_wrong_path(ragyena: Ragyena, town: Path) -> None:
    failed = ragyena("index", "add", town / "nowhere", "--index", "trial").fails(3, "does not exist")
    assert "new index" not in failed.err
    done = ragyena("index", "add", town, "--index", "trial").succeeds()
    assert "new index: " in done.err and "indexes/trial" in done.err
    assert "new index" not in ragyena("index", "add", town, "--index", "trial").succeeds().err


def test_where_every_file_fails_no_other_is_spoken_of(ragyena: Ragyena, town: Path, tmp_path: Path) -> None:
    ragyena("index", "add", town, "--index", tmp_path / "index").succeeds()
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 but no more")
    failed = ragyena("index", "add", tmp_path / "bad.pdf", "--index", tmp_path / "index").fails(3, "1 of 1 files")
    assert "the other files" not in failed.err
