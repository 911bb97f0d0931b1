"""Priors of what is said of the party of a contract that a question asks about."""

from __future__ import annotations

import pytest

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.reader.packing import pack
from ragyena.reader.parties import party_prior
from ragyena.types import Passage, ScoredPassage

SENTENCE = (
    "The tenant may leave by giving two months' notice and the landlord may end it by giving five months' notice."
)
LINES = "- Notice by the Buyer: 60 days\n- Notice by the Supplier: 180 days"
SENTENCES = "The Tenant gives two months' notice. The Landlord gives four months' notice, in writing."
SAME_VERB = "The liability of the Supplier is limited to EUR 1,000 a year, that of the Buyer to EUR 300."


def prior_at(question: str, text: str, answer: str) -> float:
    """The prior at the first token of ``answer``."""
    passage = Passage(
        text=text, start=50, end=50 + len(text), line_start=1, line_end=1, page=None, title="Contract",
        heading_path=(), source="contract", passage_id=1, document_id=1,
    )  # fmt: skip
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    context = pack(question, [ScoredPassage(passage, 1.0)], tokenizer, PackerConfig(), max_question_tokens=32)
    prior = party_prior(context)
    if prior is None:
        return 0.0
    assert prior.shape == context.token_ids.shape and not prior[~context.text_mask].any()
    (place,) = (context.char_starts[0] == 50 + text.index(answer)).nonzero()[0]
    return float(prior[0, place])


@pytest.mark.parametrize(
    ("question", "text", "right", "wrong"),
    [
        ("How long is the landlord's notice?", SENTENCE, "five", "two"),
        ("How long is the notice for tenants?", SENTENCE, "two", "five"),
        ("What notice must the buyer give?", LINES, "60", "180"),
        ("What notice must the supplier give?", LINES, "180", "60"),
        ("How long is the Landlord's notice?", SENTENCES, "four", "two"),
        ("What is the buyer liable for?", SAME_VERB, "300", "1,000"),
    ],
)
def test_the_figure_of_the_party_asked_about_weighs_more(question: str, text: str, right: str, wrong: str) -> None:
    assert prior_at(question, text, right) > 0 > prior_at(question, text, wrong)


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        ("How long is the notice?", SENTENCE, "five"),  # no party
        ("How much notice must the landlord give the tenant?", SENTENCE, "five"),  # both
        ("Who has to give longer notice, I or the landlord?", SENTENCE, "two"),  # the answer is a party
        ("How much notice must the landlord give?", "The tenant gets 48 hours' notice.", "48"),  # no other figure
        ("How long is the landlord's notice?", "The landlord gives the tenant 48 hours. The tenant has 2 keys.", "48"),
        ("How long is the landlord's notice?", "It is two months for the tenant, five for the landlord.", "two"),
    ],
)  # fmt: skip
def test_no_figure_weighs_more_where_it_is_not_plain_whose_it_is(question: str, text: str, answer: str) -> None:
    assert prior_at(question, text, answer) == 0
