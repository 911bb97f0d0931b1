"""Passages cover a document exactly, fill their slots, and are cut at borders of the text."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_strategies import wild_text

from ragyena import recipes
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.types import Block, Document, Heading, Passage

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))
SENTENCE = "The lighthouse keeper climbed the winding stairs of the old tower every single evening."  # 15 tokens


def check(document: Document, passages: list[Passage], passage_tokens: int) -> None:
    """Assert the properties that every split has."""
    text = document.text
    position = 0
    for passage in passages:
        assert text[passage.start : passage.end] == passage.text
        assert passage.text and passage.text == passage.text.strip()
        assert not text[position : passage.start].strip(), "a char is in no passage, or in two"
        assert position <= passage.start
        assert passage.line_start == text.count("\n", 0, passage.start) + 1
        assert passage.line_end == passage.line_start + passage.text.count("\n")
        if document.page_starts:
            assert passage.page == max(1, sum(start <= passage.start for start in document.page_starts))
            assert not any(passage.start < start < passage.end for start in document.page_starts)
        position = passage.end
    assert not text[position:].strip()
    for count, passage in zip(TOKENIZER.count_batch([p.text for p in passages]), passages, strict=True):
        assert count <= passage_tokens or len(passage.text) == 1


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(wild_text)
    offsets = st.lists(st.integers(0, len(text)), max_size=4, unique=True).map(sorted)
    pages = draw(offsets)
    heads = [start for start in draw(offsets) if start < len(text)]
    return Document(
        source="s",
        text=text,
        title="T",
        page_starts=(0, *(page for page in pages if page)) if pages else (),
        headings=tuple(Heading(start, draw(st.integers(1, 3)), f"h{start}") for start in heads),
    )


@settings(max_examples=300, deadline=None)
@given(documents(), st.sampled_from([16, 17, 40, 200]))
def test_passages_cover_any_document_exactly(document: Document, passage_tokens: int) -> None:
    check(document, split(document, TOKENIZER, passage_tokens), passage_tokens)


def test_a_blank_document_has_no_passages() -> None:
    for text in ("", " \n\t "):
        assert split(Document("s", text), TOKENIZER, 200) == []


def test_a_short_document_is_one_passage() -> None:
    document = Document("s", f"\n\n{SENTENCE}\n{SENTENCE}\n", "Title", metadata={"year": "1882"})
    (passage,) = split(document, TOKENIZER, 200)
    assert (passage.start, passage.line_start, passage.line_end, passage.page) == (2, 3, 4, None)
    assert (passage.title, passage.source, passage.metadata) == ("Title", "s", {"year": "1882"})


def test_prose_is_cut_at_sentences_and_fills_its_slots() -> None:
    document = Document("s", f"{SENTENCE} " * 400)
    passages = split(document, TOKENIZER, 200)
    check(document, passages, 200)
    assert all(passage.text.endswith("evening.") and passage.text.startswith("The ") for passage in passages)
    assert len(passages) == -(-400 // 13)  # 13 sentences of 15 tokens are all that 200 tokens hold


def test_paragraphs_stay_whole_where_that_costs_little() -> None:
    paragraph = " ".join([SENTENCE] * 6)  # 90 tokens
    document = Document("s", "\n\n".join([paragraph] * 20))
    assert [passage.text for passage in split(document, TOKENIZER, 200)] == [f"{paragraph}\n\n{paragraph}"] * 10


def test_the_rest_is_shared_out_rather_than_left_over() -> None:
    document = Document("s", f"{SENTENCE} " * 16)  # 240 tokens: two passages
    first, second = split(document, TOKENIZER, 200)
    assert 0.5 < len(first.text) / len(second.text) < 2


def sections(level: int, sizes: list[int]) -> Document:
    """One heading a section, each over so many sentences."""
    text, headings = "", []
    for number, size in enumerate(sizes):
        headings.append(Heading(len(text), level, f"Part {number}"))
        text += "#" * level + f" Part {number}\n\n" + f"{SENTENCE} " * size + "\n\n"
    return Document("s", text, headings=tuple(headings))


@pytest.mark.parametrize("level", [1, 2])
def test_sections_of_some_length_have_passages_of_their_own(level: int) -> None:
    document = sections(level, [8, 9, 20])
    passages = split(document, TOKENIZER, 200)
    check(document, passages, 200)
    for before, after in pairwise(h.start for h in document.headings):
        assert any(before == passage.start for passage in passages)
        assert not any(passage.start < after < passage.end for passage in passages)
    assert [passage.heading_path for passage in passages][:2] == [("Part 0",), ("Part 1",)]


@pytest.mark.parametrize("level", [1, 2])
def test_short_sections_share_a_passage(level: int) -> None:
    document = sections(level, [2] * 12)
    passages = split(document, TOKENIZER, 200)
    check(document, passages, 200)
    (total,) = TOKENIZER.count_batch([document.text])
    assert len(passages) == -(-total // 200)
    assert all(passage.text.startswith("#") for passage in passages)


def test_a_heading_is_not_parted_from_its_text() -> None:
    document = sections(2, [12] * 8)
    for passage in split(document, TOKENIZER, 200):
        assert not passage.text.splitlines()[-1].startswith("#")


def test_heading_paths_nest() -> None:
    text = f"# A\n\n## B\n\n{SENTENCE * 14}\n\n### C\n\n{SENTENCE * 12}\n\n## D\n\n{SENTENCE * 12}\n"
    headings = tuple(
        Heading(text.index(f"{'#' * level} {name}\n"), level, name)
        for level, name in ((1, "A"), (2, "B"), (3, "C"), (2, "D"))
    )
    paths = [passage.heading_path for passage in split(Document("s", text, headings=headings), TOKENIZER, 200)]
    assert paths[0] == ("A",)
    assert ("A", "B", "C") in paths
    assert paths[-1] == ("A", "D")


def test_a_passage_lies_on_one_page() -> None:
    text = f"{SENTENCE}\n\n{SENTENCE}\n\n\n\n{SENTENCE}"
    starts = (0, len(SENTENCE) + 2, 2 * len(SENTENCE) + 4, 2 * len(SENTENCE) + 6)
    passages = split(Document("s", text, page_starts=starts), TOKENIZER, 200)
    assert [passage.page for passage in passages] == [1, 2, 4]


def test_a_sentence_too_long_is_cut_at_clauses() -> None:
    clause = "the keeper of the tower climbed the stairs"
    document = Document("s", ", ".join([clause] * 100))
    passages = split(document, TOKENIZER, 200)
    check(document, passages, 200)
    assert all(passage.text.rstrip(",").endswith("stairs") for passage in passages)


def test_lines_of_a_table_or_a_program_stay_whole() -> None:
    rows = [f"{number} | Eddystone tower | {1698 + number} | granite" for number in range(300)]
    document = Document("s", "\n".join(rows))
    for passage in split(document, TOKENIZER, 100):
        assert set(passage.text.split("\n")) <= set(rows)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 400_000,
        "灯" * 120_000,
        "a. " * 120_000,
        "x=1;" * 100_000,
        "----\n" * 80_000,
        f"{SENTENCE} " * 4_400,
        " " * 200_000 + "a" + "\n" * 200_000,
        "\u200b" * 200_000,
        "등대" * 20_000,
    ],
    ids=["one word", "CJK", "tiny sentences", "minified", "rules", "prose", "space", "invisible", "Hangul"],
)
def test_a_large_document_takes_seconds_whatever_it_is(text: str) -> None:
    document = Document("s", text)
    begin = time.process_time()
    passages = split(document, TOKENIZER, 200)
    assert time.process_time() - begin < 8, "about a second of one core; quadratic ways take minutes"
    assert "".join("".join(p.text.split()) for p in passages) == "".join(text.split())
    assert max(len(passage.text) for passage in passages) <= 200 * 24


def test_many_headings_take_seconds() -> None:
    text = "# a\n" * 30_000
    document = Document("s", text, headings=tuple(Heading(4 * i, 1, "a") for i in range(30_000)))
    begin = time.process_time()
    assert split(document, TOKENIZER, 200)
    assert time.process_time() - begin < 20


HOSTILE = {
    "dots": ".",
    "dots and spaces": ". ",
    "text without spaces": "漢字仮名交",
    "wide stops": "。",
    "one line of spaces": " ",
    "blank lines": "\n",
    "one letter": "a",
    "accents": "\u0301",
    "lines of a letter": "a \n",
    "sentences of a letter": "A. ",
    "quotes": '."',
}


@pytest.mark.parametrize("part", HOSTILE.values(), ids=HOSTILE.keys())
def test_time_and_memory_are_linear_in_the_length(part: str) -> None:
    def seconds(length: int) -> float:
        text = "a" + part * (length // len(part)) + " b"
        began = time.process_time()
        passages = split(Document("x", text), TOKENIZER, 200)
        taken = time.process_time() - began
        assert sum(len("".join(p.text.split())) for p in passages) == len("".join(text.split()))
        return taken

    seconds(10_000)
    short, long = seconds(60_000), seconds(300_000)
    assert long < 15 * short + 1  # five times as long


@pytest.mark.slow
@pytest.mark.parametrize("part", HOSTILE.values(), ids=HOSTILE.keys())
def test_three_megabytes_of_anything_take_less_than_a_gigabyte(part: str) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom ragyena import recipes\n"
        "from ragyena.documents.passages import split\nfrom ragyena.documents.tokenizer import Tokenizer\n"
        "from ragyena.types import Document\n"
        "tokenizer, part = Tokenizer.from_folder(recipes.asset('reader')), sys.argv[1]\n"
        "split(Document('x', 'a' + part * (3_000_000 // len(part.encode())) + ' b'), tokenizer, 200)\n"
        # not getrusage's: that is never less than what the process had that started this one
        "print(next(x for x in Path('/proc/self/status').read_text().splitlines() if 'VmHWM' in x).split()[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, part], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 1_000_000, "kilobytes"


def test_headings_nested_without_end_give_short_paths() -> None:
    text = "\n".join(f"h{i}\ntext" for i in range(2000))
    headings = tuple(Heading(text.index(f"h{i}\n"), i + 1, f"h{i}") for i in range(2000))
    passages = split(Document("x", text, headings=headings), TOKENIZER, 200)
    assert max(len(passage.heading_path) for passage in passages) == 12
    assert passages[-1].heading_path[-1].startswith("h")


def test_no_row_of_a_table_is_cut_where_a_passage_holds_it() -> None:
    names = ("Article no.", "Model", "Price excl. VAT", "Remark")
    rows = [
        f"Article no.: TR-{number}; Model: Trailer {number}; Price excl. VAT: {number}9; Remark: Sold out. Ask again."
        for number in range(40)
    ]
    text = "Prices\n\n" + "\n".join(rows)
    document = Document("a", text, headings=(Heading(0, 1, "Prices"),), blocks=(Block(8, len(text), "table", names),))
    passages = split(document, TOKENIZER, 100)
    assert len(passages) > 10
    assert [line for passage in passages for line in passage.text.splitlines() if line.startswith("Art")] == rows


def test_a_row_longer_than_a_passage_is_cut_at_its_sentences() -> None:
    text = "Name: Mill; Report: " + " ".join([SENTENCE] * 12) + "\nName: Barn; Report: none"
    passages = split(Document("a", text, blocks=(Block(0, len(text), "table"),)), TOKENIZER, 100)
    assert len(passages) > 1
    assert all(passage.text.endswith(".") for passage in passages[:-1])


def test_settings_are_cut_before_the_key_that_they_belong_to() -> None:
    groups = [f"group_{i}:\n  size: {i}\n  limits:\n    - soft: {i}\n    - hard: {i}" for i in range(12)]
    text = "\n".join(groups)
    passages = split(Document("a.yaml", text, blocks=(Block(0, len(text), "code"),)), TOKENIZER, 100)
    assert len(passages) > 2
    assert all(passage.text.startswith("group_") for passage in passages)


def test_a_heading_is_not_parted_from_the_heading_below_it() -> None:
    counts = [1, 3, 4, 2, 5, 1, 3, 3, 6, 2, 4, 1, 5]
    sections = [f"## Version {i}\n### Fixed\n" + f"- {SENTENCE}\n" * count for i, count in enumerate(counts)]
    text = "# Changes\n\n" + "\n".join(sections)
    found = re.finditer(r"^(#+) (.*)", text, re.MULTILINE)
    headings = tuple(Heading(match.start(), len(match[1]), match[2]) for match in found)
    for passage in split(Document("a.md", text, headings=headings), TOKENIZER, 100):
        assert "### Fixed" not in passage.text.splitlines()[0]


def test_a_comment_stays_with_the_setting_that_it_explains() -> None:
    groups = [f"# {SENTENCE}\n# {SENTENCE}\nkeep_{i} = {i}\n" for i in range(12)]
    text = "\n".join(groups)
    passages = split(Document("a.toml", text, blocks=(Block(0, len(text), "code"),)), TOKENIZER, 100)
    assert len(passages) > 2
    assert all(passage.text.startswith("# ") and "keep_" in passage.text for passage in passages)


def test_blank_lines_at_the_end_of_code_are_passed_over_once() -> None:
    text = "keep = 1\n" + "    \n" * 20_000
    began = time.process_time()
    passages = split(Document("a.toml", text, blocks=(Block(0, len(text), "code"),)), TOKENIZER, 100)
    assert time.process_time() - began < 10
    assert "keep = 1" in passages[0].text
