"""Cells as values that compare."""

from __future__ import annotations

import pytest

from ragyena.documents.cell_values import is_missing, is_total, value_of, values_of


@pytest.mark.parametrize(
    ("text", "kind", "number", "unit"),
    [
        ("1,234.50", "number", 1234.5, ""),
        ("1 234", "number", 1234.0, ""),
        ("(1,234)", "number", -1234.0, ""),
        ("−5", "number", -5.0, ""),
        ("€ 8", "number", 8.0, "€"),
        ("8 €", "number", 8.0, "€"),
        ("$1.2 million", "number", 1_200_000.0, "$"),
        ("12.5%", "number", 12.5, "%"),
        ("3.9 kg", "number", 3.9, "kg"),
        ("17 [2]", "number", 17.0, ""),
        ("1:41", "time", 101.0, ""),
        ("2nd", "rank", 2.0, ""),
        ("1998", "year", 1998.0, ""),
        ("2001–02", "year", 2001.0, ""),
    ],
)
def test_numbers_are_read_with_signs_separators_and_units(text: str, kind: str, number: float, unit: str) -> None:
    value = value_of(text)
    assert value is not None
    assert (value.kind, value.number, value.unit) == (kind, number, unit)


@pytest.mark.parametrize("text", ["2020-03-12", "12.03.2020", "12 March 2020", "Mar 12, 2020", "Thu, March 12, 2020"])
def test_dates_are_the_same_day_however_they_are_written(text: str) -> None:
    assert value_of(text) == value_of("12 March 2020")


@pytest.mark.parametrize("text", ["", "Oslo", "3–1", "31 February 2020", "over 900", "5 apples", "(3", "H-05"])
def test_texts_have_no_value(text: str) -> None:
    assert value_of(text) is None


def test_a_column_of_mixed_kinds_or_units_does_not_compare() -> None:
    assert values_of(["3 kg", "4 g"]) is None
    assert values_of(["$3", "€4"]) is None
    assert values_of(["3", "many"]) is None
    assert values_of(["2001", "12 May 2002"]) is None


def test_an_empty_cell_has_no_value_and_amounts_that_look_like_years_are_amounts() -> None:
    values = values_of(["350", None, "n/a", "1999"])
    assert values is not None
    assert [value and (value.kind, value.number) for value in values] == [("number", 350), None, None, ("number", 1999)]


def test_labels_of_totals_and_of_nothing() -> None:
    assert all(map(is_total, ["Total", "Grand total", "Subtotal", "Total (all regions)", "Average", "League total"]))
    assert not any(map(is_total, ["Totalisator Ltd", "Allan", "Summer"]))
    assert all(map(is_missing, ["–", "n/a", "?", "unknown", "TBD"]))
    assert not is_missing("0")
