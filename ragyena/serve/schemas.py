"""The JSON of ragyena's own API: what requests hold, and what comes back beside answers and passages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from ragyena.config import EvidenceConfig, PackerConfig, ReaderConfig, RetrieverConfig
from ragyena.schemas import MatchJson
from ragyena.serve.jobs import Job, JobState
from ragyena.serve.problems import ErrorBody, ErrorDetail

__all__ = [
    "AskRequest",
    "BoxesJson",
    "DocumentJson",
    "FileJson",
    "FilesJson",
    "Filters",
    "HealthJson",
    "IndexJson",
    "IndexesJson",
    "JobJson",
    "JobsJson",
    "LeftOutJson",
    "PagesJson",
    "RemovedJson",
    "SearchJson",
    "SearchRequest",
    "SelectRequest",
    "TextJson",
    "TurnJson",
    "WriterJson",
    "job_json",
]

LONGEST_QUESTION = 20_000
"""Characters. What the reader takes is less, and refused by name."""
WITH_A_WORD = {"pattern": r"[\p{L}\p{N}]"}
"""Told to clients, and refused by name: there is an error of its own for an empty question."""
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_QUESTION, json_schema_extra=WITH_A_WORD)]
Filters = Annotated[
    dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=2000)]], Field(max_length=32)
]
Name = Annotated[str, Field(max_length=255)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Reply(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


def _limits(config: type[BaseModel], name: str) -> list[object]:
    """The limits of a setting: a request that gives it has the same."""
    return list(config.model_fields[name].metadata)


def _one_of_two(first: str, second: str) -> JsonDict:
    """A rule of a schema: two whole numbers, of which a request gives one at most."""
    return {"not": {"required": [first, second], "properties": {name: {"type": "integer"} for name in (first, second)}}}


class TurnJson(_Request):
    """A question that was asked before, and its answer."""

    question: Text
    answer: Annotated[str, Field(max_length=LONGEST_QUESTION)] = ""
    """Empty where it was withheld."""


class AskRequest(_Request):
    question: Text
    history: Annotated[list[TurnJson], Field(max_length=50)] = []
    """Earlier turns, oldest first, each `question` as the answer gave it: a follow-up ("and in 2022?") is made
    a whole question by it, which is the `question` of the answer."""
    index: Name | None = None
    """Name of the index; the first of the server where there is none."""
    filters: Filters = {}
    """Only documents whose source, title or metadata field matches: `{"lang": "en"}`."""
    context_tokens: Annotated[int | None, *_limits(PackerConfig, "context_tokens")] = None
    top_k: Annotated[int | None, *_limits(RetrieverConfig, "top_k")] = None
    threshold: Annotated[float | None, *_limits(ReaderConfig, "threshold")] = None
    reader: Literal["baseline"] | None = None
    """`baseline`: the second reader of the server answers (`serve.baseline`). Not with a writer."""
    writer: bool | None = None
    """False: the reader answers, though the server has a writer; true: refuse where it has none."""
    explain: bool = False
    """Include what was done with every retrieved passage (`packing`)."""
    id: Annotated[str, Field(max_length=200)] | Annotated[int, Field(ge=-(2**53), le=2**53)] | None = None
    """Comes back with the answer."""
    stream: bool = False
    """Send stages as they end, then the answer, as server-sent events."""


class SelectRequest(_Request):
    model_config = ConfigDict(json_schema_extra=_one_of_two("passages", "tokens"))

    question: Text
    index: Name | None = None
    passages: Annotated[int | None, *_limits(EvidenceConfig, "passages")] = None
    """The most whole passages."""
    tokens: Annotated[int | None, *_limits(EvidenceConfig, "tokens")] = None
    """Sentences instead of passages, of at most so many tokens together. Not with `passages`."""
    filters: Filters = {}
    context_tokens: Annotated[int | None, *_limits(PackerConfig, "context_tokens")] = None


class SearchRequest(_Request):
    query: Text
    index: Name | None = None
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    filters: Filters = {}
    mode: Literal["hybrid", "dense", "lexical"] | None = None


class SearchJson(_Reply):
    schema_: Literal["ragyena.index.search/1"] = Field(default="ragyena.index.search/1", alias="schema")
    query: str
    searched_for: str
    passages: list[MatchJson]


class IndexJson(_Reply):
    name: str
    default: bool
    documents: int
    passages: int
    files: int
    embedder: str
    passage_tokens: int
    read_only: bool


class WriterJson(_Reply):
    address: str
    """The address that the question and the evidence go to."""
    model: str


class IndexesJson(_Reply):
    indexes: list[IndexJson]
    reader: str
    baseline: str | None
    """The second reader, where there is one."""
    writer: WriterJson | None
    """The model that writes answers from the evidence, where there is one."""
    context_tokens: int
    """The budget of a question that names none."""
    formats: list[str]
    """Endings of the files that can be added."""
    max_file_mb: int
    max_upload_mb: float


class LeftOutJson(_Reply):
    name: str
    """Name of the file, with the part where it is one: `notes.jsonl#7`."""
    message: str
    hint: str
    is_fault: bool
    """False for a part that the file itself hides, such as a hidden sheet."""


class FileJson(_Reply):
    """A file in an index, or a document given in Python."""

    id: int | None
    """Id of its first document, for the other routes; null where nothing of it was read."""
    name: str
    source: str
    title: str
    documents: int
    """More than one for files whose rows are documents."""
    bytes: int
    complete: bool
    missing: bool
    """The file was not there when the index last looked."""
    uploaded: bool
    left_out: list[LeftOutJson]


class FilesJson(_Reply):
    documents: list[FileJson]
    total: int
    offset: int
    limit: int


class DocumentJson(_Reply):
    """One document."""

    id: int
    index: str
    title: str
    source: str
    """Place it was read from."""
    sources: list[str]
    """Other places of the same content."""
    characters: int
    pages: int
    """0 for formats without pages."""
    page_labels: list[str]
    page_starts: list[int]
    """Character offset at which each page starts."""
    headings: list[HeadingJson]
    blocks: list[BlockJson]
    """Tables, lists and code."""
    metadata: dict[str, str]
    file_state: Literal["unchanged", "changed", "missing"] | None
    pictures: bool
    """Pages can be shown as pictures."""


class HeadingJson(_Reply):
    start: int
    level: int
    text: str


class BlockJson(_Reply):
    start: int
    end: int
    kind: str
    header: list[str]
    """Column names of a table."""


class TextJson(_Reply):
    id: int
    start: int
    end: int
    total: int
    """Characters of the whole text."""
    text: str
    """`document.text[start:end]`. Offsets count Unicode characters, as Python does: not UTF-16 units."""
    before: str | None
    marked: str | None
    after: str | None
    """The text in three parts around the characters from `mark_start` to `mark_end`, where those were given."""


class BoxJson(_Reply):
    x0: float
    y0: float
    x1: float
    y1: float


class PageJson(_Reply):
    page: int
    """From 1."""
    label: str | None
    width: float
    height: float
    """In points."""
    boxes: list[BoxJson]
    """As parts of width and height, from the upper left corner; empty where the text was not found on the page."""


class BoxesJson(_Reply):
    id: int
    pages: list[PageJson]


class PagesJson(_Reply):
    id: int
    pages: int
    labels: list[str]
    pictures: bool


class RemovedJson(_Reply):
    id: int
    removed: int
    """Documents removed."""


class JobJson(_Reply):
    """An addition."""

    id: str
    index: str
    state: JobState
    files: list[str]
    """Names under which the files are stored."""
    stage: str
    """Work at hand."""
    done: int
    total: int | None
    unit: str
    status: str
    """The file at hand."""
    seconds_left: float | None
    """Seconds that the stage will still take."""
    left_out: list[LeftOutJson]
    added: int
    replaced: int
    unchanged: int
    duplicates: list[str]
    """Names whose content the index holds already."""
    documents: int
    passages: int
    seconds: float | None
    error: ErrorDetail | None
    created: float
    ended: float | None
    """Seconds since 1970."""


class JobsJson(_Reply):
    jobs: list[JobJson]


class HealthJson(_Reply):
    status: Literal["ok", "ending", "failed"]
    version: str
    waiting: int
    """Questions that wait for the reader."""


DocumentJson.model_rebuild()


def job_json(job: Job) -> JobJson:
    """Convert a job to its JSON form."""
    import json
    from pathlib import Path

    from ragyena.serve.problems import error_json

    report = job.report
    error = None if job.error is None else ErrorBody.model_validate(json.loads(error_json(job.error))).error
    return JobJson(
        id=job.id,
        index=job.served.name,
        state=job.state,
        files=[path.name for path in job.files],
        stage=job.stage,
        done=job.done,
        total=job.total,
        unit=job.unit,
        status=job.status,
        seconds_left=job.seconds_left,
        left_out=[
            LeftOutJson(name=left.name, message=left.message, hint=left.hint, is_fault=left.is_fault)
            for left in job.left_out
        ],
        added=report.added if report else 0,
        replaced=report.replaced if report else 0,
        unchanged=report.unchanged if report else 0,
        duplicates=[Path(duplicate.source).name for duplicate in report.duplicates] if report else [],
        documents=report.documents if report else 0,
        passages=report.passages if report else 0,
        seconds=report.seconds if report else None,
        error=error,
        created=job.created,
        ended=job.ended,
    )
