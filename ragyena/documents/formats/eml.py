"""Mail as saved by a mail program (one message), and mailboxes (many). Attachments are documents of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import LARGEST
from ragyena.documents.mail import Mail, mail_documents, parse_mail
from ragyena.errors import RagyenaError, UnreadableDocumentError
from ragyena.files import read_file
from ragyena.types import Document, Skipped

SUFFIXES = (".eml", ".mbox")
WAY_OUT = {".pst": "export its mails as .eml or .mbox", ".emlx": "export it as .eml"}

_HEADER_FIELD = re.compile(rb"[!-9;-~]{1,80}[ \t]{0,8}:")
_MESSAGE_START = re.compile(rb"^From [^\n]{0,500}\n", re.MULTILINE)


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    data = read_file(path, LARGEST)
    if path.suffix.lower() != ".mbox":
        if not _HEADER_FIELD.match(data.lstrip()):
            raise UnreadableDocumentError(
                f"{path} is damaged, or no mail: it does not begin with a header field", hint="save the mail again"
            )
        mail = parse_mail(data.lstrip(), path)
        yield from mail_documents(mail, path, str(path), config, lambda name, content: open_mail(name, content, path))
        return
    starts = [match.start() for match in _MESSAGE_START.finditer(data)]
    if not starts or starts[0] != 0:
        raise UnreadableDocumentError(
            f"{path} is damaged, or no mailbox: it does not begin with a From line", hint="export the mails again"
        )
    starts = [start for start in starts if start == 0 or data[max(0, start - 2) : start] in {b"\n\n", b"\r\n"}]
    for number, start in enumerate(starts, 1):
        end = starts[number] if number < len(starts) else len(data)
        message = re.sub(rb"^>(>*From )", rb"\1", data[data.index(b"\n", start) + 1 : end], flags=re.MULTILINE)
        source = f"{path}#{number}"
        try:
            mail = parse_mail(message, path)
            yield from mail_documents(mail, path, source, config, lambda name, content: open_mail(name, content, path))
        except RagyenaError as error:
            yield Skipped(source, error.message.replace(str(path), source, 1), error.hint)


def open_mail(name: str, content: bytes, path: Path) -> Mail | None:
    """The mail that an attached file is, None where it is something else."""
    if name.lower().endswith(".eml"):
        return parse_mail(content.lstrip(), path)
    if name.lower().endswith(".msg"):
        from ragyena.documents.formats.msg import parse_msg

        return parse_msg(content, path)
    return None
