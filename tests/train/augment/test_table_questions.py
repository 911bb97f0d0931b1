"""Questions on tables with linked articles: each joins a row and an article, and points at both."""

from __future__ import annotations

from ragyena.data.hybrid import HybridDocument, HybridQuestion
from ragyena.data.qa_files import ContextRow
from ragyena.train.augment.table_questions import Place, TableQuestion, facts, table_questions

NAMES = ["Ada Quist", "Boris Marlow", "Clara Oduya", "Dario Takeda"]
CITIES = ["Riga", "Turin", "Bergen", "Porto"]
ARTICLES = {
    f"a{n}": ContextRow(
        f"a{n}", f"{name} (rower)", f"{name} (born {3 + n} May 19{n}1) is a rower. {name} was born in {city}.", "wiki"
    )
    for n, (name, city) in enumerate(zip(NAMES, CITIES))
}
ROWS = [f"Lane: {n + 4}; Rower: {name}; Club: Club {'XY'[n % 2]}; Time: {75 - 7 * n}" for n, name in enumerate(NAMES)]
DOCUMENT = HybridDocument(id="d", title="Rowers", rows=tuple(ROWS), passages=tuple(ARTICLES), split="train")
TABLE = "\n".join(ROWS)


def text_at(place: Place) -> str:
    return (TABLE if place.article is None else ARTICLES[place.article].text)[place.start : place.end]


def synthetic() -> list[TableQuestion]:
    return table_questions([], [DOCUMENT], ARTICLES, repeat=1)


def test_facts_are_extracted_with_their_places() -> None:
    text = (
        "Kipling Hall (also known as The Barn) is a stadium located in Turin, Italy. It was opened in 1931, "
        "designed by Otto Brandis, and has a capacity of 12,500."
    )
    by_text = {text[fact.start : fact.end]: fact for fact in facts(text)}
    assert by_text.keys() >= {"Barn", "Turin, Italy", "1931", "Otto Brandis", "12,500"}
    assert "When was {} opened?" in by_text["1931"].questions and "opened in {}" in by_text["1931"].descriptions
    assert "Who designed {}?" in by_text["Otto Brandis"].questions
    (beetle,) = facts("It is a beetle of the family Carabidae, small and black.")
    assert beetle.questions == ("What family does {} belong to?", "What family is {} in?")
    assert not list(facts("Nothing is told here.")) and not list(facts(""))


def test_a_name_that_ends_a_sentence_is_not_joined_to_the_next() -> None:
    text = "The club is based in Kansas City, Kansas. The team is old. It was designed by Charles L. Thompson."
    answers = [text[fact.start : fact.end] for fact in facts(text)]
    assert "Kansas City, Kansas" in answers and "Charles L" not in answers


def test_synthetic_questions_replace_the_bridge_entity_by_a_description() -> None:
    questions = synthetic()
    assert questions == synthetic()
    from_article = [q for q in questions if q.answer.article is not None]
    from_table = [q for q in questions if q.answer.article is None]
    assert len(from_article) >= 4 and len(from_table) >= 2
    for question in questions:
        assert question.evidence is not None and question.document == "d"
        assert text_at(question.answer) == question.answer_text
        name = next(name for name in NAMES if name in question.plain)
        assert name not in question.question and question.answer_text.lower() not in question.question.lower()
        row, article = (
            (question.evidence, question.answer) if question in from_article else (question.answer, question.evidence)
        )
        assert ARTICLES[article.article or ""].title.startswith(name)
        assert next(line for line in ROWS if name in line).find(text_at(row)) >= 0


def test_a_cell_describes_a_row_only_where_no_other_row_has_it() -> None:
    from_article = [q.question for q in synthetic() if q.answer.article is not None]
    assert from_article and not any("Club" in question for question in from_article)  # each club is two rowers'
    rows = [f"Lane: {n // 2}; Rower: {name}; Club: Club {'XY'[n % 2]}" for n, name in enumerate(NAMES)]
    shared = DOCUMENT.model_copy(update={"rows": tuple(rows)})
    by_two = [q for q in table_questions([], [shared], ARTICLES, repeat=1) if q.answer.article is not None]
    assert by_two and all(" and " in q.question and "Club" in q.question for q in by_two)


def test_given_questions_point_at_the_sentence_and_row_that_share_their_words() -> None:
    given = HybridQuestion(
        id="q", doc_id="d", question="Where was the rower in lane 6 born?", answers=("Bergen",), gold_passages=("a2",)
    )
    nowhere = given.model_copy(update={"id": "n", "answers": ("Lisbon",)})
    questions = table_questions([given, nowhere], [DOCUMENT], ARTICLES, repeat=3)
    own = [q for q in questions if q.question == given.question]
    assert len(own) == 3 and own[0] == own[2]
    assert text_at(own[0].answer) == "Bergen" and own[0].evidence is not None and text_at(own[0].evidence) == ROWS[2]
    assert own[0].plain == "Where was the rower in lane 6 born (Clara Oduya)?"
