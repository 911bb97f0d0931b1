"""Aliases: choosing a name, replacing it, defining the alias."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragyena.data.alias import definition, invent, names, put_into, question_name, renamed

BRIDGE = "The bridge over the Moldau was built by Ada Stone in 1932. Stone came from Oldtown."


@pytest.mark.parametrize(
    ("question", "answers", "name"),
    [
        ("When did Ada Stone build it?", ["1932"], "Ada Stone"),
        ("What did the engineer Stone build?", ["bridge"], "Stone"),
        ("Who built the bridge over the Moldau?", ["Ada Stone"], "Moldau"),
        ("Who was Ada Stone?", ["Stone"], None),  # hiding the answer is no hop
        ("When was it built?", ["1932"], None),
        ("When did Tom Marsh build it?", ["1932"], None),  # no name of the passage
        ("Moldau is crossed by what?", ["bridge"], "Moldau"),  # the first word, a name inside a sentence
        ("Bridge over which river?", ["the Moldau"], None),  # the first word, in lower case in the passage
        ("In May, who was Stone?", ["bridge"], "Stone"),  # months name nothing
    ],
)
def test_the_name_that_an_alias_replaces(question: str, answers: list[str], name: str | None) -> None:
    assert question_name(question, [BRIDGE], answers) == name


def test_names_by_their_looks() -> None:
    assert list(names(BRIDGE)) == ["Moldau", "Ada Stone", "Stone", "Oldtown"]
    assert list(names("The river is long. Trees stand there. He met Trees of Oldtown.")) == [
        "Trees",
        "Trees of Oldtown",
    ]
    assert list(names("nothing here, 1932")) == []


def test_an_alias_replaces_whole_words_alone() -> None:
    assert renamed("Was Stone's father a Stonecutter like Stone?", "Stone", "Zora") == (
        "Was Zora's father a Stonecutter like Zora?"
    )
    assert definition("Zora", "Ada Stone") == "Zora is another name for Ada Stone."


@given(st.integers(0, 1000))
def test_an_invented_name_is_new(seed: int) -> None:
    alias = invent(random.Random(seed), [BRIDGE])
    assert alias[0].isupper() and alias.isalpha() and alias.lower() not in BRIDGE.lower()
    assert invent(random.Random(seed), [BRIDGE]) == alias
    assert invent(random.Random(seed), [BRIDGE, f"a {alias.upper()}s b"]) != alias


def test_a_definition_stands_between_sentences() -> None:
    texts = {put_into(BRIDGE, "X.", random.Random(seed)) for seed in range(30)}
    first, second = BRIDGE.split(". ")
    assert texts == {f"X. {BRIDGE}", f"{first}. X. {second}", f"{BRIDGE} X."}
