"""``/health``, ``/ready``, ``/metrics`` and ``/v1/indexes``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

import ragyena
from ragyena.documents.formats import all_formats
from ragyena.serve.library import ServedIndex
from ragyena.serve.replies import JsonReply
from ragyena.serve.schemas import HealthJson, IndexesJson, IndexJson, WriterJson
from ragyena.serve.state import Serving, ServingDependency

__all__ = ["router"]

router = APIRouter(tags=["server"])


@router.get("/health", response_model=HealthJson)
async def health(serving: ServingDependency) -> Response:
    """The process is there."""
    return JsonReply(_health(serving))


@router.get("/ready", response_model=HealthJson, responses={503: {"model": HealthJson}})
async def ready(serving: ServingDependency) -> Response:
    """Questions are taken: 200, or 503 while the server ends or where its reader has failed."""
    state = _health(serving)
    return JsonReply(state, 200 if state.status == "ok" else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(serving: ServingDependency) -> Response:
    """Figures for Prometheus."""
    return Response(serving.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/indexes", response_model=IndexesJson)
async def indexes(serving: ServingDependency) -> Response:
    """The indexes that are served, and what can be added to them."""
    library = serving.library
    baseline, writer = library.default.baseline, library.default.writer

    def read() -> IndexesJson:
        served = [_index_json(serving, each, default=each is library.default) for each in library]
        return IndexesJson(
            indexes=served,
            reader=Path(library.default.pipeline.reader.name).name,
            baseline=None if baseline is None else Path(baseline.reader.name).name,
            writer=None if writer is None else WriterJson(address=writer.address, model=writer.config.model),
            context_tokens=serving.config.packer.context_tokens,
            formats=sorted(suffix for module in all_formats().values() for suffix in module.SUFFIXES),
            max_file_mb=serving.config.index.max_file_mb,
            max_upload_mb=serving.config.serve.max_upload_mb,
        )

    return JsonReply(await serving.run(read))


def _health(serving: Serving) -> HealthJson:
    status: Literal["ok", "ending", "failed"] = (
        "ending" if serving.ending else "ok" if serving.questions.is_alive() else "failed"
    )
    return HealthJson(status=status, version=ragyena.__version__, waiting=serving.questions.waiting)


def _index_json(serving: Serving, served: ServedIndex, *, default: bool) -> IndexJson:
    served.index.refresh()
    manifest = served.index.manifest
    return IndexJson(
        name=served.name,
        default=default,
        documents=manifest.documents,
        passages=manifest.passages,
        files=manifest.sources,
        embedder=manifest.embedder,
        passage_tokens=manifest.config.passage_tokens,
        read_only=serving.config.serve.read_only,
    )
