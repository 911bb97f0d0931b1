"""Questions on documents asked end to end: what is right, what was packed and cited, the figures."""

from __future__ import annotations

from typing import Any

import pytest

from ragyena.config import PipelineConfig
from ragyena.data.document_questions import DocumentQuestion, DocumentQuestions
from ragyena.data.qa_files import ContextRow
from ragyena.eval.contexts import Frozen
from ragyena.eval.document_scores import list_items, score, summarize
from ragyena.eval.documents import ask, freeze_documents, packed_contexts
from ragyena.model.confidence import Withholding
from ragyena.reader.reader import Reader

TEXT = "# Kiln rules\n\nThe kiln is fired on Thursday. Glaze must be dry. Ask Petra for the key.\n"
OTHER = "The studio closes at ten. Clay costs nine crowns a bag and is kept in the cellar.\n"


class Quiet:
    def start(self, description: str, total: int | None, unit: str) -> None: ...

    def advance(self, amount: int, status: str = "") -> None: ...

    def note(self, text: str) -> None: ...


def row(kind: str, answers: tuple[str, ...], question: str = "?", **values: Any) -> DocumentQuestion:
    spans = tuple((TEXT.index(a), TEXT.index(a) + len(a)) for a in answers if a in TEXT)
    given = {"id": f"{kind} {question}", "source": "everyday", "document_id": "kiln", "question": question}
    return DocumentQuestion.model_validate(
        {**given, "answers": answers, "answer_type": kind, "spans": spans or ((0, 5),), **values}
    )


@pytest.mark.parametrize(
    ("kind", "answers", "text", "right"),
    [
        ("span", ("on Thursday",), "Thursday", True),
        ("span", ("on Thursday",), "Friday", False),
        ("compare", ("Petra", "Petra B."), "petra b", True),
        ("span", ("Thursday",), "", False),
        ("yes", ("yes",), "Yes", True),
        ("no", ("no",), "yes", False),
        ("none", (), "", True),
        ("none", (), "Petra", False),
        ("list", ("lamp", "rope", "map"), "lamp, rope and map", True),
        ("list", ("lamp", "rope", "map"), "lamp", False),
        ("list", ("1,200", "4,000"), "1,200; 4,000", True),
    ],
)
def test_right_is_judged_by_the_type(kind: str, answers: tuple[str, ...], text: str, right: bool) -> None:
    assert score(row(kind, answers), text)[0] is right


def test_items_are_parted_at_what_parts_lists() -> None:
    assert list_items("- salt\n- oil, and vinegar")[1:] == ["salt", "oil", "vinegar"]


def test_documents_are_asked_together_end_to_end(tmp_path: Any) -> None:
    rows = (
        row("span", ("Petra",), "Who has the key to the kiln?"),
        row("none", (), "How hot is the kiln fired?", near=((0, 5),)),
    )
    texts = {"kiln": TEXT, "studio": OTHER}
    documents = {key: ContextRow(key, key, text, "everyday") for key, text in texts.items()}
    settings = PipelineConfig()
    path = tmp_path / "frozen.jsonl.xz"
    freeze_documents(DocumentQuestions(rows, documents), settings, Quiet()).save(path)
    frozen = Frozen.load(path)
    assert {p.source for p in frozen.passages} == {"kiln", "studio"}
    tokenizer = Reader.tokenizer_of(settings.reader)
    reader = Reader.open(settings.reader.model_copy(update={"threshold": 0.0}))
    contexts = packed_contexts(rows, frozen, tokenizer, settings)
    answers = ask(rows, contexts, reader.read_batch, Quiet(), withholding=Withholding(0.15))
    assert answers[0]["evidence_packed"] is True and answers[1]["evidence_packed"] is None
    assert answers[0]["passages"] == len(frozen.passages)
    with_own, without = (
        next(packed_contexts(rows, frozen, tokenizer, settings, absent=absent)).passages for absent in (False, True)
    )
    assert [hit.passage for hit in without] == [h.passage for h in with_own if h.passage.source != rows[0].document_id]
    assert without and max(hit.similarity or 0 for hit in without) < max(hit.similarity or 0 for hit in with_own)
    if answers[0]["spans"][0][0] == "Petra":
        assert answers[0]["cited"] is True
    found = summarize(answers, resamples=100)
    assert found["questions"] == 2 and found["groups"]["type span"]["n"] == 1
    assert found["groups"]["all"]["right"][0] == 50.0 * sum(answer["right"] for answer in answers)
