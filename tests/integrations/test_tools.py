"""The tools of an assistant on a real index, without the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ragyena import Document, Index
from ragyena.config import PipelineConfig
from ragyena.config.tools import READ_CHARS
from ragyena.errors import EmptyQuestionError, IndexNotFoundError, PathNotFoundError, UsageError
from ragyena.integrations.tools import Tools, answer_words, read_text
from ragyena.types import Silent

WHOLE = (None, None)


@pytest.fixture
def tools(small_index: Path, small_config: PipelineConfig) -> Iterator[Tools]:
    made = Tools(str(small_index), small_config)
    yield made
    made.close()


def test_an_answer_in_words_quotes_its_citations(tools: Tools) -> None:
    answer = tools.ask("When was the iron bridge built?")
    words = answer_words(answer)
    assert answer.answer and answer.citations and not answer.passages
    assert words.startswith(answer.answer) or words.startswith("- ")
    for number, citation in enumerate(answer.citations, 1):
        assert f"[{number}] {citation.document}, " in words
        assert f'"{citation.quote}"' in words
    with pytest.raises(EmptyQuestionError):
        tools.ask("?!")


def test_an_answer_that_is_not_found_shows_passages(small_index: Path, small_config: PipelineConfig) -> None:
    strict = small_config.model_copy(update={"reader": small_config.reader.model_copy(update={"threshold": 1.0})})
    tools = Tools(str(small_index), strict)
    answer = tools.ask("When was the iron bridge built?")
    tools.close()
    assert answer.answer is None and answer.passages
    doubtful = answer.closest is not None and answer.confidence < max(answer.closest.probability, 0.5)
    assert answer_words(answer).startswith("Not certain enough" if doubtful else "Not found in what was read")
    assert answer.passages[0].text in answer_words(answer)
    assert answer.closest is not None and answer.closest.citation.quote in answer_words(answer)


def test_search_gives_places_and_texts(tools: Tools) -> None:
    found = tools.search("iron bridge, or a lamp", 2)
    assert len(found.matches) == 2
    assert found.matches[0].document.endswith("bridge.md")
    assert found.matches[0].file_state == "unchanged"
    assert found.words().startswith(f"[1] {found.matches[0].document}, line")
    assert tools.search("xylophone", 5).words() == "Nothing in the index matches."


def test_files_are_listed_page_by_page(tools: Tools) -> None:
    first = tools.files(limit=3)
    second = tools.files(limit=3, offset=first.next_offset or 0)
    assert (first.total, first.next_offset, second.next_offset) == (5, 3, None)
    assert [Path(file.path).name for file in (*first.files, *second.files)] == [
        "bread.txt", "bridge.md", "lamp.txt", "museum.txt", "tea.txt",
    ]  # fmt: skip
    assert [Path(file.path).name for file in tools.files("LAMP").files] == ["lamp.txt"]
    assert "3 of 5 files; go on with offset=3" in first.words()


def test_lines_of_a_document(tools: Tools) -> None:
    read = tools.read("lamp.txt", lines=(2, 2))
    assert (read.text, read.line_start, read.line_end, read.lines) == ("Its keeper was Tom Marsh.\n", 2, 2, 2)
    assert read.next_start is None
    assert tools.read("lamp.txt", lines=(2, 9)).text == read.text, "a last line beyond the end is the end"
    for wrong in ({"lines": (3, None)}, {"lines": (2, 1)}, {"pages": (1, 1)}, {"lines": (1, 1), "start": 400}):
        with pytest.raises(UsageError):
            tools.read("lamp.txt", **wrong)  # type: ignore[arg-type]
    with pytest.raises(PathNotFoundError):
        tools.read("radio.txt")


def test_a_long_document_is_read_in_pieces_that_join() -> None:
    text = "".join(f"Line {number} of the long report.\n" for number in range(1, 2001)) + "x" * (2 * READ_CHARS)
    document = Document("long", text)
    pieces, start = [], None
    for _ in range(20):
        read = read_text(document, lines=WHOLE, pages=WHOLE, start=start)
        assert text[read.start : read.end] == read.text and 0 < len(read.text) <= READ_CHARS
        pieces.append(read.text)
        if (start := read.next_start) is None:
            break
    assert "".join(pieces) == text and start is None
    assert pieces[0].endswith("report.\n"), "a piece ends with a line where it can"


def test_pages_of_a_document() -> None:
    text = "First page.\nSecond page,\nwith two lines.\nThird page."
    document = Document("pages", text, page_starts=(0, 12, 41))
    read = read_text(document, lines=WHOLE, pages=(2, 2), start=None)
    assert (read.text, read.line_start, read.line_end, read.pages) == (text[12:41], 2, 3, 3)
    assert read_text(document, lines=WHOLE, pages=(2, None), start=None).text == text[12:]
    with pytest.raises(UsageError, match="no pages 4 to"):
        read_text(document, lines=WHOLE, pages=(4, None), start=None)
    with pytest.raises(UsageError, match="both"):
        read_text(document, lines=(1, 1), pages=(1, 1), start=None)


def test_the_lines_of_a_piece_are_those_of_its_file() -> None:
    piece = Document("long.txt#101", "Line 101.\nLine 102.\nLine 103.\n", first_line=101)
    read = read_text(piece, lines=(102, 103), pages=WHOLE, start=None)
    assert (read.text, read.line_start, read.line_end, read.lines) == ("Line 102.\nLine 103.\n", 102, 103, 103)
    assert read_text(piece, lines=WHOLE, pages=WHOLE, start=None).line_start == 101
    for outside in ((1, 5), (104, 105)):
        with pytest.raises(UsageError, match=r"no lines .* has lines 101 to 103"):
            read_text(piece, lines=outside, pages=WHOLE, start=None)


def test_additions_stay_in_the_allowed_folders(tmp_path: Path, small_config: PipelineConfig) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    for folder in (allowed, secret):
        folder.mkdir()
    (allowed / "tea.txt").write_text("Green tea is brewed at seventy degrees.", encoding="utf-8")
    (secret / "key.txt").write_text("The key is under the mat.", encoding="utf-8")
    (allowed / "innocent.txt").symlink_to(secret / "key.txt")
    (tmp_path / "way.out").symlink_to(allowed)
    tools = Tools(str(tmp_path / "index"), small_config, allowed=[allowed])
    for outside in (secret, secret / "key.txt", allowed / ".." / "secret", allowed / "innocent.txt", Path("/")):
        with pytest.raises(UsageError, match="may not be added") as refused:
            tools.add([str(outside)], Silent())
        assert str(allowed) in refused.value.hint
    with pytest.raises(IndexNotFoundError):
        tools.files()
    added = tools.add([str(allowed)], Silent())
    assert (added.added, added.documents) == (1, 1)
    assert [failure.path for failure in added.not_added] == [str(allowed / "innocent.txt")]
    assert [file.path for file in tools.files().files] == [str(allowed / "tea.txt")]
    assert tools.add([str(tmp_path / "way.out" / "tea.txt")], Silent()).documents == 1
    (allowed / "bread.txt").write_text("Sour dough rests for twelve hours.", encoding="utf-8")
    assert tools.add([str(allowed / "bread.txt")], Silent()).added == 1
    assert tools.search("dough", 1).matches[0].document == str(allowed / "bread.txt")
    tools.close()


def test_tools_answer_from_what_others_write(tmp_path: Path, small_config: PipelineConfig) -> None:
    folder = tmp_path / "index"
    with Index.create(folder, settings=small_config) as index:
        index.add({"tea": "Green tea is brewed at seventy degrees."})
        tools = Tools(str(folder), small_config)
        assert tools.files().total == 1
        tools.ask("How hot is green tea brewed?")
        index.add({"bread": "Sour dough rests for twelve hours."})
    assert tools.files().total == 2
    Index.rebuild(folder, settings=small_config)
    assert tools.search("dough", 1).matches[0].document == "bread"
    assert tools.read("bread").text.startswith("Sour dough")
    assert tools.ask("How long does the dough rest?").citations
    tools.close()
