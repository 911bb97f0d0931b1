"""``/v1/documents``: upload, list, delete, and show a document where a citation stands."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Query, UploadFile
from fastapi import Path as InPath
from starlette.responses import FileResponse, Response

from ragyena.documents.formats.pdf import SUFFIXES as PDF_SUFFIXES
from ragyena.errors import IndexCorruptError, IndexLockedError, InputError
from ragyena.index.listing import IndexedFile
from ragyena.serve import uploads
from ragyena.serve.jobs import LeftOut
from ragyena.serve.library import ServedIndex
from ragyena.serve.pictures import DRAWN_WIDTHS
from ragyena.serve.problems import NotFoundError, RequestError
from ragyena.serve.replies import JsonReply
from ragyena.serve.schemas import (
    BlockJson,
    BoxesJson,
    BoxJson,
    DocumentJson,
    FileJson,
    FilesJson,
    HeadingJson,
    JobJson,
    LeftOutJson,
    PageJson,
    PagesJson,
    RemovedJson,
    TextJson,
    job_json,
)
from ragyena.serve.state import Serving, ServingDependency
from ragyena.types import Document

__all__ = ["router"]

router = APIRouter(prefix="/v1/documents", tags=["documents"])

IndexName = Annotated[str | None, Query(max_length=255, description="Name of the index; the first if not given.")]
DocumentId = Annotated[int, InPath(ge=1, le=2**53)]
Offset = Annotated[int, Query(ge=0, le=2**53)]
BINARY: dict[str, Any] = {"items": {"type": "string", "format": "binary"}}
MOST_PAGES = 50
"""Pages on which one stretch of text is looked for."""


@router.post("", response_model=JobJson, status_code=202)
async def upload(
    files: Annotated[list[UploadFile], File(min_length=1, max_length=1000, json_schema_extra=BINARY)],
    serving: ServingDependency,
    index: IndexName = None,
) -> Response:
    """Upload files and begin to add them. The response is a job; `/v1/jobs/{job_id}` tells how far it is.

    The same file again changes nothing; another one of the same name is stored beside the first.
    """
    serving.check_writable()
    served = serving.library.get(index)
    limit = serving.config.index.max_file_mb * 1_000_000

    def store() -> tuple[list[Path], list[LeftOut]]:
        stored: list[Path] = []
        left_out: list[LeftOut] = []
        for file in files:
            name = file.filename or ""
            try:
                path = uploads.store(served.uploads, name, file.file, limit)
            except (InputError, RequestError) as error:
                left_out.append(LeftOut(name, error.message, error.hint))
                continue
            if path not in stored:
                stored.append(path)
        return stored, left_out

    stored, left_out = await serving.run(store)
    return JsonReply(job_json(serving.jobs.add(served, stored, left_out)), 202)


@router.get("", response_model=FilesJson)
async def list_documents(
    serving: ServingDependency,
    index: IndexName = None,
    containing: Annotated[str, Query(max_length=500, description="Only paths with this in them.")] = "",
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the files of an index by path, with the documents in each."""
    served = serving.library.get(index)

    def read() -> FilesJson:
        served.index.refresh()
        page = served.index.files(containing=containing, offset=offset, limit=limit)
        files = [_file_json(served, file) for file in page.files]
        return FilesJson(documents=files, total=page.total, offset=offset, limit=limit)

    return JsonReply(await serving.run(read))


@router.get("/{document_id}", response_model=DocumentJson)
async def document(document_id: DocumentId, serving: ServingDependency, index: IndexName = None) -> Response:
    """Describe a document: where it was read from, its pages, headings and tables."""
    served = serving.library.get(index)

    def read() -> DocumentJson:
        document = _document(served, document_id)
        source, state = served.index.file_state(document_id, document.source)
        others = [origin.source for origin in served.index.origins(document_id) if origin.source != source]
        return DocumentJson(
            id=document_id,
            index=served.name,
            title=document.title,
            source=source,
            sources=others,
            characters=len(document.text),
            pages=len(document.page_starts),
            page_labels=list(document.page_labels),
            page_starts=list(document.page_starts),
            headings=[HeadingJson(start=h.start, level=h.level, text=h.text) for h in document.headings],
            blocks=[BlockJson(start=b.start, end=b.end, kind=b.kind, header=list(b.header)) for b in document.blocks],
            metadata=dict(document.metadata),
            file_state=state,
            pictures=_picture_file(served, document_id, document) is not None,
        )

    return JsonReply(await serving.run(read))


