"""Mail and mailboxes: headers, the text that a mail program shows, and attachments as documents of their own."""

from __future__ import annotations

import time
from email.message import EmailMessage
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document, Skipped

CONFIG = IndexConfig()


def invoice() -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Jürgen Müller <j.mueller@example.org>"
    mail["To"] = "Ana <ana@example.org>"
    mail["Date"] = "Fri, 14 Mar 2025 09:30:00 +0100"
    mail["Subject"] = "Rechnung März"
    mail.set_content("Dear Ana,\n\nthe invoice is attached.\n\n> When does it come?\n")
    return mail


def save(tmp_path: Path, mail: EmailMessage | bytes, name: str = "a.eml") -> Path:
    path = tmp_path / name
    path.write_bytes(mail if isinstance(mail, bytes) else mail.as_bytes())
    return path


def documents(path: Path) -> list[Document]:
    items = list(load(path, CONFIG))
    assert all(isinstance(item, Document) for item in items), items
    return [item for item in items if isinstance(item, Document)]


def test_headers_are_text_and_metadata(tmp_path: Path) -> None:
    (document,) = documents(save(tmp_path, invoice()))
    assert document.title == "Rechnung März"
    assert document.text == (
        "From: Jürgen Müller <j.mueller@example.org>\nTo: Ana <ana@example.org>\n"
        "Date: Fri, 14 Mar 2025 09:30:00 +0100\nSubject: Rechnung März\n\n"
        "Dear Ana,\n\nthe invoice is attached.\n\n> When does it come?"
    )
    assert document.metadata == {
        "author": "Jürgen Müller <j.mueller@example.org>",
        "to": "Ana <ana@example.org>",
        "created": "2025-03-14T09:30:00+01:00",
    }


def test_an_attachment_that_may_hold_passwords_is_not_read(tmp_path: Path) -> None:
    mail = invoice()
    mail.add_attachment(b"TOKEN=hush", maintype="application", subtype="octet-stream", filename="prod.env")
    document, skipped = load(save(tmp_path, mail), CONFIG)
    assert isinstance(document, Document) and isinstance(skipped, Skipped)
    assert "hush" not in document.text
    assert "a.eml#prod.env may hold passwords" in skipped.message and skipped.hint


def test_attachments_are_documents_and_others_are_named(tmp_path: Path) -> None:
    mail = invoice()
    mail.add_attachment(
        b"<h1>Invoice 7</h1><p>Total: 1,250 EUR", maintype="text", subtype="html", filename="in/voice.html"
    )
    mail.add_attachment(b"title,text\nA,first\nB,second\n", maintype="text", subtype="csv", filename="rows.csv")
    mail.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="tool.exe")
    path = save(tmp_path, mail)
    items = list(load(path, CONFIG))
    assert [item.source.removeprefix(str(path)) for item in items] == [
        "", "#in_voice.html", "#rows.csv#1", "#rows.csv#2", "#tool.exe",
    ]  # fmt: skip
    message, page, _, second, skipped = items
    assert isinstance(message, Document) and "Attachments: in/voice.html, rows.csv, tool.exe" in message.text
    assert isinstance(page, Document) and page.text == "Invoice 7\n\nTotal: 1,250 EUR"
    assert isinstance(second, Document) and second.text == "second"
    assert isinstance(skipped, Skipped)
    assert skipped.message.startswith(f"{path}#tool.exe") and "'.exe'" in skipped.message and skipped.hint


def test_the_html_is_read_where_the_plain_text_says_nothing(tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["Subject"] = "News"
    mail.set_content("See HTML")
    mail.add_alternative(
        "<table><tr><th>Day<th>Room</tr><tr><td>Monday<td>12</tr></table>" + "<p>long text of the mail</p>" * 9,
        subtype="html",
    )
    (document,) = documents(save(tmp_path, mail))
    assert "Day: Monday; Room: 12" in document.text
    assert "See HTML" not in document.text


def test_a_mail_inside_a_mail_to_a_bounded_depth(tmp_path: Path) -> None:
    mail = invoice()
    for i in range(6):
        outer = EmailMessage()
        outer["Subject"] = f"Fwd {i}"
        outer.set_content(f"forwarded {i}")
        outer.add_attachment(mail)
        mail = outer
    path = save(tmp_path, mail)
    *read, skipped = load(path, CONFIG)
    assert [item.title for item in read if isinstance(item, Document)] == ["Fwd 5", "Fwd 4", "Fwd 3", "Fwd 2"]
    assert read[1].source == f"{path}#Fwd 4.eml"
    assert isinstance(skipped, Skipped) and "is a mail inside 4 others" in skipped.message


def test_flowed_lines_are_joined_and_raw_utf8_headers_read(tmp_path: Path) -> None:
    raw = (
        "Subject: Größe\nFrom: =?utf-8?q?J=C3=BCrgen?= <a@b.c>\nContent-Transfer-Encoding: 8bit\n"
        "Content-Type: text/plain; charset=utf-8; format=flowed\n\nThe permit \nexpires on 3 July.\n-- \nÄ\n"
    )
    (document,) = documents(save(tmp_path, raw.encode()))
    assert (document.title, document.metadata["author"]) == ("Größe", "Jürgen <a@b.c>")
    assert "The permit expires on 3 July.\n--\nÄ" in document.text


def test_a_mailbox_is_a_document_a_message(tmp_path: Path) -> None:
    one = b"From a@b Fri Mar 14 09:30:00 2025\nSubject: One\n\nFirst text.\n>From here on\n\n"
    two = b"From a@b Fri Mar 15 09:30:00 2025\nSubject: Two\n\nSecond text.\nFrom inside a paragraph\n"
    path = save(tmp_path, one + two, "a.mbox")
    first, second = documents(path)
    assert (first.source, first.title, second.source, second.title) == (f"{path}#1", "One", f"{path}#2", "Two")
    assert first.text.endswith("First text.\nFrom here on")
    assert second.text.endswith("From inside a paragraph")


@pytest.mark.parametrize("name", ["a.eml", "a.mbox"])
def test_a_file_that_is_no_mail_is_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, b"\n\nhello there\n", name)
    with pytest.raises(UnreadableDocumentError, match="is damaged, or no mail"):
        list(load(path, CONFIG))


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: " + b"=?utf-8?q?" * 50_000 + b"\n\ntext",
        b"Content-Type: text/plain; name=" + b'";' * 100_000 + b"\n\ntext",
        b"Content-Type: text/plain; charset=punycode\n\n" + b"text-" * 100_000,
        b"From: " + b"(" * 100_000 + b"\n\ntext",
        b"Content-Disposition: attachment; filename*=punycode''" + b"a-" * 100_000 + b"\n\ntext",
    ],
    ids=["encoded words", "parameters", "charset", "comments", "file name"],
)
def test_hostile_headers_do_not_hold_up_the_reader(tmp_path: Path, raw: bytes) -> None:
    started = time.monotonic()
    list(load(save(tmp_path, b"Subject: text\n" + raw), CONFIG))
    assert time.monotonic() - started < 5


def test_an_attached_text_has_the_name_of_its_file_above_it(tmp_path: Path) -> None:
    mail = invoice()
    mail.add_attachment(b"Veneer 190.00\nFoot 72.00\n", maintype="text", subtype="plain", filename="quote_wieland.txt")
    _, text = load(save(tmp_path, mail), CONFIG)
    assert isinstance(text, Document)
    assert text.text == "quote_wieland.txt\n\nVeneer 190.00\nFoot 72.00"
    assert text.headings[0].text == "quote_wieland.txt" and text.headings[0].start == 0
