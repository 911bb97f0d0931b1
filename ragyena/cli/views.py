"""Answers, passages and packing logs on a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ragyena.cli.console import short_path
from ragyena.cli.terminal import one_line, visible
from ragyena.types import Answer, Citation, Evidence, FileState, PackingLog, ScoredPassage, place

__all__ = ["answer_view", "evidence_view", "packing_view", "passages_view", "spelt_view", "timings_line"]

EXCERPT = 300
"""Characters of a passage shown in a list."""
_SPACES = re.compile(r"[ \t\r\n\f\v\u00a0\u2028\u2029]+")


def answer_view(answer: Answer, console: Console) -> RenderableType:
    """The answer on top, how sure the reader is, the evidence, the time it took."""
    parts: list[RenderableType] = []
    if answer.kind == "withheld":
        parts += _withheld_view(answer, console)
    elif answer.sentences:
        parts += _written_view(answer, console)
    else:
        lines = [f"- {item}" for item in answer.items] or [answer.text]
        parts += [_text(line, style="bold green") for line in lines]
        kind = ", written from the passages below" if answer.kind == "written" else ""
        kind = f", computed: {one_line(answer.computed)}" if answer.computed else kind
        parts.append(_text(f"  {answer.confidence:.0%} confident{kind}", style="dim"))
        parts.append(Text(""))
        parts += [_citation_view(n, citation, console) for n, citation in enumerate(answer.citations, 1)]
    parts.append(Text(""))
    parts.append(Text(f"  {timings_line(answer)}", style="dim"))
    return Group(*parts)


def timings_line(answer: Answer) -> str:
    """``retrieve 40 ms, pack 12 ms, read 1.2 s; 34 passages, 8,120 of 8,192 tokens``."""
    stages = _stages(answer.timings)
    if answer.log is None:
        return stages
    count = len(answer.passages)
    plural = "" if count == 1 else "s"
    return f"{stages}; {count} passage{plural}, {answer.log.used_tokens:,} of {answer.log.context_tokens:,} tokens"


def spelt_view(query: str) -> RenderableType:
    """The query that was searched for, where it is not the one given."""
    return _text(f"searched for: {query}", style="dim")


def passages_view(passages: Sequence[ScoredPassage], states: Sequence[FileState | None] = ()) -> RenderableType:
    """Passages with place and score, the beginning of each, and a warning by the state of its file."""
    parts: list[RenderableType] = []
    for number, (scored, state) in enumerate(zip_longest(passages, states[: len(passages)]), 1):
        parts.append(_head(number, scored.passage.source, place(scored.passage), f"score {scored.score:.4f}"))
        parts += _file_note(state)
        excerpt = " ".join(scored.passage.text.split())
        shortened = excerpt[:EXCERPT] + (" ..." if len(excerpt) > EXCERPT else "")
        parts.append(Padding(_text(shortened), (0, 0, 0, 5), expand=False))
    return Group(*parts)


def evidence_view(evidence: Evidence) -> RenderableType:
    """Each piece line by line, under its place, its headings and its share of the evidence; then the time it took."""
    parts: list[RenderableType] = []
    for number, piece in enumerate(evidence.pieces, 1):
        share = f"{piece.score:.0%}" if piece.score >= 0.005 else "under 1%"
        detail = f"{share}, {piece.tokens} tokens"
        parts.append(_head(number, piece.passage.source, place(piece.passage), detail))
        parts += _file_note(piece.file_state)
        for line in (piece.passage.header, " | ".join(piece.passage.table_header)):
            if line:
                parts.append(Padding(_text(line, style="dim"), (0, 0, 0, 5), expand=False))
        lines = [visible(line.rstrip()) for line in piece.text.splitlines() if line.strip()]
        parts += [Padding(Text(line), (0, 0, 0, 5), expand=False) for line in lines]
        parts.append(Text(""))
    if not parts:
        read_any = evidence.log is not None and evidence.log.slot_tokens > 0
        none = (
            "no sentence is short enough: give more tokens" if read_any else "nothing in the index matches the question"
        )
        parts += [Text(none, style="bold"), Text("")]
    count = len(evidence.pieces)
    total = f"{count} piece{'' if count == 1 else 's'}, {evidence.tokens:,} tokens"
    read = "" if evidence.log is None else f" of {evidence.log.used_tokens:,} read"
    parts.append(Text(f"  {_stages(evidence.timings)}; {total}{read}", style="dim"))
    return Group(*parts)


def packing_view(log: PackingLog) -> RenderableType:
    """The outcome for every candidate, and the use of the budget."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("slot", "score", "tokens"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("passage", overflow="fold")
    for entry in log.entries:
        table.add_row(
            "-" if entry.slot is None else str(entry.slot),
            f"{entry.score:.4f}",
            str(entry.tokens),
            entry.outcome,
            f"{one_line(_tail(entry.source))} ({entry.passage_id})" + (f": {entry.detail}" if entry.detail else ""),
        )
    padding = log.used_tokens - log.filled_tokens
    slots = sum(entry.slot is not None for entry in log.entries)
    account = (
        f"budget {log.context_tokens:,} tokens: question {log.question_tokens:,}, "
        f"{slots} slots of {log.slot_tokens:,}; "
        f"used {log.used_tokens:,}, of which {padding:,} padding; free {log.context_tokens - log.used_tokens:,}"
    )
    return Group(table, Text(""), Text(account))


