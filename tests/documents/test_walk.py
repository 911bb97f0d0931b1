"""The walk over folders: files found, files left out, links and errors."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ragyena.documents.walk import Found, find_files, listed_left_out
from ragyena.errors import PathNotFoundError, UnreadableDocumentError

posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text", encoding="utf-8")
    return root


def walked(root: Path, *exclude: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_files([root], exclude).files]


def test_files_are_absolute_sorted_and_each_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "b.txt", "a/z.md", "a/B.rst", "c.pdf")
    monkeypatch.chdir(tmp_path)
    files = find_files([Path("c.pdf"), Path(), Path("a"), Path("a/../b.txt")]).files
    assert list(files) == [tmp_path / name for name in ("a/B.rst", "a/z.md", "b.txt", "c.pdf")]


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
    assert list(find_files(named, ["*.log"]).files) == named


def test_files_that_may_hold_passwords_are_read_where_they_are_named(tmp_path: Path) -> None:
    tree(tmp_path, ".env", ".env.local", "prod.env", "sub/Dev.ENV", "backup.service", "crontab", ".bashrc", "a.txt")
    found = find_files([tmp_path, tmp_path / "sub"])
    assert [path.name for path in found.files] == ["a.txt", "backup.service", "crontab"]
    assert listed_left_out(found.left_out) == "2 .env that may hold passwords"
    named = [tmp_path / name for name in (".bashrc", ".env", ".env.local", "prod.env")]
    assert list(find_files([*named, tmp_path / "sub"]).files) == named


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


def test_a_folder_that_may_not_be_opened_is_named_and_the_others_are_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "a/x.txt", "b/y.txt")
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # permissions do not bind the user that tests may run as
    found = find_files([tmp_path])
    assert found.files == (tmp_path / "b/y.txt",)
    (unread,) = found.unread
    assert unread.source == str(tmp_path / "a") and "cannot be opened: Permission denied" in unread.message


def test_what_is_not_read_is_counted_by_type(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt", "b.PNG", "c/d.png", "e.exe", "f", ".hidden.png", "x.lock", "no/g.png")
    (tmp_path / ".gitignore").write_text("no/\n", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(tmp_path / "gone.txt")
    found = find_files([tmp_path, tmp_path / "c"])
    assert found.left_out == {".png": 2, ".exe": 1, "no suffix": 1, "broken links": 1}
    assert listed_left_out(found.left_out) == "2 .png, 1 .exe, 1 with no suffix and 1 broken links"
    assert listed_left_out({".zip": 1200}) == "1,200 .zip"


def test_a_root_has_its_own_rules(tmp_path: Path) -> None:
    tree(tmp_path, "a/x.txt", "y.txt")
    (tmp_path / ".gitignore").write_text("a/\n", encoding="utf-8")
    assert find_files([tmp_path, tmp_path / "a"]).files == (tmp_path / "a/x.txt", tmp_path / "y.txt")


def test_the_folder_to_leave_alone_is_not_walked(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt", "index/store.sqlite", "index/b.txt")
    assert find_files([tmp_path, tmp_path / "index/b.txt"], outside=tmp_path / "index") == Found((tmp_path / "a.txt",))


@posix
def test_a_pipe_is_left_out_without_being_opened(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    os.mkfifo(tmp_path / ".gitignore")
    found = find_files([tmp_path])
    assert found.files == (tmp_path / "a.txt",) and found.left_out == {"pipes, sockets and devices": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_name_that_is_not_utf8_is_named_and_skipped(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt")
    (tmp_path / ".gitignore").write_text("*.x\n", encoding="utf-8")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))).touch()
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/b.\xe9"))).touch()
    found = find_files([tmp_path])
    assert found.files == (tmp_path / "a.txt",) and found.left_out == {".\ufffd": 1}
    (unread,) = found.unread
    assert unread.message.endswith("is not UTF-8") and "caf" in unread.source
    unread.source.encode()


def test_a_name_too_long_for_a_file_does_not_exist(tmp_path: Path) -> None:
    for name in ("x" * 300, "x/" * 3000, "a\0b"):
        with pytest.raises(PathNotFoundError):
            find_files([tmp_path / name])


@pytest.mark.skipif(sys.platform != "linux", reason="paths may have 4,096 chars on Linux alone")
def test_folders_nested_deeper_than_calls_may_are_walked(tmp_path: Path) -> None:
    deepest = tmp_path
    for _ in range(1500):
        deepest = deepest / "d"
        deepest.mkdir()
    (deepest / "x.txt").write_text("text", encoding="utf-8")
    began = time.perf_counter()
    assert find_files([tmp_path]).files == (deepest / "x.txt",)
    assert time.perf_counter() - began < 5
    while deepest != tmp_path:  # shutil.rmtree, by which pytest clears up, calls itself a folder
        for path in deepest.iterdir():
            path.unlink()
        deepest.rmdir()
        deepest = deepest.parent
