"""The process that reads documents: budgets, crashes, streams, and what passes between it and its user."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ragyena.config import IndexConfig
from ragyena.documents import formats, loading
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Block, Document, Heading, Skipped

pytestmark = pytest.mark.timeout(120)

HOSTILE = """
import ctypes, logging, os, sys, time
from ragyena.documents.decoding import read_text
from ragyena.documents.text_builder import TextBuilder
from ragyena.types import Block, Document, Heading, Skipped

SUFFIXES, WAY_OUT = (".hostile",), {}

def load(path, config):
    what = read_text(path).split()
    builder = TextBuilder()
    if what[0] == "sleep":
        time.sleep(1000)
    elif what[0] == "regex":
        import re
        re.search("(a+)+b", "a" * 60)
    elif what[0] == "crash":
        ctypes.string_at(0)
    elif what[0] == "memory":
        parts = []
        while True:
            parts.append(bytearray(10_000_000))
    elif what[0] == "memory-slowly":
        parts = []
        while True:
            parts.append(b"x" * 1_000_000)
            time.sleep(0.001)
    elif what[0] == "files":
        import tempfile
        with tempfile.NamedTemporaryFile() as file:
            logging.getLogger("ragyena.x").warning("%s", file.name)
            time.sleep(1000)
    elif what[0] == "chars":
        while True:
            builder.block("word " * 10_000)
    elif what[0] == "cells":
        while True:
            builder.table([["a"] * 1000] * 10)
    elif what[0] == "pages":
        while True:
            builder.page()
            builder.block("a page")
    elif what[0] == "rows":
        for row in range(int(what[1])):
            if row == 3:
                yield Skipped(f"{path}#{row}", "row 3 is bad", "mend it")
            else:
                yield Document(f"{path}#{row}", f"row {row}", "a row", metadata={"n": str(row)})
            time.sleep(float(what[2]) if len(what) > 2 else 0)
        return
    elif what[0] == "loud":
        print("to stdout")
        os.write(1, b"to the descriptor")
        print("to stderr", file=sys.stderr)
        logging.getLogger("ragyena.documents.formats.hostile").warning("page %d is torn", 7)
        logging.getLogger("other").warning("of no interest")
    elif what[0] == "odd":
        yield Document(
            str(path), "half \\ud83d an emoji", "t\\ud800", (0,), headings=(Heading(0, 1, "h\\ud800"),),
            metadata={"k\\ud800": "v"}, blocks=(Block(0, 4, "table", ("c\\ud800",)),), page_labels=("p\\ud800",),
        )
        return
    builder.block("The pid is " + str(os.getpid()))
    yield builder.document(path)
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder; files of it that end in .hostile make their reader do what they say."""
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    formats.all_formats.cache_clear()
    formats._by_suffix.cache_clear()
    yield tmp_path
    formats.all_formats.cache_clear()
    formats._by_suffix.cache_clear()
    sys.modules.pop(f"{formats.__name__}.hostile", None)


def make(folder: Path, what: str) -> Path:
    path = folder / f"{what.split()[0]}.hostile"
    path.write_text(what, encoding="utf-8")
    return path


def read(path: Path, **settings: int) -> list[Document | Skipped]:
    return list(load(path, IndexConfig(**settings)))


def pid(folder: Path) -> int:
    (document,) = read(make(folder, "pid"))
    assert isinstance(document, Document)
    return int(document.text.split()[-1])


@pytest.mark.parametrize("what", ["sleep", "regex"])
def test_a_document_that_does_not_finish_is_given_up_by_name(hostile: Path, what: str) -> None:
    first = pid(hostile)
    path = make(hostile, what)
    began = time.perf_counter()
    with pytest.raises(UnreadableDocumentError) as caught:
        read(path, max_document_seconds=1)
    assert time.perf_counter() - began < 20
    assert str(path) in caught.value.message and "within 1 s" in caught.value.message
    assert "index.max_document_seconds" in caught.value.hint
    assert not psutil.pid_exists(first)
    assert pid(hostile) not in (first, os.getpid())


@pytest.mark.parametrize("what", ["memory", "memory-slowly"])
def test_a_document_that_takes_too_much_memory_is_given_up_by_name(hostile: Path, what: str) -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(make(hostile, what), max_document_memory_mb=300)
    assert "more than 300 MB of memory" in caught.value.message
    assert "index.max_document_memory_mb" in caught.value.hint
    assert pid(hostile)


@pytest.mark.parametrize(
    ("what", "limit", "words"),
    [("chars", 1_000_000, "characters of text"), ("cells", 50_000, "table cells"), ("pages", 100, "pages")],
)
def test_a_document_with_too_much_in_it_is_given_up_by_name(hostile: Path, what: str, limit: int, words: str) -> None:
    path = make(hostile, what)
    with pytest.raises(UnreadableDocumentError) as caught:
        read(path, **{f"max_document_{what}": limit})
    assert caught.value.message == f"{path} holds more than {limit:,} {words}"
    assert f"index.max_document_{what}" in caught.value.hint


def test_a_text_file_has_the_budget_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * 100, encoding="utf-8")
    with pytest.raises(UnreadableDocumentError, match="more than 499 characters"):
        read(tmp_path / "a.txt", max_document_chars=499)
    assert len(read(tmp_path / "a.txt", max_document_chars=500)) == 1


def test_files_that_a_reader_made_go_with_it(hostile: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(UnreadableDocumentError):
        read(make(hostile, "files"), max_document_seconds=2)
    (made,) = caplog.messages
    assert not Path(made).parent.exists()


def test_a_crash_of_a_parser_is_named_and_the_next_document_read(hostile: Path) -> None:
    with pytest.raises(UnreadableDocumentError, match=rf"crash \(code -{signal.SIGSEGV:d}\)"):
        read(make(hostile, "crash"))
    assert pid(hostile)


def test_one_process_reads_many_documents(hostile: Path) -> None:
    assert len({pid(hostile) for _ in range(5)}) == 1


def test_rows_stream_and_have_their_budget_each(hostile: Path) -> None:
    path = make(hostile, "rows 8 0.4")
    began = time.perf_counter()
    documents = load(path, IndexConfig(max_document_seconds=2))
    assert next(documents) == Document(f"{path}#0", "row 0", "a row", metadata={"n": "0"})
    assert time.perf_counter() - began < 60
    time.sleep(2.5)  # a user that takes long is no fault of the document
    rest = list(documents)
    assert len(rest) == 7 and rest[2] == Skipped(f"{path}#3", "row 3 is bad", "mend it")


def test_many_rows_do_not_wait_for_each_other_to_be_taken(hostile: Path) -> None:
    assert len(read(make(hostile, "rows 6000"))) == 6000  # in five minutes if each waited to be sent


def test_two_files_can_be_read_in_turns_and_one_be_left(hostile: Path) -> None:
    path = make(hostile, "rows 1000")
    pairs = list(zip(load(path, IndexConfig()), load(path, IndexConfig())))
    assert len(pairs) == 1000 and all(a == b for a, b in pairs)
    some = load(path, IndexConfig())
    next(some)
    some.close()  # type: ignore[attr-defined]
    assert len(read(path)) == 1000


def test_what_parsers_print_is_dropped_and_warnings_of_ours_are_passed_on(
    hostile: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(read(make(hostile, "loud"))) == 1
    assert caplog.record_tuples == [("ragyena.documents.formats.hostile", logging.WARNING, "page 7 is torn")]
    assert capfd.readouterr() == ("", "")


def test_every_field_arrives_spelt_in_unicode(hostile: Path) -> None:
    path = make(hostile, "odd")
    assert read(path) == [
        Document(
            str(path),
            "half \ufffd an emoji",
            "t\ufffd",
            (0,),
            headings=(Heading(0, 1, "h\ufffd"),),
            metadata={"k\ufffd": "v"},
            blocks=(Block(0, 4, "table", ("c\ufffd",)),),
            page_labels=("p\ufffd",),
        )
    ]


def test_the_process_ends_with_the_one_that_uses_it(hostile: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from ragyena.documents import formats\n"
        f"formats.__path__.append({str(hostile / 'formats')!r})\n"
        "from ragyena.documents.loading import load\nfrom ragyena.config import IndexConfig\n"
        f"print(next(load(Path({str(make(hostile, 'pid'))!r}), IndexConfig())).text.split()[-1], flush=True)\n"
        "HOW"
    )
    for how in ("", f"next(load(Path({str(make(hostile, 'sleep'))!r}), IndexConfig()))"):
        with subprocess.Popen([sys.executable, "-c", code.replace("HOW", how)], stdout=subprocess.PIPE) as user:
            assert user.stdout is not None
            reader = int(user.stdout.readline())
            if how:
                time.sleep(0.5)
                user.kill()
        deadline = time.monotonic() + 10
        while psutil.pid_exists(reader) and psutil.Process(reader).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "it goes on by itself"
            time.sleep(0.05)


def test_a_process_that_cannot_start_is_an_error_with_the_way_to_learn_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("text", encoding="utf-8")
    monkeypatch.setattr(loading, "_idle", [])
    monkeypatch.setattr(loading, "_START", "raise SystemExit(3)")
    with pytest.raises(Exception, match=r"cannot start: it ended with code 3 \(RAGYENA_DEBUG=1"):
        read(tmp_path / "a.txt")


def test_reading_loads_no_torch() -> None:
    code = "import sys, ragyena.documents.worker; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