def _written_view(answer: Answer, console: Console) -> list[RenderableType]:
    """The sentences of a writer, those marked that nothing supports, and the evidence they rest on."""
    parts: list[RenderableType] = []
    for sentence in answer.sentences:
        marks = "".join(f" [{number}]" for number in sentence.citations)
        text = _text(sentence.text, style="bold green" if sentence.supported else "bold yellow")
        text.append(marks, style="cyan")
        if sentence.problem is not None:
            text.append("  not supported: ", style="yellow").append_text(_text(sentence.problem, style="yellow"))
        parts.append(text)
    supported = sum(sentence.supported for sentence in answer.sentences)
    parts.append(Text(f"  {supported} of {len(answer.sentences)} sentences supported by the evidence", style="dim"))
    parts.append(Text(""))
    cited = sorted({number for sentence in answer.sentences for number in sentence.citations})
    return [*parts, *(_citation_view(number, answer.citations[number - 1], console) for number in cited)]


def _withheld_view(answer: Answer, console: Console) -> list[RenderableType]:
    """Doubt, and what comes closest. That nothing was found is said only where this is likelier than that candidate,
    and than not."""
    doubtful = answer.closest is not None and answer.confidence < max(answer.closest.probability, 0.5)
    said = "Not certain enough to answer" if doubtful else "Not found in what was read"
    parts: list[RenderableType] = [Text(said, style="bold")]
    if not answer.passages:
        return [*parts, Text("  nothing in the index matches the question", style="dim")]
    if "write" in answer.timings:
        parts.append(Text("  the writer found no answer in the evidence", style="dim"))
    else:
        where = "what was read" if doubtful else "it"
        parts.append(Text(f"  {answer.confidence:.0%} likely that the answer is not in {where}", style="dim"))
    if answer.closest is None:
        return parts if "write" in answer.timings else [*parts, Text("  and nothing in it comes close", style="dim")]
    parts.append(Text(""))
    closest = Text("  closest: ").append_text(_text(answer.closest.text, style="bold"))
    parts.append(closest.append(f"  {answer.closest.probability:.0%} likely to be the answer", style="dim"))
    return [*parts, _citation_view(None, answer.closest.citation, console)]


def _citation_view(number: int | None, citation: Citation, console: Console) -> RenderableType:
    quote = _marked(citation, colour=console.color_system is not None)
    if citation.column is not None and citation.answer_start is not None and citation.answer_end is not None:
        cell = citation.quote[citation.answer_start : citation.answer_end]
        quote = _text(f"{citation.column}: {cell} - row ").append_text(quote)
    head = _head(number, citation.source, place(citation), "")
    return Group(head, *_file_note(citation.file_state), Padding(quote, (0, 0, 0, 5), expand=False))


def _file_note(state: FileState | None) -> list[RenderableType]:
    """A warning where what is shown is no longer what the file holds."""
    notes = {"changed": "this file has changed since it was indexed", "missing": "this file is gone"}
    if state is None or state not in notes:
        return []
    text = Text(f"{notes[state]}; `ragyena index sync` of its folder brings the index in line", style="yellow")
    return [Padding(text, (0, 0, 0, 5), expand=False)]


def _head(number: int | None, source: str, where: str, detail: str) -> RenderableType:
    """Number and place; text that does not fit on one line continues under the place."""
    text = Text(short_path(source), style="cyan", overflow="fold")
    text.append(f", {where}", style="default")
    if detail:
        text.append(f"  {detail}", style="default dim")
    grid = Table.grid(padding=0)
    grid.add_row(Text(f"  {'' if number is None else number:<3}", no_wrap=True), text)
    return grid


def _marked(citation: Citation, *, colour: bool) -> Text:
    """The quote with the answer marked: in bold where there is colour, between asterisks where there is none."""
    if citation.answer_start is None or citation.answer_end is None:
        return _text(f'"{citation.quote}"')
    before, answer, after = (
        citation.quote[: citation.answer_start],
        citation.quote[citation.answer_start : citation.answer_end],
        citation.quote[citation.answer_end :],
    )
    text = _text('"' + before)
    text.append_text(_text(answer if colour else f"**{answer}**", style="bold green" if colour else ""))
    return text.append_text(_text(after + '"'))


def _text(text: str, style: str = "") -> Text:
    """Text of a document on one line, though it may run over line breaks and paragraphs, its controls written out."""
    return Text(visible(_SPACES.sub(" ", text)), style=style)


def _tail(source: str) -> str:
    """The last two parts of a path, for lists of many."""
    parts = source.rsplit("/", 2)
    return "/".join(parts[-2:]) if len(parts) > 1 else source


def _stages(timings: Mapping[str, float]) -> str:
    return ", ".join(f"{stage} {_seconds(spent)}" for stage, spent in timings.items() if stage != "total")


def _seconds(spent: float) -> str:
    return f"{spent * 1000:.0f} ms" if spent < 1 else f"{spent:.1f} s"
