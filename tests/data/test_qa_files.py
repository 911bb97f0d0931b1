"""Questions and contexts from every kind of file, with every row accounted for."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ragyena.data.qa_files import ContextRow, Question, read_contexts, read_questions
from ragyena.errors import DataError, MissingDependencyError, PathNotFoundError

BRIDGE = "The iron bridge was built in 1932 by Ada Stone."
PASSAGES = [
    {"id": "p1", "source": "town", "title": "Bridges", "context": BRIDGE, "split": "dev"},
    {"id": "p2", "source": "town", "title": "Lamps", "text": "The lamp flashes every ten seconds."},
]
QUESTIONS = [
    {
        "id": "q1",
        "source": "town",
        "passage_id": "p1",
        "question": "Who built the bridge?",
        "answers": ["Ada Stone", "Stone"],
        "answer_start": BRIDGE.index("Ada"),
        "split": "dev",
    },
    {
        "id": "q2",
        "source": "yesno",
        "passage_id": "p1",
        "question": "Is it iron?",
        "answers": ["yes"],
        "answer_start": -1,
        "split": "train",
    },
    {"id": "q3", "source": "town", "passage_id": "p2", "question": "When does it stop?", "answers": []},
]
SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "Bridges",
            "paragraphs": [
                {
                    "context": BRIDGE,
                    "qas": [
                        {
                            "id": "s1",
                            "question": "When was it built?",
                            "answers": [{"text": "1932", "answer_start": 29}, {"text": "in 1932", "answer_start": 26}],
                            "is_impossible": False,
                        },
                        {
                            "id": "s2",
                            "question": "Who tore it down?",
                            "answers": [],
                            "plausible_answers": [{"text": "Ada Stone", "answer_start": 37}],
                            "is_impossible": True,
                        },
                    ],
                }
            ],
        }
    ],
}


def lines(path: Path, rows: list[Any]) -> str:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    if path.suffix == ".xz":
        path.write_bytes(lzma.compress(text.encode()))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.xz", ".jsonl.gz"])
def test_rows_are_joined_with_their_passages(tmp_path: Path, suffix: str) -> None:
    passages = lines(tmp_path / f"passages{suffix}", PASSAGES)
    result = read_questions([lines(tmp_path / f"questions{suffix}", QUESTIONS)], [passages])
    assert result.problems == ()
    first = Question("q1", "town", "Who built the bridge?", ("Ada Stone", "Stone"), "p1", BRIDGE.index("Ada"), "dev")
    assert result.questions[0] == first
    assert [q.answers for q in result.questions] == [("Ada Stone", "Stone"), ("yes",), ()]
    assert result.contexts["p1"] == ContextRow("p1", "Bridges", BRIDGE, "town", "dev")
    assert result.contexts["p2"].text == PASSAGES[1]["text"]


def test_split_and_sources_choose_and_rows_without_a_split_stay(tmp_path: Path) -> None:
    names = [lines(tmp_path / "q.jsonl", QUESTIONS)], [lines(tmp_path / "p.jsonl", PASSAGES)]
    assert [q.id for q in read_questions(*names, split="dev").questions] == ["q1", "q3"]
    assert [q.id for q in read_questions(*names, split="train").questions] == ["q2", "q3"]
    assert [q.id for q in read_questions(*names, sources=["yesno"]).questions] == ["q2"]


def test_squad_json_of_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "dev-v2.0.json"
    path.write_text(json.dumps(SQUAD), encoding="utf-8")
    answerable, impossible = read_questions([str(path)]).questions
    assert answerable.answers == ("1932", "in 1932")
    assert BRIDGE[answerable.answer_start :].startswith("1932")
    assert impossible.answers == () and impossible.answer_start == -1
    assert answerable.context_id == impossible.context_id
    only = read_questions([str(path)]).contexts
    assert [(row.title, row.text) for row in only.values()] == [("Bridges", BRIDGE)]


def test_a_missing_start_is_searched_for_and_a_given_one_checked(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "Who?", "answers": ["Ada Stone"], "context": BRIDGE},
        {"id": "b", "question": "Who?", "answers": ["nobody"], "context": BRIDGE},
        {"id": "c", "question": "Who?", "answers": ["Ada Stone"], "context": BRIDGE, "answer_start": 3},
        {"id": "d", "question": "Who?", "answers": {"text": ["Ada"], "answer_start": [37]}, "context": BRIDGE},
    ]
    result = read_questions([lines(tmp_path / "q.jsonl", rows)])
    assert {q.id: q.answer_start for q in result.questions} == {"a": 37, "b": -1, "d": 37}
    assert len(result.problems) == 1 and "line 3" in result.problems[0] and "Ada Stone" in result.problems[0]


def test_every_row_is_a_question_or_a_named_problem(tmp_path: Path) -> None:
    rows = [
        QUESTIONS[0],
        "{broken",
        "[1, 2]",
        {"id": "x", "answers": ["a"]},
        {"id": "y", "question": "Where?", "answers": ["a"], "passage_id": "nowhere"},
        {**QUESTIONS[0]},
        {"id": "z", "question": "Where?", "answers": [7]},
        {"id": "n", "question": "Where?", "answers": None},
        {"question": "No id?", "answers": "here"},
    ]
    result = read_questions([lines(tmp_path / "q.jsonl", rows)], [lines(tmp_path / "p.jsonl", PASSAGES)])
    assert [q.id for q in result.questions] == ["q1", "z", "n", "q-9"]
    assert len(result.questions) + len(result.problems) == len(rows)
    for line, word in [(2, "not JSON"), (3, "object"), (4, "question"), (5, "nowhere"), (6, "q1")]:
        (problem,) = [p for p in result.problems if f"line {line}:" in p]
        assert word in problem and str(tmp_path / "q.jsonl") in problem


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    lines(tmp_path / "1.jsonl", [{"id": "a", "question": "A?", "answers": ["x"]}])
    (tmp_path / "2.json").write_text(json.dumps(SQUAD), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not data", encoding="utf-8")
    assert [q.id for q in read_questions([str(tmp_path)]).questions] == ["a", "s1", "s2"]


def test_contexts_need_only_a_text(tmp_path: Path) -> None:
    rows = [
        {"text": "One."},
        {"context": "Two.", "title": "T", "split": "train"},
        {"title": "no text"},
        {"text": "One."},
    ]
    result = read_contexts([lines(tmp_path / "prose.jsonl", rows)])
    assert [(row.text, row.title, row.split) for row in result.contexts] == [("One.", "", ""), ("Two.", "T", "train")]
    assert len(result.problems) == 1 and "line 3" in result.problems[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.xz", b"this is no xz file"),
        ("b.jsonl.gz", b"this is no gzip file"),
        ("c.json", b"{broken"),
        ("d.json", b'{"data": [{"no": "paragraphs"}]}'),
        ("e.jsonl", b"\xff\xfe\x00junk"),
        ("f.jsonl", b"broken\n"),
        ("g.jsonl", b""),
        ("h.parquet.txt", b"x"),
    ],
)
def test_a_file_that_is_no_data_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_questions([str(path)])
    assert name in caught.value.message and caught.value.hint


@pytest.mark.parametrize("name", ["missing.jsonl", "no/such/folder/x.json", "/nowhere", "./no-data"])
def test_a_missing_file_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(PathNotFoundError):
        read_questions([name])


def test_a_dataset_saved_by_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    columns: dict[str, list[Any]] = {
        "id": ["1", "2"],
        "title": ["Bridges", "Bridges"],
        "context": [BRIDGE, BRIDGE],
        "question": ["Who built it?", "When?"],
        "answers": [{"text": ["Ada Stone"], "answer_start": [37]}, {"text": [], "answer_start": []}],
    }
    saved = datasets.DatasetDict({"validation": datasets.Dataset.from_dict(columns)})
    saved.save_to_disk(str(tmp_path / "saved"))
    result = read_questions([str(tmp_path / "saved")], split="dev")
    assert [(q.id, q.answers, q.answer_start, q.split) for q in result.questions] == [
        ("1", ("Ada Stone",), 37, "dev"),
        ("2", (), -1, "dev"),
    ]
    assert read_questions([str(tmp_path / "saved")], split="train").questions == ()


def test_a_missing_extra_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match="datasets") as caught:
        read_questions(["owner/name"])
    assert "ragyena[train]" in caught.value.hint


def test_rows_that_json_or_utf8_cannot_spell_are_named_and_cost_no_other(tmp_path: Path) -> None:
    good = '{"id": "%s", "question": "Where?", "answers": ["Paris"], "context": "In Paris."}'
    rows = [
        good % "a",
        '{"id": "n", "question": "Where?", "answers": [1], "answer_start": ' + "9" * 5000 + "}",
        '{"id": "d", "question": ' + "[" * 50_000,
        '{"id": "t", "question": "Where?", "question": "When?"}',
        '{"id": "x", "question": "Where?", "answer_start": NaN}',
        "\x00" * 100,
        '{"id": "s", "question": "Where \\ud800?", "answers": ["c"], "context": "\\ud800c"}',
        good % "b",
    ]
    path = tmp_path / "q.jsonl"
    path.write_bytes("\n".join(rows).encode() + b'\n{"question": "\xff\xfe"}\n')
    result = read_questions([str(path)])
    assert [q.id for q in result.questions] == ["a", "s", "b"]
    assert result.questions[1].question == "Where \ufffd?"
    for line, words in [(2, "5,000 digits"), (3, "deep"), (4, "twice"), (5, "NaN"), (6, "not JSON"), (9, "not UTF-8")]:
        assert [problem for problem in result.problems if f"line {line}:" in problem and words in problem], line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" + "9" * 5000 + "]", "a number of 5,000 digits"),
        ('[{"question":\n' + "[" * 100_000, "deep"),
        ('[{"question": "q", "question": "r"}]', "twice"),
    ],
)
def test_a_list_of_rows_that_cannot_be_parsed_is_a_data_error(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_questions([str(path)])


def test_a_pipe_and_an_endless_line_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(DataError, match="named pipe"):
        read_questions([str(tmp_path / "pipe.jsonl")])
    with (tmp_path / "sparse.jsonl").open("wb") as sparse:
        sparse.truncate(500_000_000_000)
    with pytest.raises(DataError, match="longer than"):
        read_questions([str(tmp_path / "sparse.jsonl")])
