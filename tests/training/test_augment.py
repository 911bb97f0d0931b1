"""Questions that their passage no longer answers."""

from __future__ import annotations

import random

from ragyena.training.augment import twist

TEXT = (
    "Anna Weber founded the Salzburg Observatory in 1872 with her own money. The observatory was led by Weber until "
    "her death on 3 May 1901, when it held 412 instruments. In 1902 the city of Salzburg took it over."
)


def test_a_twisted_question_differs_and_asks_for_what_is_not_said() -> None:
    pool = ["Carl Gauss", "Lisbon"]
    seen = set()
    for seed in range(60):
        twisted = twist("When did Anna Weber first found the observatory?", TEXT, "1872", pool, random.Random(seed))
        if twisted is not None:
            assert twisted != "When did Anna Weber first found the observatory?"
            seen.add(twisted)
    assert "When did Carl Gauss first found the observatory?" in seen
    assert "When did Anna Weber last found the observatory?" in seen
    assert "When didn't Anna Weber first found the observatory?" not in seen  # only where nothing better is found
    negated = {twist("What was found there?", TEXT, "stars", pool, random.Random(seed)) for seed in range(40)}
    assert negated == {None, "What wasn't found there?"}
