"""Tables of Markdown with the names of their columns before each cell."""

from __future__ import annotations

from ragyena.train.augment.named_rows import named_rows

TEXT = """# Pumps

| Model | Weight | Pressure |
|---|---:|---|
| V-20 | 3.9 kg | |
| V-30 | 4.5 kg | 8 bar |

Ask for a | b.
"""


def test_every_row_has_the_names_and_places_are_followed() -> None:
    named = named_rows(TEXT)
    assert named is not None
    assert "Model: V-20; Weight: 3.9 kg\nModel: V-30; Weight: 4.5 kg; Pressure: 8 bar\n" in named.text
    assert named.text.count("\n") == TEXT.count("\n") and "Ask for a | b." in named.text
    for answer in ("V-20", "4.5 kg", "8 bar", "Pumps", "Ask"):
        start = TEXT.index(answer)
        place = named.place(start, start + len(answer))
        assert place is not None and named.text[slice(*place)] == answer
    row = TEXT.index("V-30"), TEXT.index("8 bar") + 5
    place = named.place(*row)
    assert place is not None and named.text[slice(*place)] == "V-30; Weight: 4.5 kg; Pressure: 8 bar"


def test_a_place_that_is_gone_has_none() -> None:
    named = named_rows(TEXT)
    assert named is not None
    assert named.place(TEXT.index("Weight"), TEXT.index("Weight") + 6) is None
    assert named_rows("no table | here\n") is None
