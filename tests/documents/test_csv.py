"""CSV and TSV: texts a document a row, tables a line a row, whatever the delimiter; bad rows cost nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.delimited import BadRecord, Record, find_delimiter, read_records
from ragyena.documents.formats import csv
from ragyena.documents.loading import load
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.readers import reader_folder
from ragyena.types import Document, Skipped

LONG = "A text that is long enough to be read for itself, as an article or a description is. "


def loaded(tmp_path: Path, content: str | bytes, name: str = "a.csv") -> tuple[list[Document], list[Skipped]]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    parts = list(load(path, IndexConfig()))
    return [part for part in parts if isinstance(part, Document)], [part for part in parts if isinstance(part, Skipped)]


def table(tmp_path: Path, content: str | bytes) -> Document:
    (document,), skipped = loaded(tmp_path, content)
    assert not skipped
    return document


def test_a_table_is_one_document_whose_lines_are_those_of_the_file(tmp_path: Path) -> None:
    content = 'product,note,price\nLamp,"of brass,\nold",19.90\n\nChair,,5\n'
    document = table(tmp_path, content)
    assert document.source == str(tmp_path / "a.csv")
    lines = document.text.split("\n")
    assert lines[1] == "product: Lamp; note: of brass, old; price: 19.90"
    assert lines[4] == "product: Chair; price: 5"
    assert content.split("\n")[4].startswith("Chair")
    (block,) = document.blocks
    assert (block.kind, block.header) == ("table", ("product", "note", "price"))


def test_a_title_above_the_names(tmp_path: Path) -> None:
    document = table(tmp_path, "Sales report 2024,,\n,,\nproduct,units,price\nLamp,40,19.90\n")
    assert document.title == "Sales report 2024"
    assert document.text.split("\n")[3] == "product: Lamp; units: 40; price: 19.90"
    assert document.blocks[-1].header == ("product", "units", "price")


def test_comments_above_the_names(tmp_path: Path) -> None:
    text = "# House 2, hourly means\n"
    text += "# rh: offset +1.5, applied, 2024\ntime,par,vent,heat\n00:00,0,0,49.4\n01:00,0,0,48.9\n"
    ((document,), _) = loaded(tmp_path, text)
    assert document.text.split("\n") == [
        "# House 2, hourly means",
        "# rh: offset +1.5, applied, 2024",
        "time | par | vent | heat",
        "time: 00:00; par: 0; vent: 0; heat: 49.4",
        "time: 01:00; par: 0; vent: 0; heat: 48.9",
    ]
    assert document.title == "House 2, hourly means"


def test_names_may_begin_with_a_sign_of_comments(tmp_path: Path) -> None:
    ((document,), _) = loaded(tmp_path, "# made by hand\n#time,par\n1,49.4\n2,48.9\n")
    assert document.text.endswith("#time: 1; par: 49.4\n#time: 2; par: 48.9")
    ((document,), _) = loaded(tmp_path, "#ff0000 red,12\n#00ff00 green,13\n")
    assert document.text == "#ff0000 red: 12\n#00ff00 green: 13"


def test_a_bank_statement(tmp_path: Path) -> None:
    document = table(
        tmp_path,
        "Bank export\nAccount:;1234;;;\n\nDate;Text;Debit;Credit;Balance\n01.02.2024;Rent;900,00;;100,50\n"
        "05.02.2024;Wage;;2000,00;2100,50\n\nTotal;;900,00;2000,00;\n",
    )
    assert document.text.split("\n") == [
        "Bank export",
        "Account: 1234",
        "",
        "Date | Text | Debit | Credit | Balance",
        "Date: 01.02.2024; Text: Rent; Debit: 900,00; Balance: 100,50",
        "Date: 05.02.2024; Text: Wage; Credit: 2000,00; Balance: 2100,50",
        "",
        "Date: Total; Debit: 900,00; Credit: 2000,00",
    ]


def test_two_tables_in_a_file(tmp_path: Path) -> None:
    document = table(tmp_path, "A,B\n1,2\n\nX,Y,Z\nq,1,2\nr,3,4\n")
    assert document.text.split("\n") == ["A | B", "A: 1; B: 2", "", "X | Y | Z", "X: q; Y: 1; Z: 2", "X: r; Y: 3; Z: 4"]
    assert [block.header for block in document.blocks] == [("A", "B"), ("X", "Y", "Z")]


def test_no_names_and_one_column(tmp_path: Path) -> None:
    assert table(tmp_path, "1,2\n3,4\n").text == "1 | 2\n3 | 4"
    assert table(tmp_path, "sentence\nThis is, well, a text\nAnother, one\n").text.split("\n")[1:] == [
        "This is, well, a text",
        "Another, one",
    ]


def test_a_row_of_too_many_cells_is_named_and_kept_as_it_is_written(tmp_path: Path) -> None:
    (document,), (skipped,) = loaded(tmp_path, "a,b,c\n1,2\n3,4,red, green\n7,8,9,,\n")
    assert document.text.split("\n") == ["a | b | c", "a: 1; b: 2", "3,4,red, green", "a: 7; b: 8; c: 9"]
    assert skipped.source.endswith("a.csv#3")
    assert "line 3: 4 fields, but the row of names has 3" in skipped.message and skipped.hint


def test_a_text_with_too_many_cells_is_named_and_kept_as_it_is_written(tmp_path: Path) -> None:
    documents, (skipped,) = loaded(tmp_path, f'text,author\n{LONG * 5}and, so, on,Ann\n"{LONG * 5}",Bob\n')
    assert [document.text.endswith("and, so, on,Ann") for document in documents] == [True, False]
    assert [document.metadata for document in documents] == [{}, {"author": "Bob"}]
    assert skipped.source.endswith("a.csv#1") and "line 2: 9 fields" in skipped.message


SCHEDULE = "Month,Payment,Balance\n1,212.47,9829.20\n2,212.47,9657.68\n"


@pytest.mark.parametrize("gaps", ["%s\n%s\n", "\n%s\n%s\n", "\n%s\n\n%s\n", "%s\n%s\n\nFee,For,Until\n5,paper,May\n"])
def test_notes_below_a_table_stand_alone(tmp_path: Path, gaps: str) -> None:
    notes = ("Early repayment is possible without a fee.", "The last payment may differ.")
    lines = table(tmp_path, SCHEDULE + gaps % notes).text.split("\n")
    assert set(notes) < set(lines)
    assert not [line for line in lines if ">" in line]


@pytest.mark.parametrize("gap", ["", "\n"])
def test_texts_above_rows_still_head_them(tmp_path: Path, gap: str) -> None:
    text = table(tmp_path, f"{SCHEDULE}Second year\n{gap}13,212.47,8000\n14,212.47,7800\n{'Third year'}\n").text
    assert "Second year > Month: 13; Payment: 212.47; Balance: 8000" in text
    assert text.endswith("\nThird year")


@pytest.mark.parametrize(
    "notes",
    [
        ["Preise inkl. MwSt; Lieferung frei ab 50 EUR"],
        ["Preise inkl. MwSt; Lieferung frei ab 50 EUR; ohne Gewähr; Stand 2024"],
        ["Preise in Euro", "Lieferung frei ab 50 EUR; alles ohne Gewähr", "Stand 2024"],
    ],
)
def test_a_note_below_a_table_may_hold_the_delimiter(tmp_path: Path, notes: list[str]) -> None:
    rows = "Artikel;Preis;Menge\nStift;1,20;4\nHeft;2,50;3\n"
    assert table(tmp_path, rows + "\n".join(notes)).text.split("\n")[3:] == notes


def test_a_row_with_spaces_is_no_note(tmp_path: Path) -> None:
    partly = "Anna; left in the spring of 2019"
    assert "Name: Anna; Since: left" in table(tmp_path, f"Name; Since; Role\nBob; 2001; cook\n{partly}").text
    assert "Name: Anna; Since: left" in table(tmp_path, f"Name;Since;Role\n{partly}\nBob;2001;cook\n").text


def test_a_column_without_a_name_is_kept_where_most_rows_have_it(tmp_path: Path) -> None:
    assert "name: Bob; age: 4; y" in table(tmp_path, "name,age\nAnn,3,x\nBob,4,y\nCid,5\n").text


@pytest.mark.parametrize("end", ['Dan,"also ""q"""\n', 'Dan,"to the end\n'])
def test_quotes_that_are_not_closed_cost_one_row(tmp_path: Path, end: str) -> None:
    (document,), skipped = loaded(tmp_path, f'name,note\nAnn,"never closed\nBob,"fine"\nCid,ok\n{end}')
    assert "line 2: a quote is not closed" in skipped[0].message
    assert "name: Bob; note: fine\nname: Cid; note: ok" in document.text
    assert len(skipped) == 1 + ("end" in end)


