"""Answers are found where they stand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ragyena.config import PipelineConfig
from ragyena.index.index import Index
from ragyena.tune.places import Located, locate
from ragyena.tune.questions import OwnQuestion
from ragyena.types import Silent

FILES = {
    "north/lease.md": "# Lease of the north hall\n\nThe lease of the north hall ends on 31 May 2027. "
    "The rent is 900 euros.\n\nSubletting is not permitted.\n",
    "south/lease.md": "# Lease of the south hall\n\nThe lease of the south hall ends on 31 May 2029. "
    "The rent is 900 euros a month.\n\nSubletting is allowed.\n",
    "tools.txt": "For the shelf you need a saw, a file and a drill.\n\nThe drill has 600 watts.\n",
    "long.txt": "The keeper’s lamp burns oil. It flashes every ten\nseconds. The lamp of the pier flashes every ten "
    "seconds, too.\n",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, small_config: PipelineConfig) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("files")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with Index.create(tmp_path_factory.mktemp("index") / "own", settings=small_config) as made:
        made.add([folder])
        yield made


def found(index: Index, question: OwnQuestion) -> Located | str:
    located, problems = locate([question], index, hits=8, progress=Silent())
    return located[0] if located else problems[0]


def text(index: Index, one: Located) -> list[str]:
    assert one.gold is not None
    whole = index.document(one.gold.document_id).text
    return [whole[start:end] for start, end in one.spans]


def test_a_span_is_found_without_its_document(index: Index) -> None:
    one = found(index, OwnQuestion(1, "When does the lease of the south hall end?", "span", ("31 may  2029",)))
    assert isinstance(one, Located) and text(index, one) == ["31 May 2029"]
    assert one.gold and one.gold.source.endswith("south/lease.md") and one.document == one.gold.source


def test_the_better_of_two_places_is_taken(index: Index) -> None:
    one = found(index, OwnQuestion(1, "How often does the lamp of the pier flash?", "span", ("every ten seconds",)))
    assert isinstance(one, Located) and one.spans[0][0] > FILES["long.txt"].index("pier")
    one = found(index, OwnQuestion(1, "How often does the keeper's lamp flash?", "span", ("the keeper's lamp",)))
    assert isinstance(one, Located) and text(index, one) == ["The keeper’s lamp"]


def test_what_two_documents_say_alike_is_named(index: Index) -> None:
    question = OwnQuestion(4, "What is the rent?", "span", ("900 euros",))
    reason = found(index, question)
    assert isinstance(reason, str) and reason.startswith("line 4: ") and "lease.md" in reason and "quote" in reason
    for settled in (
        OwnQuestion(4, "What is the rent?", "span", ("900 euros",), document="south/lease.md"),
        OwnQuestion(4, "What is the rent?", "span", ("900 euros",), quote="rent is 900 euros a month"),
    ):
        one = found(index, settled)
        assert isinstance(one, Located) and one.gold and "south" in one.gold.source


def test_lists_and_yes_no(index: Index) -> None:
    one = found(index, OwnQuestion(1, "Which tools do I need for the shelf?", "list", ("a drill", "a saw", "a file")))
    assert isinstance(one, Located) and text(index, one) == ["a saw", "a file", "a drill"]
    one = found(index, OwnQuestion(1, "May I sublet?", "no", ("no",), quote="Subletting is not permitted."))
    assert isinstance(one, Located) and text(index, one) == ["Subletting is not permitted."]
    one = found(index, OwnQuestion(1, "Is subletting of the north hall permitted?", "no", ("no",)))
    assert isinstance(one, Located) and one.gold is not None and not one.spans
    one = found(index, OwnQuestion(1, "Who owns the north hall?", "none", ()))
    assert isinstance(one, Located) and one.gold is None and one.hits


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (OwnQuestion(2, "When does it end?", "span", ("1 May 1999",)), "'1 May 1999' is not in what retrieval finds"),
        (OwnQuestion(2, "When?", "span", ("x",), document="lease.md"), "the name of 2 files"),
        (OwnQuestion(2, "When?", "span", ("x",), document="absent.pdf"), "no document 'absent.pdf'"),
        (OwnQuestion(2, "How many watts?", "span", ("600",), quote="it has 700 watts"), "its quote is not in"),
        (OwnQuestion(2, "How many watts?", "span", ("700",), quote="has 600 watts"), "is not in its quote"),
        (OwnQuestion(2, "Which tools?", "list", ("a saw", "a plane"), document="tools.txt"), "the item 'a plane'"),
    ],
)
def test_the_reason_is_given(index: Index, question: OwnQuestion, reason: str) -> None:
    problem = found(index, question)
    assert isinstance(problem, str) and problem.startswith("line 2: ") and reason in problem
