"""Perturbations: questions that their passage no longer answers."""

from __future__ import annotations

import random
import re

import pytest

from ragyena.train.augment.perturb import Perturber

TEXT = (
    "Anna Weber founded the Salzburg Observatory in 1872 with her own money. The observatory was led by Weber until "
    "her death on 3 May 1901, when it held 412 instruments. In 1902 the city of Salzburg took it over."
)
NEAR = {"money": ("silver", "instruments"), "city": ("village",)}


def perturbed(question: str, answer: str = "1872", times: int = 200) -> set[str | None]:
    perturber = Perturber(["Carl Gauss", "Lisbon"], NEAR)
    return {perturber.perturbed(question, TEXT, answer, random.Random(seed)) for seed in range(times)}


def test_a_perturbed_question_differs_and_is_unanswerable() -> None:
    original = "When did Anna Weber first found the observatory?"
    results = perturbed(original)
    assert original not in results and None not in results
    assert "When did Carl Gauss first found the observatory?" in results
    assert "When did Anna Weber last found the observatory?" in results
    assert "When didn't Anna Weber first found the observatory?" in results


def test_a_word_of_the_passage_becomes_another_near_it() -> None:
    results = perturbed("What city took over her money?", answer="Salzburg")
    assert {"What village took over her money?", "What city took over her silver?"} <= results
    assert not any(other and "silver" in other for other in perturbed("Who had money?", answer="silver"))


@pytest.mark.parametrize(
    ("original", "opposite"),
    [
        ("Who accelerates it?", "Who decelerates it?"),
        ("What was added?", "What was subtracted?"),
        ("Who denied it?", "Who confirmed it?"),
        ("What is stopping it?", "What is starting it?"),
        ("Who won?", "Who lost?"),
    ],
)
def test_opposites_come_in_all_their_forms(original: str, opposite: str) -> None:
    assert opposite in perturbed(original)


def test_a_deed_is_denied_by_the_auxiliary_or_before_it() -> None:
    results = perturbed("What was she known for?", answer="stars")
    assert {"What wasn't she known for?", "What was she not known for?", "What was she never known for?"} <= results
    assert "What was she no longer known for?" in results


def test_a_narrowing_is_added() -> None:
    results = {other for other in perturbed("Who led the observatory?", answer="Weber") if other}
    narrowed = {other.removeprefix("Who led the ").split()[0] for other in results if other.endswith(" observatory?")}
    assert {"second", "private"} <= narrowed
    assert not narrowed & set(TEXT.lower().split())


def test_a_year_is_added_that_the_passage_does_not_mention() -> None:
    results = {other for other in perturbed("Who led the observatory?", answer="Weber") if other}
    years = {re.findall(r" in (\d+)\?$", other)[0] for other in results if re.search(r"\d\?$", other)}
    assert years and not any(year in TEXT for year in years)
    assert max(map(int, years)) <= 2020
    dated = perturbed("When was the observatory taken over?", answer="1902")
    assert not any(other and re.search(r"\d\?$", other) for other in dated)  # it asks for a time already


def test_two_names_change_places() -> None:
    original = "When did Anna Weber give the Salzburg Observatory to Austria?"
    results = perturbed(original)
    assert "When did Austria give the Salzburg Observatory to Anna Weber?" in results
    assert "When did Salzburg Observatory give the Anna Weber to Austria?" in results


def test_an_answer_that_is_a_name_replaces_a_name_of_the_question() -> None:
    original = "What did Anna Weber found?"
    assert "What did Salzburg Observatory found?" in perturbed(original, answer="Salzburg Observatory")
    assert not any(other and "412" in other for other in perturbed(original, answer="412 instruments"))


def test_a_word_of_the_passage_with_the_same_ending_takes_anothers_place() -> None:
    text = "The towers hold bells and the cellars hold barrels of wine."
    perturber = Perturber(["Lisbon"], {})
    original = "What do the towers hold?"
    others = {perturber.perturbed(original, text, "bells", random.Random(seed)) for seed in range(200)}
    assert {"What do the cellars hold?", "What do the barrels hold?"} <= others
    assert "What do the bells hold?" not in others  # the answer is not named


def test_several_perturbations_differ() -> None:
    perturber = Perturber(["Carl Gauss", "Lisbon"], NEAR)
    original = "When did Anna Weber first found the observatory?"
    for most in (1, 2, 4):
        results = perturber.several(original, TEXT, "1872", most, random.Random(0))
        assert len(results) == len(set(results)) == most and original not in results
    assert perturber.several("Why?", TEXT, "1872", 3, random.Random(0)) == []


def test_a_question_that_cannot_be_perturbed_is_left_alone() -> None:
    assert perturbed("Why?") == {None}
