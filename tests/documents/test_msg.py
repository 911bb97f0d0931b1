"""Outlook messages: the same as mail, from the properties of a compound file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from outlook import Tree, binary, fixed, text, write_compound

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document, Skipped

SENT = (1_741_941_000 + 11_644_473_600) * 10_000_000
"""2025-03-14 08:30:00 UTC in ticks since 1601."""


def items(tmp_path: Path, tree: Tree) -> list[Document | Skipped]:
    path = tmp_path / "a.msg"
    write_compound(path, tree)
    return list(load(path, IndexConfig()))


def test_text_headers_and_attachments(tmp_path: Path) -> None:
    inner = {**text(0x0037, "Inner mail"), **text(0x1000, "Inner text."), **fixed(24, {})}
    read = items(
        tmp_path,
        {
            **text(0x0037, "Rechnung März"),
            **text(0x1000, "The invoice is attached.\r\nRegards"),
            **text(0x0C1A, "Jürgen Müller"),
            **text(0x5D01, "j@example.org"),
            **text(0x0E04, "Ana"),
            **fixed(32, {0x0039: SENT}),
            "__attach_version1.0_#00000000": {
                **text(0x3707, "invoice.html"),
                **binary(0x3701, b"<p>Total: 1,250 EUR"),
                **fixed(8, {}),
            },
            "__attach_version1.0_#00000001": {"__substg1.0_3701000D": inner, **fixed(8, {}), **text(0x3001, "Fwd")},
        },
    )
    message, page, forwarded = read
    assert isinstance(message, Document) and isinstance(page, Document) and isinstance(forwarded, Document)
    assert message.title == "Rechnung März"
    assert message.text == (
        "From: Jürgen Müller <j@example.org>\nTo: Ana\nDate: Fri, 14 Mar 2025 08:30:00 +0000\nSubject: Rechnung März\n"
        "Attachments: invoice.html, Fwd.msg\n\nThe invoice is attached.\nRegards"
    )
    assert message.metadata["created"] == "2025-03-14T08:30:00+00:00"
    assert (page.source, page.text) == (f"{message.source}#invoice.html", "Total: 1,250 EUR")
    assert (forwarded.source, forwarded.title) == (f"{message.source}#Fwd.msg", "Inner mail")
    assert forwarded.text.endswith("Inner text.")


def test_an_html_body(tmp_path: Path) -> None:
    page = "<p>Größe: <b>12</b></p>".encode("cp1252")
    (document,) = items(tmp_path, {**text(0x0037, "S"), **binary(0x1013, page), **fixed(32, {0x3FDE: 1252})})
    assert isinstance(document, Document)
    assert document.text.endswith("Größe: 12")


def test_a_body_of_compressed_rtf(tmp_path: Path) -> None:
    rtf = rb"{\rtf1\ansi The lease ends in \b October\b0.\par}"
    packed = b"".join(b"\0" + rtf[i : i + 8] for i in range(0, len(rtf), 8))  # literals alone
    packed += b"\x01" + struct.pack(">H", ((207 + len(rtf)) % 4096) << 4)
    data = struct.pack("<4I", len(packed) + 12, len(rtf), 0x75465A4C, 0) + packed
    (document,) = items(tmp_path, {**text(0x0037, "Lease"), **binary(0x1009, data), **fixed(32, {})})
    assert isinstance(document, Document)
    assert document.text.endswith("The lease ends in October.")


def test_a_message_attached_to_a_mail(tmp_path: Path) -> None:
    from email.message import EmailMessage

    write_compound(tmp_path / "b.msg", {**text(0x0037, "Old"), **text(0x1000, "Old text."), **fixed(32, {})})
    mail = EmailMessage()
    mail["Subject"] = "New"
    mail.set_content("See attached.")
    content = (tmp_path / "b.msg").read_bytes()
    mail.add_attachment(content, maintype="application", subtype="vnd.ms-outlook", filename="b.msg")
    path = tmp_path / "a.eml"
    path.write_bytes(mail.as_bytes())
    _, attached = load(path, IndexConfig())
    assert isinstance(attached, Document)
    assert (attached.source, attached.title) == (f"{path}#b.msg", "Old")


@pytest.mark.parametrize("damage", ["text", "half", "empty tree"])
def test_damaged(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.msg"
    write_compound(path, {**text(0x0037, "S"), **text(0x1000, "text " * 900), **fixed(32, {})})
    content = path.read_bytes()
    path.write_bytes({"text": b"no message\n" * 99, "half": content[:900], "empty tree": content[:512]}[damage])
    with pytest.raises(UnreadableDocumentError, match=r"a\.msg (is damaged|holds no text)"):
        list(load(path, IndexConfig()))
