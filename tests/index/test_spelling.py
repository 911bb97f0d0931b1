"""Misspelt words of a query: which are put right, and which are left as they are."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena import Index

TEXTS = {
    "iron": "The iron bridge was built by Ingrid Lindqvist in 1932, of electrically welded plates.",
    "parliament": "The parliament meets in Gävle; its architecture is younger than the government.",
    "tea": "Brew the tea at 70 degrees and never boil it. Order your tea from the warehouse in Brno.",
}
WORDS = ("bridge", "Lindqvist", "parliament", "architecture", "government", "degrees", "warehouse")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with Index.create(tmp_path_factory.mktemp("spelling") / "index") as made:
        made.add(TEXTS)
        yield made


@pytest.mark.parametrize(
    ("query", "searched"),
    [
        ("Who bulit the brigde?", "Who built the bridge?"),  # two letters swapped
        ("the parliment of Gavle", "the parliament of Gavle"),  # one left out
        ("LINDQVISTT", "LINDQVIST"),  # one added; capitals stay
        ("Archotecture of the Governmant", "Architecture of the Government"),  # the wrong key
        ("electricaly welded", "electrically welded"),
        ("grown-up brigde, brigde!", "grown-up bridge, bridge!"),  # each place, the rest as it is
    ],
)
def test_a_misspelt_word_is_put_right(index: Index, query: str, searched: str) -> None:
    assert index.spelt(query) == searched


@pytest.mark.parametrize(
    "query",
    [
        "Who built the bridge in Gävle?",
        "bridges building governments",  # other forms of words of the index
        "fridge border wired",  # English words that no passage holds, though one letter from one it does
        "teh tae ta",  # too short to tell
        "1923 B7idge x86_64",  # numbers and codes
        "Brücke мост 橋 ouagadougou",  # nothing near
        "brgd arlimnt",  # two errors
        "",
    ],
)
def test_other_words_stay(index: Index, query: str) -> None:
    assert index.spelt(query) == query


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_one_error_anywhere_after_the_first_letter_is_found(index: Index, data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(WORDS))
    place = data.draw(st.integers(1, len(word) - 1))
    letter = data.draw(st.sampled_from(string.ascii_lowercase))
    kind = data.draw(st.sampled_from(["left out", "added", "exchanged", "swapped"]))
    wrong = {
        "left out": word[:place] + word[place + 1 :],
        "added": word[:place] + letter + word[place:],
        "exchanged": word[:place] + letter + word[place + 1 :],
        "swapped": word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :],
    }[kind]
    searched = index.spelt(wrong)
    best = index.search(wrong, k=1, settings={"retriever.mode": "lexical"})
    right = index.search(word, k=1, settings={"retriever.mode": "lexical"})[0].passage
    # Either the index holds the string, or it is an English word, or the passage of the right word is found.
    assert (best and best[0].passage == right) or searched == wrong


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_query_and_nothing_but_words_changes(index: Index, query: str) -> None:
    query = query.encode("utf-8", "replace").decode()
    searched = index.spelt(query)
    assert [c for c in searched if not c.isalpha()] == [c for c in query if not c.isalpha()]


def test_searches_use_it_unless_it_is_off(index: Index) -> None:
    for mode in ("lexical", "dense", "hybrid"):
        setting = {"retriever.mode": mode}
        wrong, right = (
            index.search(q, k=3, settings=setting) for q in ("Lindqivst parlaiment", "Lindqvist parliament")
        )
        assert wrong == right
    off = {"retriever.mode": "lexical", "retriever.spelling": False}
    assert index.search("Lindqivst parlaiment", settings=off) == []
    assert index.spelt("Lindqivst", settings=off) == "Lindqivst"


def test_words_added_later_count(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index") as index:
        index.add({"tea": TEXTS["tea"]})
        assert index.spelt("the brigde") == "the brigde"
        index.add({"iron": TEXTS["iron"]})
        assert index.spelt("the brigde") == "the bridge"
        index.remove("iron")
        assert index.spelt("the brigde") == "the brigde"
