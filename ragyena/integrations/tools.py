"""The tools of an assistant on an index: ask, search, read, list and add, each with a result in data and in words.

``ragyena mcp`` carries them over its protocol.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ragyena.config.tools import LISTED, READ_CHARS
from ragyena.errors import IndexNotFoundError, UsageError
from ragyena.files import expanded
from ragyena.index.storage import locate
from ragyena.schemas import (
    AnswerJson,
    CitationJson,
    EvidenceJson,
    MatchJson,
    PassageJson,
    answer_json,
    evidence_json,
    match_json,
)
from ragyena.types import place

if TYPE_CHECKING:  # what loads torch waits for the first call: an assistant waits for its tools to start
    from ragyena.config import PipelineConfig
    from ragyena.index.add import AddReport
    from ragyena.index.index import Index
    from ragyena.pipeline import Pipeline
    from ragyena.types import Answer, Document, Progress

__all__ = ["Added", "Listed", "Matches", "ReadText", "Tools", "answer_words", "evidence_words"]

Range = tuple[int | None, int | None]
"""A first and a last line or page, from 1; None for an open end."""


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def answer_words(answer: AnswerJson) -> str:
    """An answer with its evidence, or what came closest."""
    if answer.answer is None:
        doubtful = answer.closest is not None and answer.confidence < max(answer.closest.probability, 0.5)
        said = "Not certain enough to answer" if doubtful else "Not found in what was read"
        parts = [f"{said} ({answer.confidence:.0%} likely that the answer is not in what was read)."]
        if answer.closest is not None:
            parts.append(f"Closest, {answer.closest.probability:.0%} likely to be the answer: {answer.closest.text}")
            parts.append(_evidence(answer.closest.citation))
        if answer.passages:
            parts += ["The most promising passages:", _numbered(answer.passages)]
        return "\n\n".join(parts)
    if answer.sentences:
        return _sentences_words(answer)
    lines = [f"- {item}" for item in answer.items] or [answer.answer]
    written = ", written from the passages below" if answer.kind == "written" else ""
    evidence = [f"[{n}] {_evidence(each)}" for n, each in enumerate(answer.citations, 1)]
    return "\n\n".join(["\n".join([*lines, f"({answer.confidence:.0%} confident{written})"]), *evidence])


def _sentences_words(answer: AnswerJson) -> str:
    """The sentences of a writer, those marked that nothing supports, and the evidence they rest on."""
    lines = []
    for sentence in answer.sentences:
        marks = "".join(f" [{number}]" for number in sentence.citations)
        doubt = "" if sentence.supported else f" (NOT SUPPORTED by the evidence: {sentence.problem})"
        lines.append(f"{sentence.text}{marks}{doubt}")
    supported = sum(sentence.supported for sentence in answer.sentences)
    lines.append(f"({supported} of {len(answer.sentences)} sentences supported by the evidence)")
    cited = sorted({number for sentence in answer.sentences for number in sentence.citations})
    evidence = [f"[{number}] {_evidence(answer.citations[number - 1])}" for number in cited]
    return "\n\n".join(["\n".join(lines), *evidence])


def evidence_words(evidence: EvidenceJson) -> str:
    """Pieces of evidence with their places."""
    return _numbered(evidence.evidence) or "Nothing in the index matches."


def _evidence(citation: CitationJson) -> str:
    cell = ", ".join(part for part in (citation.row, citation.column) if part)
    return f'{_where(citation)}{f" ({cell})" if cell else ""}\n"{citation.quote}"'


def _numbered(passages: Sequence[PassageJson]) -> str:
    return "\n\n".join(f"[{n}] {_where(passage)}\n{passage.text}" for n, passage in enumerate(passages, 1))


def _where(placed: CitationJson | PassageJson) -> str:
    """``/notes/bridges.md, lines 3-4``, with a warning where the file is no longer what was indexed."""
    notes = {"changed": "this file has changed since it was indexed", "missing": "this file is gone"}
    note = notes.get(getattr(placed, "file_state", None) or "", "")
    return f"{placed.document}, {place(placed)}" + (f" ({note})" if note else "")


class Matches(_Result):
    """Passages found by a search."""

    matches: list[MatchJson]
    """Best first."""

    def words(self) -> str:
        if not self.matches:
            return "Nothing in the index matches."
        return _numbered(self.matches)


class ReadText(_Result):
    """Text of a document, or a part of it."""

    document: str
    """Source of the document, as citations name it."""
    title: str
    text: str
    start: int
    end: int
    """Character offsets of the text in the document."""
    line_start: int
    line_end: int
    """Lines of the text, from 1; of a piece of a long file, those of the file."""
    lines: int
    """The last line of the document."""
    pages: int
    """Pages of the whole document; 0 for formats without pages."""
    next_start: int | None
    """The `start` of the next call, with the same lines or pages; null where all was read."""

    def words(self) -> str:
        head = f"{self.document}, lines {self.line_start}-{self.line_end} of {self.lines}"
        more = f"\n\n(there is more: go on with start={self.next_start})" if self.next_start is not None else ""
        return f"{head}\n\n{self.text}{more}"


def read_text(document: Document, *, lines: Range, pages: Range, start: int | None) -> ReadText:
    """A part of a document, as ``Tools.read`` gives it."""
    text, before = document.text, document.first_line - 1
    line_starts = [0, *(match.end() for match in re.finditer("\n", text) if match.end() < len(text))]
    if lines != (None, None) and pages != (None, None):
        raise UsageError("lines and pages were both given", hint="give one of them")
    if pages != (None, None) and not document.page_starts:
        raise UsageError(f"{document.source} has no pages", hint="give lines")
    if pages != (None, None):
        begin, end = _stretch("page", document.page_starts, pages, len(text))
    else:
        begin, end = _stretch("line", line_starts, lines, len(text), before)
    if start is not None and not begin <= start <= end:
        raise UsageError(
            f"start={start} is outside of what is to be read, characters {begin} to {end}",
            hint="give the next_start of the call before, with the same lines or pages",
        )
    begin = begin if start is None else start
    cut = begin + READ_CHARS
    if cut < end:  # at the beginning of a line, where one is near enough
        following = end = max((at for at in line_starts[bisect_right(line_starts, begin) :] if at <= cut), default=cut)
    else:
        following = None
    return ReadText(
        document=document.source,
        title=document.title,
        text=text[begin:end],
        start=begin,
        end=end,
        line_start=before + bisect_right(line_starts, begin),
        line_end=before + bisect_right(line_starts, max(begin, end - 1)),
        lines=before + len(line_starts),
        pages=len(document.page_starts),
        next_start=following,
    )


def _stretch(unit: str, starts: Sequence[int], wanted: Range, length: int, before: int = 0) -> tuple[int, int]:
    """The characters from the first to the last of the wanted lines or pages, which begin at ``starts``; the numbers of
    those ``before`` them are not in the text."""
    first, last = (None if number is None else number - before for number in wanted)
    first, last = 1 if first is None else first, len(starts) if last is None else min(last, len(starts))
    if not 1 <= first <= last:
        held = f"has {unit}s {before + 1:,} to {before + len(starts):,}" if before else f"has {len(starts):,} {unit}s"
        raise UsageError(
            f"there are no {unit}s {before + first} to {wanted[1] or 'the last'}", hint=f"the document {held}"
        )
    return starts[first - 1], starts[last] if last < len(starts) else length


class ListedFile(_Result):
    path: str
    """Path of the file, or the name of a document that has none."""
    title: str
    """The title of its first document."""
    documents: int
    """Documents read from it; rows of a table-like file may be a document each, `PATH#1`, `PATH#2`, ..."""
    bytes: int
    missing: bool
    """True where the file is gone."""


class Listed(_Result):
    """Files of an index."""

    files: list[ListedFile]
    total: int
    """Files in all that have the wanted text in their path."""
    next_offset: int | None
    """The `offset` of the next ones; null where these are the last."""

    def words(self) -> str:
        lines = [file.path + (f" ({file.documents:,} documents)" if file.documents != 1 else "") for file in self.files]
        shown = f"{len(self.files):,} of {self.total:,} files"
        more = f"; go on with offset={self.next_offset}" if self.next_offset is not None else ""
        return "\n".join([shown + more, *lines])


class NotAdded(_Result):
    path: str
    reason: str
    hint: str


class Added(_Result):
    """The result of adding files."""

    added: int
    """Files that are new in the index."""
    replaced: int
    """Files that had changed."""
    unchanged: int
    documents: int
    """Documents of the index now."""
    not_added: list[NotAdded]
    """Files and parts of files that could not be read; the others were added."""

    def words(self) -> str:
        lines = [
            f"{self.added:,} files added, {self.replaced:,} replaced, {self.unchanged:,} unchanged; "
            f"{self.documents:,} documents in the index",
            *(f"not added: {failure.reason} ({failure.hint})" for failure in self.not_added),
        ]
        return "\n".join(lines)


class Tools:
    """An index, opened at its first use, and a reader, loaded at the first question.

    Calls take turns, apart from additions, which go on beside them. Each answers from what the index holds then,
    whichever process wrote it.
    """

    def __init__(self, index: str | None, config: PipelineConfig, *, allowed: Sequence[Path] = ()) -> None:
        """``allowed`` are the folders and files that may be added."""
        self.config = config
        self.folder = locate(index, config)
        self.allowed = tuple(expanded(path).resolve() for path in allowed)
        self._index: Index | None = None
        self._pipeline: Pipeline | None = None
        self._turn = threading.Lock()
        self._adding = threading.Lock()

    def ask(self, question: str, filters: Mapping[str, str] | None = None) -> AnswerJson:
        """Answer a question, as ``Pipeline.ask`` does and with its errors, or as ``AnswerWriter.ask`` does where the
        settings name a writer. Passages come with no answer alone."""
        from ragyena.pipeline import checked_question

        checked_question(question)
        answer = answer_json(self._written(question, filters) if self.writes else self._read(question, filters))
        return answer if answer.answer is None else answer.model_copy(update={"passages": []})

    @property
    def writes(self) -> bool:
        """True where the settings name a writer, to which ``ask`` sends the question and its evidence."""
        return self.config.writer.url is not None

    def _read(self, question: str, filters: Mapping[str, str] | None) -> Answer:
        with self._turn:
            return self._reading().ask(question, filters=filters)

    def _written(self, question: str, filters: Mapping[str, str] | None) -> Answer:
        """An answer of the writer, which is waited for out of turn."""
        from ragyena.integrations.writer import AnswerWriter

        with self._turn:
            writer = AnswerWriter(self._reading())
            evidence = writer.evidence(question, filters=filters)
        draft = writer.write(evidence)
        with self._turn:
            return writer.checked(draft)

    def select(self, question: str, tokens: int, filters: Mapping[str, str] | None = None) -> EvidenceJson:
        """The sentences of ``tokens`` tokens that bear most on a question, as ``Pipeline.select`` chooses them."""
        from ragyena.pipeline import checked_question

        checked_question(question)
        with self._turn:
            return evidence_json(self._reading().select(question, tokens=tokens, filters=filters))

    def search(self, query: str, limit: int, filters: Mapping[str, str] | None = None) -> Matches:
        """The best ``limit`` passages, as ``Index.search`` finds them and with its errors."""
        with self._turn:
            index = self._current()
            found = index.search(query, k=limit, filters=filters)
            states = [index.file_state(match.passage.document_id, match.passage.source)[1] for match in found]
        return Matches(matches=[match_json(match, state) for match, state in zip(found, states, strict=True)])

    def read(
        self, document: str, *, lines: Range = (None, None), pages: Range = (None, None), start: int | None = None
    ) -> ReadText:
        """Text of a document, or some of its lines or pages: at most READ_CHARS characters from ``start`` on.

        Raises PathNotFoundError, and UsageError where several documents have that name or the place is not in it.
        """
        with self._turn:
            found = self._current().find(document)
        return read_text(found, lines=lines, pages=pages, start=start)

    def files(self, containing: str = "", offset: int = 0, limit: int = LISTED) -> Listed:
        """Files by path, those with ``containing`` in it, whatever its case."""
        with self._turn:
            page = self._current().files(containing=containing, offset=offset, limit=limit)
        files = [
            ListedFile(
                path=file.path, title=file.title, documents=file.documents, bytes=file.size, missing=file.missing
            )
            for file in page.files
        ]
        following = offset + limit if offset + limit < page.total else None
        return Listed(files=files, total=page.total, next_offset=following)

    def add(self, paths: Sequence[str], progress: Progress) -> Added:
        """Add files and folders, making the index where there is none.

        A file that a link leads to outside of the allowed folders is not added. Raises UsageError for such a path, and
        what ``Index.add`` raises.
        """
        from ragyena.documents.walk import find_files

        if not paths:
            raise UsageError("no path was given", hint="name files or folders to add")
        named = [expanded(path) for path in paths]
        for path in named:
            if not self._may_add(path):
                allowed = ", ".join(map(str, self.allowed))
                raise UsageError(f"{path} may not be added", hint=f"name files or folders in: {allowed}")
        files = find_files(named, self.config.index.exclude, outside=self.folder).files
        refused = [file for file in files if not self._may_add(file)]
        wanted = [file for file in files if file not in set(refused)] or named[: not refused]
        with self._adding:
            report = self._add(wanted, progress)
        hint = f"allowed: {', '.join(map(str, self.allowed))}"
        failures = [NotAdded(path=str(path), reason=f"{path} leads to another folder", hint=hint) for path in refused]
        failures += [NotAdded(path=each.path, reason=each.message, hint=each.hint) for each in report.failed]
        failures += [NotAdded(path=each.source, reason=each.message, hint=each.hint) for each in report.skipped]
        return Added(
            added=report.added,
            replaced=report.replaced,
            unchanged=report.unchanged,
            documents=report.total_documents,
            not_added=failures,
        )

    def close(self) -> None:
        """Close the index."""
        with self._turn:
            if self._index is not None:
                self._index.close()
            self._index = self._pipeline = None

    def _may_add(self, path: Path) -> bool:
        resolved = path.resolve()
        return any(resolved.is_relative_to(allowed) for allowed in self.allowed)

    def _add(self, paths: Sequence[Path], progress: Progress) -> AddReport:
        with self._turn:
            try:
                index = self._current()
            except IndexNotFoundError:
                index = None
        if index is not None:
            return index.add(paths, progress=progress)
        from ragyena.index.index import Index

        with Index.open(self.folder, create=True, lazy=True, settings=self.config) as made:
            return made.add(paths, progress=progress)

    def _reading(self) -> Pipeline:
        """The pipeline on the current index, in a turn."""
        from ragyena.pipeline import Pipeline

        index = self._current()
        if self._pipeline is None:
            self._pipeline = Pipeline.open(index, settings=self.config)
        self._pipeline.refresh()
        return self._pipeline

    def _current(self) -> Index:
        """The index with what others have written to it, in a turn."""
        from ragyena.index.index import Index

        if self._index is None:
            self._index = Index.open(self.folder, lazy=True, settings=self.config)
        self._index.refresh()
        return self._index
