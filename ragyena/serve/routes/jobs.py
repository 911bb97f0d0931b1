"""``/v1/jobs``: how far an addition is, and what was left out of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from starlette.responses import Response, StreamingResponse

from ragyena.serve.jobs import Job
from ragyena.serve.replies import JsonReply
from ragyena.serve.schemas import JobJson, JobsJson, job_json
from ragyena.serve.sse import EVENT_STREAM, EventStream, frame
from ragyena.serve.state import Serving, ServingDependency

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs", tags=["documents"])
JobId = Annotated[str, InPath(max_length=64)]
LOOK_SECONDS = 0.2


@router.get("", response_model=JobsJson)
async def list_jobs(serving: ServingDependency) -> Response:
    """The additions of this server, the newest first."""
    return JsonReply(JobsJson(jobs=[job_json(job) for job in serving.jobs.all()]))


@router.get("/{job_id}", response_model=JobJson)
async def job(job_id: JobId, serving: ServingDependency) -> Response:
    """Show how far an addition is, and what came of it."""
    return JsonReply(job_json(serving.jobs.get(job_id)))


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    responses=EVENT_STREAM,
)
async def events(job_id: JobId, serving: ServingDependency) -> Response:
    """Follow an addition: an event `progress` with the job whenever it has changed, then `done` or `failed`."""
    return EventStream(_events(serving, serving.jobs.get(job_id)))


async def _events(serving: Serving, job: Job) -> AsyncIterator[bytes]:
    seen = -1
    while not job.is_over and not serving.ending:
        if job.version != seen:
            seen = job.version
            yield frame(job_json(job), event="progress")
        await asyncio.sleep(LOOK_SECONDS)
    yield frame(job_json(job), event=job.state if job.is_over else "progress")
