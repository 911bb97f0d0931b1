"""Training contexts hold the answer where their targets say, and negatives that do not hold it."""

from __future__ import annotations

import torch

from ragyena import recipes
from ragyena.config import TuneConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.tune.contexts import Example, batch_of, make_examples
from ragyena.tune.places import Located
from ragyena.tune.questions import OwnQuestion
from ragyena.tune.sample import load_sample
from ragyena.types import Passage, ScoredPassage

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))


def passage(number: int, text: str) -> Passage:
    return Passage(text, 100, 100 + len(text), 1, 1, None, "Bridges", (), f"/b/{number}.md", number, number)


IRON = passage(0, "The iron bridge was built in 1932 by Ada Stone, Tom Marsh and Eva Lind.")
OTHERS = [passage(n, f"The bridge of town {n} is {n} metres long.") for n in range(1, 6)]
ALIKE = passage(6, "Another bridge was built in 1932.")
HITS = tuple(ScoredPassage(one, 1 / (n + 1), dense_score=0.5) for n, one in enumerate([ALIKE, IRON, *OTHERS]))


def located(answer_type: str, *answers: str) -> Located:
    places = [(IRON.start + IRON.text.index(a), IRON.start + IRON.text.index(a) + len(a)) for a in answers]
    question = OwnQuestion(3, "When was the iron bridge built?", answer_type, answers)  # type: ignore[arg-type]
    return Located(question, HITS, IRON if answers else None, tuple(places))


def examples(*some: Located, **changes: float) -> list[Example]:
    config = TuneConfig.model_validate({"negatives": 3, "unanswerable": 0, **changes})
    made, problems = make_examples(
        some, TOKENIZER, config, header_tokens=8, max_question_tokens=64, unanswerable=bool(config.unanswerable)
    )
    assert not problems
    return made


def words(example: Example, batch_ids: torch.Tensor, start: int, end: int) -> str:
    return TOKENIZER.decode(batch_ids.flatten()[start - 1 : end].tolist())


def test_targets_are_where_the_answer_is() -> None:
    span, listed, none = examples(
        located("span", "1932"), located("list", "Ada Stone", "Tom Marsh", "Eva Lind"), located("none")
    )
    batch = batch_of([span, listed, none])
    ids = batch.inputs.token_ids
    assert words(span, ids[0], int(batch.start[0]), int(batch.end[0])) == "1932"
    assert words(listed, ids[1], int(batch.start[1]), int(batch.end[1])) == "ada stone"
    more = [words(listed, ids[1], *map(int, place)) for place in batch.more[1] if place[0] >= 0]
    assert more == ["tom marsh", "eva lind"]
    assert batch.start[2] == batch.end[2] == 0 and batch.has_span.all()
    assert batch.listed.tolist() == [0, 1, 0] and batch.polar.tolist() == [0, 0, 0]
    assert batch.evidence[0].any() and not batch.evidence[2].any()


def test_negatives_do_not_hold_the_answer() -> None:
    (one,) = examples(located("span", "1932"))
    sources = {scored.passage.source for scored in one.context.passages}
    assert IRON.source in sources and ALIKE.source not in sources and len(sources) == 4
    (two,) = examples(located("span", "1932"), context_tokens=1)
    assert len(two.context.passages) == 2  # as few as a tight budget leaves


def test_a_context_without_the_passage_is_to_be_withheld() -> None:
    whole, without = examples(located("span", "1932"), unanswerable=1.0)
    assert not whole.missing and without.missing
    assert IRON.source not in {scored.passage.source for scored in without.context.passages}
    batch = batch_of([without])
    assert batch.start[0] == 0 and bool(batch.has_span[0])


def test_yes_and_no_are_written() -> None:
    question = OwnQuestion(3, "Is the iron bridge old?", "yes", ("yes",))
    place = (IRON.start + 4, IRON.start + 30)
    quoted, unquoted = examples(Located(question, HITS, IRON, (place,)), Located(question, HITS, IRON, ()))
    batch = batch_of([quoted, unquoted])
    assert [TOKENIZER.decode(row[mask].tolist()[:-1]) for row, mask in zip(batch.answer_ids, batch.answer_mask)] == [
        "yes",
        "yes",
    ]
    assert batch.polar.tolist() == [1, 1] and batch.has_span.tolist() == [True, False]


def test_the_shipped_sample_is_what_its_questions_say() -> None:
    sample = load_sample()
    assert len(sample.dev) >= 95 and len(sample.train) >= 95
    dev, train = ({one.gold.source for one in part if one.gold} for part in (sample.dev, sample.train))
    assert not dev & train
    assert (recipes.asset("tune") / "sample.jsonl.xz").stat().st_size < 150_000
    for one in (*sample.dev, *sample.train):
        assert one.hits
        if one.question.answer_type in ("span", "compare"):
            assert one.gold is not None
            start, end = (place - one.gold.start for place in one.spans[0])
            assert one.question.answers[0].split()[0].casefold() in one.gold.text[start:end].casefold()
