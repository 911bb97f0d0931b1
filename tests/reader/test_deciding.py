"""The sentences that are cited for a yes or a no."""

from __future__ import annotations

from ragyena import recipes
from ragyena.config import PackerConfig, ReaderConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.reader.deciding import sentence_alone, supporting
from ragyena.reader.packing import pack
from ragyena.reader.reader import Reader
from ragyena.types import AnswerKind, Context, Passage, ScoredPassage, Span

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))
RULES = "Birds are not permitted. Two animals may have one name. Dogs are kept on a lead. The gate shuts at 8."


def packed(*texts: str, question: str = "May two animals have one name?") -> Context:
    candidates = [
        ScoredPassage(
            Passage(text, 50, 50 + len(text), 1, 1, None, "Rules", (), f"{i}.txt", passage_id=i), 1.0 - i / 10
        )
        for i, text in enumerate(texts)
    ]
    return pack(question, candidates, TOKENIZER, PackerConfig(near_duplicate=1.0), max_question_tokens=32)


def span(context: Context, text: str, score: float = 0.5) -> Span:
    passage = context.passages[0].passage
    start = passage.start + passage.text.index(text)
    return Span(0, 0, 1, start, start + len(text), text, score)


def words(context: Context) -> str:
    return TOKENIZER.decode(context.token_ids[0])


def test_a_sentence_that_decides_otherwise_is_no_support() -> None:
    context = packed(RULES)
    spans = [span(context, text) for text in ("not permitted", "Two animals", "Birds", "8")]
    read: list[str] = []

    def decide(alone: Context) -> AnswerKind:
        read.append(words(alone))
        return "no" if "not" in words(alone) else "yes" if "name" in words(alone) else "written"

    assert [one.text for one in supporting(spans, context, "yes", decide)] == ["Two animals", "8"]
    assert len(read) == 3  # a sentence is read once
    assert [one.text for one in supporting(spans, context, "no", decide)] == ["not permitted", "Birds", "8"]


def test_where_each_likely_sentence_decides_otherwise_the_likeliest_is_kept_not_one_that_says_nothing() -> None:
    context = packed(RULES)
    likely, other = span(context, "not permitted", score=0.8), span(context, "8", score=1e-5)
    assert supporting([likely, other], context, "yes", lambda alone: "no") == [likely, other]
    assert supporting([likely], context, "yes", lambda alone: "no") == [likely]
    assert supporting([], context, "yes", lambda alone: "no") == []


def test_what_is_too_unlikely_to_be_cited_is_not_read() -> None:
    context = packed(RULES)
    likely, unlikely = span(context, "Two animals"), span(context, "Birds", score=1e-4)
    read: list[str] = []

    def decide(alone: Context) -> AnswerKind:
        read.append(words(alone))
        return "yes"

    assert supporting([likely, unlikely], context, "yes", decide) == [likely, unlikely]
    assert len(read) == 1


def test_where_all_speak_against_the_answer_the_best_is_kept() -> None:
    context = packed(RULES)
    spans = [span(context, "Dogs"), span(context, "8")]
    assert supporting(spans, context, "yes", lambda alone: "no") == spans[:1]
    assert supporting([], context, "yes", lambda alone: "no") == []


def test_a_sentence_is_read_with_the_header_of_its_passage_alone() -> None:
    context = packed(RULES, "Cats are welcome.")
    start = 50 + RULES.index("Two")
    alone = sentence_alone(context, 0, start, start + len("Two animals may have one name."))
    assert words(alone).replace(" .", ".") == "rules two animals may have one name."
    assert (alone.question, alone.passages) == (context.question, context.passages[:1])
    assert alone.char_starts[0][alone.text_mask[0]].min() == start
    assert alone.token_ids.shape == alone.text_mask.shape == alone.char_ends.shape


def test_a_reader_cites_no_sentence_that_it_takes_for_the_opposite() -> None:
    reader = Reader.open(ReaderConfig(device="cpu", dtype="float32", threshold=0.0))
    text = "Palm oil is not used. Rape seed oil is used in all dishes. Nuts are served on request."
    context = packed(text, question="Is palm oil used?")
    reading = reader.read(context)
    assert reading.kind == "no" and reading.spans
    assert reading.spans == tuple(supporting(reading.spans, context, "no", reader._decide))
    assert supporting(reading.spans, context, "no", lambda alone: reader.read(alone).kind) == list(reading.spans)
