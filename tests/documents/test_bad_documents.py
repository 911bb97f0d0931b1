"""Files that cannot be used: each error names the file and gives a hint."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from document_samples import SAMPLES

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import PathNotFoundError, RagyenaError, UnreadableDocumentError
from ragyena.types import Skipped

CONFIG = IndexConfig()


def refused(path: Path, *words: str, kind: type[RagyenaError] = UnreadableDocumentError) -> RagyenaError:
    """The error that loading ``path`` raises; checks that it names the file, contains ``words`` and has a hint."""
    with pytest.raises(kind) as caught:
        list(load(path, CONFIG))
    error = caught.value
    assert path.name in error.message
    assert error.hint
    assert "\n" not in str(error)
    for word in words:
        assert word in str(error), str(error)
    return error


def test_missing(tmp_path: Path) -> None:
    refused(tmp_path / "no.txt", "does not exist", kind=PathNotFoundError)


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder")


@pytest.mark.parametrize("suffix", sorted(SAMPLES))
def test_empty(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"")
    refused(path, "is empty")


@pytest.mark.parametrize(("suffix", "content"), [(".txt", "  \n\t\n"), (".html", "<html><nav>Home</nav></html>")])
def test_without_text(tmp_path: Path, suffix: str, content: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text(content, encoding="utf-8")
    refused(path, "holds no text")


def test_rows_without_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"title": "A", "text": ""}\n', encoding="utf-8")
    refused(path, "line 1", "has no text")


@pytest.mark.parametrize("suffix", [".txt", ".md", ".csv", ".jsonl", ".html", ".py"])
@pytest.mark.parametrize("seed", range(3))
def test_binary_junk_in_the_guise_of_text(tmp_path: Path, suffix: str, seed: int) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(random.Random(seed).randbytes(5000))
    refused(path, "binary data")


def test_a_program_named_txt(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"some strings in it, enough to look like text" * 20)
    refused(path, "binary data")


@pytest.mark.parametrize("suffix", [".pdf", ".docx", ".pptx", ".xlsx"])
@pytest.mark.parametrize("damage", ["junk", "half", "text"])
def test_damaged(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"a{suffix}"
    SAMPLES[suffix](path)
    content = path.read_bytes()
    broken = {"junk": os.urandom(4000), "half": content[: len(content) // 3], "text": b"I am no such file.\n" * 9}
    path.write_bytes(broken[damage])
    if suffix == ".pdf" and damage == "half":  # pypdf rebuilds what it can: pages, or an error that says why not
        try:
            list(load(path, CONFIG))
        except UnreadableDocumentError as error:
            assert path.name in error.message
        return
    refused(path, "damaged")


def test_an_office_file_that_is_a_zip_of_something_else(tmp_path: Path) -> None:
    from zipfile import ZipFile

    for suffix in (".docx", ".pptx", ".xlsx"):
        path = tmp_path / f"a{suffix}"
        with ZipFile(path, "w") as archive:
            archive.writestr("hello.txt", "hello")
        refused(path, "damaged")


def test_a_password_protected_office_file(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2000))
    refused(path, "encrypted", "password")


def test_an_office_file_that_unpacks_without_bound(tmp_path: Path) -> None:
    from zipfile import ZIP_DEFLATED, ZipFile

    path = tmp_path / "a.docx"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(25_000_000))
    with pytest.raises(UnreadableDocumentError, match="unpacks to 25 MB"):
        list(load(path, IndexConfig(max_file_mb=1)))


def test_an_encrypted_pdf(tmp_path: Path) -> None:
    from pypdf import PdfWriter

    plain = tmp_path / "plain.pdf"
    SAMPLES[".pdf"](plain)
    writer = PdfWriter(clone_from=plain)
    writer.encrypt("secret", algorithm="AES-256")
    path = tmp_path / "locked.pdf"
    writer.write(path)
    refused(path, "encrypted", "qpdf --decrypt")


def test_larger_than_the_limit_is_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    refused(path, "200.0 MB", "limit of 100 MB", "max_file_mb")


@pytest.mark.parametrize("suffix", [".doc", ".zip", ".xyz", ""])
def test_unknown_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("text", encoding="utf-8")
    refused(path, "not supported")


def test_a_bad_line_of_jsonl_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\n\n{"text": "cut off\n[1, 2]\n{"text": "fine"}\n', encoding="utf-8")
    first, cut, array, last = load(path, CONFIG)
    assert (first.source, last.source) == (f"{path}#1", f"{path}#5")
    assert isinstance(cut, Skipped) and isinstance(array, Skipped)
    assert "line 3 is not JSON" in cut.message and cut.hint
    assert cut.source == f"{path}#3"
    assert "line 4 is a JSON list" in array.message


def test_a_file_of_bad_lines_alone_is_refused_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("[" * 100_000 + "\n{\n", encoding="utf-8")
    refused(path, "line 1")


def test_broken_json_notebook(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text("{", encoding="utf-8")
    refused(path, "damaged")


def test_a_pipe_is_not_waited_on(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    os.mkfifo(path)
    refused(path, "not a regular file")


@pytest.fixture
def no_privileges() -> Iterator[Path]:
    """A folder, used as somebody to whom permissions apply."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            folder.chmod(0o755)
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
            try:
                yield folder
            finally:
                os.seteuid(0)
        else:
            yield folder


def test_no_permission(no_privileges: Path) -> None:
    path = no_privileges / "a.txt"
    path.write_text("text", encoding="utf-8")
    path.chmod(0)
    refused(path, "no permission")


def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\xff.txt")
    path.write_text("text", encoding="utf-8")
    with pytest.raises(UnreadableDocumentError, match="not UTF-8"):
        list(load(path, CONFIG))