def test_every_quote_bad_is_still_linear() -> None:
    lines = ['"x,y\n'] + ["a,b\n", '"q"z\n'] * 20_000
    began = time.process_time()
    records = list(read_records(lines, ","))
    assert time.process_time() - began < 5
    assert sum(isinstance(record, Record) for record in records) >= 20_000
    lines = ['a,"b\n'] * 3000 + ['"' + "c" * 100 + "\n"] * 3001
    began = time.process_time()
    assert any(isinstance(record, BadRecord) for record in read_records(lines, ","))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("sample", "delimiter"),
    [
        ("a;b;c\n1,5;2,5;3,5\n", ";"),
        ("a,b\n1,2\n", ","),
        ("a\tb, c\n1\t2\n", "\t"),
        ("a|b|c\nx, y|z|w\n", "|"),
        ("Title of it all\n\na;b;c\n1;2;3\n4;5;6\n", ";"),
        ("sep=;\na;b,c\n", ";"),
        ('name;text\n"a;b,c";one, two, three\nd;four, five, six\n', ";"),
        ("plain\nwords\n", "\x1f"),
    ],
)
def test_delimiters(sample: str, delimiter: str) -> None:
    assert find_delimiter(sample) == delimiter


def test_byte_order_mark_and_declared_delimiter_and_a_bad_byte(tmp_path: Path) -> None:
    (document,), (skipped,) = loaded(tmp_path, b"\xef\xbb\xbfsep=;\nid;name\n1;M\xc3\xbcller\n2;bad\xff\n3;ok\n")
    assert document.text.strip().split("\n") == ["id | name", "id: 1; name: Müller", "", "id: 3; name: ok"]
    assert "line 4 is not valid UTF-8" in skipped.message
    assert table(tmp_path, "id,name\n1,Müller\n".encode("utf-16")).text == "id | name\nid: 1; name: Müller"


