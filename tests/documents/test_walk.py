"""The walk over folders: files found, files left out, links and errors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ragyena.documents.loading import find_files
from ragyena.errors import PathNotFoundError, UnreadableDocumentError


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text", encoding="utf-8")
    return root


def walked(root: Path, *exclude: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_files([root], exclude)]


def test_files_are_absolute_sorted_and_each_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "b.txt", "a/z.md", "a/B.rst", "c.pdf")
    monkeypatch.chdir(tmp_path)
    files = find_files([Path("c.pdf"), Path(), Path("a"), Path("a/../b.txt")])
    assert files == [tmp_path / name for name in ("a/B.rst", "a/z.md", "b.txt", "c.pdf")]


def test_a_walk_leaves_out_hidden_and_generated_files(tmp_path: Path) -> None:
    tree(tmp_path, ".git/a.txt", ".hidden.txt", "node_modules/a.js", "__pycache__/a.py", "a.png", "x.lock", "a.txt")
    assert walked(tmp_path) == ["a.txt"]


def test_exclude_patterns_are_those_of_a_gitignore(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt", "b.log", "build/a.txt", "src/build/b.txt", "docs/draft/x.md", "docs/x.md", "keep.log")
    assert walked(tmp_path, "*.log", "!keep.log", "/build", "docs/draft") == [
        "a.txt",
        "docs/x.md",
        "keep.log",
        "src/build/b.txt",
    ]


def test_gitignore_files_count_where_they_stand(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt", "b.txt", "sub/a.txt", "sub/b.txt", "sub/deep/b.txt", "out/a.txt")
    (tmp_path / ".gitignore").write_text("b.txt\nout/\n", encoding="utf-8")
    (tmp_path / "sub/.gitignore").write_text("!b.txt\n/a.txt\ndeep/b.txt\n", encoding="utf-8")
    assert walked(tmp_path) == ["a.txt", "sub/b.txt"]


def test_a_file_named_itself_is_in_whatever_is_excluded(tmp_path: Path) -> None:
    tree(tmp_path, ".hidden.txt", "a.log")
    (tmp_path / ".gitignore").write_text("*.log\n", encoding="utf-8")
    named = [tmp_path / ".hidden.txt", tmp_path / "a.log"]
    assert find_files(named, ["*.log"]) == named


def test_links_in_a_loop_end(tmp_path: Path) -> None:
    tree(tmp_path, "a/b/x.txt")
    (tmp_path / "a/b/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a/b/self").symlink_to("self")
    (tmp_path / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "nowhere.txt").symlink_to(tmp_path / "gone.txt")
    assert walked(tmp_path) == ["a/b/x.txt"]


def test_links_out_of_the_folder_are_followed(tmp_path: Path) -> None:
    tree(tmp_path, "elsewhere/x.txt", "root/y.txt")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "root/link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert walked(tmp_path / "root") == ["link/x.txt", "y.txt"]


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match=r"gone\.txt does not exist"):
        find_files([tmp_path / "gone.txt"])
    (tmp_path / "link").symlink_to(tmp_path / "gone.txt")
    with pytest.raises(PathNotFoundError, match="link to nothing"):
        find_files([tmp_path / "link"])


def test_a_named_file_of_unknown_format_is_an_error_and_a_walked_one_is_not(tmp_path: Path) -> None:
    tree(tmp_path, "a.png")
    assert walked(tmp_path) == []
    with pytest.raises(UnreadableDocumentError, match=r"'\.png' are not supported"):
        find_files([tmp_path / "a.png"])


def test_a_folder_that_may_not_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "a/x.txt")
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # permissions do not bind the user that tests may run as
    with pytest.raises(UnreadableDocumentError, match="cannot be opened: Permission denied"):
        find_files([tmp_path])
