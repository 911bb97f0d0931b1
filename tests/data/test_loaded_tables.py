"""Question rows whose tables are read as files are."""

from __future__ import annotations

import json
from pathlib import Path

from ragyena.data.loaded_tables import LoadedRows, load_tables
from ragyena.data.qa_files import read_questions

TABLE = """Harbours of Ostland
Depths

| Harbour | Depth | Berths |
| --- | --- | --- |
| Aldwick | 9 m | 9 |
| **Brohm** | 12 m | 9 |
| Caster | 12 m | 4 |
"""
PROSE = "Aldwick has nine berths | and a --- crane."


def rows(path: Path, values: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in values), encoding="utf-8")
    return str(path)


def loaded(folder: Path, questions: list[dict[str, object]]) -> LoadedRows:
    passages: list[dict[str, object]] = [
        {"id": "table", "source": "harbours", "title": "Ostland", "context": TABLE},
        {"id": "prose", "source": "harbours", "title": "Ostland", "context": PROSE},
    ]
    given = [{"id": f"q{n}", "passage_id": "table", "question": "Which?", **q} for n, q in enumerate(questions)]
    return load_tables(read_questions([rows(folder / "q.jsonl", given)], [rows(folder / "p.jsonl", passages)]))


def place(words: str, *, after: str) -> int:
    return TABLE.index(words, TABLE.index(after))


def test_rows_name_their_columns_and_answers_follow(tmp_path: Path) -> None:
    result = loaded(
        tmp_path,
        [
            {"answers": ["9"], "answer_start": place("9 |\n", after="Aldwick"), "answer_type": "span"},
            {"answers": ["**Brohm**"], "answer_start": place("**Brohm**", after="Depths")},
            {"answers": ["yes"], "answer_start": -1, "answer_type": "yesno"},
            {"answers": ["nine berths"], "answer_start": PROSE.index("nine"), "passage_id": "prose"},
        ],
    )
    text = result.contexts["table"].text
    assert text.split("\n")[5:8] == [
        "Harbour: Aldwick; Depth: 9 m; Berths: 9",
        "Harbour: Brohm; Depth: 12 m; Berths: 9",
        "Harbour: Caster; Depth: 12 m; Berths: 4",
    ]
    assert text.startswith("Harbours of Ostland\nDepths\n")
    depth, name, yes, prose = result.questions
    assert text[: depth.answer_start].endswith("Depth: 9 m; Berths: ") and depth.answers == ("9",)
    # the first answer is what stands in the text; what was given counts as right, too
    assert text[name.answer_start :].startswith("Brohm;") and name.answers == ("Brohm", "**Brohm**")
    assert yes.answer_start == -1 and yes.answer_type == "yesno"
    assert result.contexts["prose"].text == PROSE and prose.answer_start == PROSE.index("nine")
    (document,) = result.documents.values()
    (block,) = document.blocks
    assert (block.kind, block.header) == ("table", ("Harbour", "Depth", "Berths"))
    assert (document.title, document.source, result.problems) == ("Ostland", "harbours", ())


def test_items_of_a_list_follow(tmp_path: Path) -> None:
    starts = [place("**Brohm**", after="Depths") + 2, place("Caster", after="Depths")]
    values: dict[str, object] = {"answers": ["Brohm, Caster"], "answer_start": -1, "answer_type": "list"}
    values |= {"answers_all": ["Brohm", "Caster"], "answer_starts": starts}
    result = loaded(tmp_path, [values])
    (question,) = result.questions
    text = result.contexts["table"].text
    assert [text[start:end] for start, end in question.items] == ["Brohm", "Caster"]
    assert [text[start - 9 : start] for start, _ in question.items] == ["Harbour: "] * 2


def test_an_answer_that_is_not_kept_is_named(tmp_path: Path) -> None:
    rule = TABLE.index("--- | ---")
    result = loaded(tmp_path, [{"answers": ["---"], "answer_start": rule}])
    assert result.questions == () and "q0" in result.problems[0] and "as loaders write it" in result.problems[0]