def test_texts_are_documents_with_their_fields(tmp_path: Path) -> None:
    content = f"Report\n\nid;Title;Text;id\n1;A;{LONG};x\n\n2;;{LONG};y\n3;C;;z\n4;D;{LONG};x;y\n"
    documents, skipped = loaded(tmp_path, content)
    assert [document.source.rpartition("#")[2] for document in documents] == ["1", "3", "5"]
    assert [document.title for document in documents] == ["A", "Report", "Report"]
    assert documents[2].text == f"4;D;{LONG};x;y"
    assert documents[0].metadata == {"id": "1", "id (4)": "x"}
    assert ["line 7 has no text" in skipped[0].message, "line 8: 5 fields" in skipped[1].message] == [True, True]


def test_long_rows_without_a_text_field_are_documents(tmp_path: Path) -> None:
    documents, _ = loaded(tmp_path, f'question,answer\nWhat?,"{LONG * 5}"\nWho?,"{LONG * 6}"\n')
    assert len(documents) == 2
    assert documents[1].text.startswith(f"question: Who?\nanswer: {LONG}")


def test_a_very_long_table_is_several_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "PIECE_CHARS", 1000)
    rows = "".join(f"item {i},{i}\n" for i in range(200))
    path = tmp_path / "a.csv"
    path.write_text("name,number\n" + rows, encoding="utf-8")
    documents = [part for part in csv.load(path, IndexConfig()) if isinstance(part, Document)]
    assert len(documents) > 3
    assert all("name: item" in document.text.split("\n")[0] for document in documents[1:])
    assert documents[0].source.endswith("#1")
    first = int(documents[1].source.rpartition("#")[2])
    assert documents[1].text.startswith(f"name: item {first - 2};")
    assert sum(document.text.count("name: item") for document in documents) == 200
    lines = path.read_text(encoding="utf-8").split("\n")
    tokenizer = Tokenizer.from_folder(reader_folder("small"))
    for document in documents:  # passages have the lines that their rows have in the file
        for passage in split(document, tokenizer, 40):
            number = passage.text.split("\n")[-1].split(";")[0].removeprefix("name: item ")
            assert lines[passage.line_end - 1].startswith(f"item {number},")


def test_rows_are_documents_or_a_table_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("name,role,city\nMaria Lind,gardener,Uppsala\nKofi Adu,pilot,Accra\n", encoding="utf-8")
    first, second = load(path, IndexConfig(csv_rows="documents"))
    assert isinstance(first, Document) and isinstance(second, Document)
    assert (second.source, second.title, second.metadata["city"]) == (f"{path}#2", "Kofi Adu", "Accra")
    path.write_text(f"title,text\nA,{LONG}\n", encoding="utf-8")
    (only,) = load(path, IndexConfig(csv_rows="table"))
    assert only.source == str(path)