@router.get("/{document_id}/text", response_model=TextJson)
async def text(
    document_id: DocumentId,
    serving: ServingDependency,
    index: IndexName = None,
    start: Offset = 0,
    end: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    mark_start: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    mark_end: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> Response:
    """The text of a document or a stretch of it, in parts around the mark from `mark_start` to `mark_end`."""
    served = serving.library.get(index)

    def read() -> TextJson:
        whole = _document(served, document_id).text
        last = len(whole) if end is None else min(end, len(whole))
        first = min(start, last)
        parts: tuple[str, str, str] | tuple[None, None, None] = (None, None, None)
        if mark_start is not None or mark_end is not None:
            begin = min(max(mark_start or 0, first), last)
            finish = last if mark_end is None else min(max(mark_end, begin), last)
            parts = whole[first:begin], whole[begin:finish], whole[finish:last]
        return TextJson(
            id=document_id,
            start=first,
            end=last,
            total=len(whole),
            text=whole[first:last],
            before=parts[0],
            marked=parts[1],
            after=parts[2],
        )

    return JsonReply(await serving.run(read))


@router.get("/{document_id}/pages", response_model=PagesJson)
async def pages(document_id: DocumentId, serving: ServingDependency, index: IndexName = None) -> Response:
    """Count the pages of a document, with the names printed on them and whether they can be shown as pictures."""
    served = serving.library.get(index)

    def read() -> PagesJson:
        document = _document(served, document_id)
        return PagesJson(
            id=document_id,
            pages=len(document.page_starts),
            labels=list(document.page_labels),
            pictures=_picture_file(served, document_id, document) is not None,
        )

    return JsonReply(await serving.run(read))


@router.get(
    "/{document_id}/pages/{page}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def picture(
    document_id: DocumentId,
    page: Annotated[int, InPath(ge=1, le=1_000_000)],
    serving: ServingDependency,
    index: IndexName = None,
    width: Annotated[int, Query(ge=DRAWN_WIDTHS[0], le=DRAWN_WIDTHS[1], description="Pixels.")] = 1000,
) -> Response:
    """A page of a PDF file as a picture."""
    served = serving.library.get(index)

    def draw() -> bytes:
        return serving.pages.picture(_needed_picture_file(served, document_id), page - 1, width)

    content = await serving.run(draw)
    return Response(content, media_type="image/png", headers={"cache-control": "private, max-age=60"})


@router.get("/{document_id}/boxes", response_model=BoxesJson)
async def boxes(
    document_id: DocumentId,
    serving: ServingDependency,
    start: Offset,
    end: Offset,
    index: IndexName = None,
) -> Response:
    """Find where on its pages the characters from `start` to `end` of a PDF file's text stand."""
    served = serving.library.get(index)

    def find() -> BoxesJson:
        document = _document(served, document_id)
        path = _needed_picture_file(served, document_id)
        return BoxesJson(id=document_id, pages=_page_boxes(serving, document, path, start, end))

    return JsonReply(await serving.run(find))


@router.get(
    "/{document_id}/file",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def file(document_id: DocumentId, serving: ServingDependency, index: IndexName = None) -> Response:
    """The file a document was read from, where it is unchanged."""
    served = serving.library.get(index)
    path = await serving.run(lambda: _unchanged_file(served, document_id, _document(served, document_id)))
    if path is None:
        raise NotFoundError("the file is gone or has changed since", hint="its text: /v1/documents/{document_id}/text")
    return FileResponse(
        path, media_type="application/octet-stream", filename=path.name.encode("utf-8", "replace").decode()
    )


@router.delete("/{document_id}", response_model=RemovedJson)
async def delete(document_id: DocumentId, serving: ServingDependency, index: IndexName = None) -> Response:
    """Remove the file of a document from the index, with all documents of it; an uploaded file is deleted too."""
    serving.check_writable()
    served = serving.library.get(index)

    def remove() -> int:
        paths = {origin.path for origin in served.index.origins(document_id)}
        if not paths:
            raise _no_document(served, document_id)
        removed = 0
        for path in paths:
            removed += served.index.remove(path)
            if Path(path).parent == served.uploads:
                Path(path).unlink(missing_ok=True)
        serving.metrics.documents.labels(served.name).set(served.index.manifest.documents)
        return removed

    try:
        removed = await serving.jobs.do(remove, serving.config.serve.timeout_seconds)
    except TimeoutError:
        raise IndexLockedError("documents are being added", hint="try again when that is done") from None
    return JsonReply(RemovedJson(id=document_id, removed=removed))


# --- details


def _no_document(served: ServedIndex, document_id: int) -> NotFoundError:
    return NotFoundError(
        f"index '{served.name}' holds no document {document_id}", hint="GET /v1/documents lists those there are"
    )


def _document(served: ServedIndex, document_id: int) -> Document:
    served.index.refresh()
    try:
        return served.index.document(document_id)
    except IndexCorruptError:
        if served.index.origins(document_id):
            raise
        raise _no_document(served, document_id) from None


def _file_json(served: ServedIndex, file: IndexedFile) -> FileJson:
    return FileJson(
        id=file.document_id,
        name=Path(file.path).name,
        source=file.path,
        title=file.title,
        documents=file.documents,
        bytes=file.size,
        complete=file.complete,
        missing=file.missing,
        uploaded=Path(file.path).parent == served.uploads,
        left_out=[
            LeftOutJson(name=Path(part.source).name, message=part.message, hint=part.hint, is_fault=part.is_fault)
            for part in file.skipped
        ],
    )


def _unchanged_file(served: ServedIndex, document_id: int, document: Document) -> Path | None:
    """The file of a document where it holds what was indexed: nothing else is given out."""
    source, state = served.index.file_state(document_id, document.source)
    if state != "unchanged":
        return None
    return next((Path(origin.path) for origin in served.index.origins(document_id) if origin.source == source), None)


def _picture_file(served: ServedIndex, document_id: int, document: Document) -> Path | None:
    path = _unchanged_file(served, document_id, document)
    return path if path is not None and path.suffix.lower() in PDF_SUFFIXES else None


def _needed_picture_file(served: ServedIndex, document_id: int) -> Path:
    path = _picture_file(served, document_id, _document(served, document_id))
    if path is None:
        raise NotFoundError(
            "pages of this document cannot be shown: it is no PDF file, or the file is gone or has changed",
            hint="its text: /v1/documents/{document_id}/text",
        )
    return path


def _page_boxes(serving: Serving, document: Document, path: Path, start: int, end: int) -> list[PageJson]:
    starts = document.page_starts
    first = max(1, bisect_right(starts, start))
    last = max(first, bisect_right(starts, max(start, min(end, len(document.text)) - 1)))
    found = []
    for page in range(first, min(last, first + MOST_PAGES - 1) + 1):
        page_start = starts[page - 1]
        page_end = starts[page] if page < len(starts) else len(document.text)
        begin, finish = max(start, page_start), min(end, page_end)
        before = (begin - page_start) / max(1, page_end - page_start)
        boxes = serving.pages.boxes(path, page - 1, document.text[begin:finish], before)
        width, height = serving.pages.size(path, page - 1)
        found.append(
            PageJson(
                page=page,
                label=document.page_labels[page - 1] if document.page_labels else None,
                width=width,
                height=height,
                boxes=[BoxJson(x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1) for box in boxes],
            )
        )
    return found
