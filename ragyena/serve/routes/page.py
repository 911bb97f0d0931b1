"""``/``: the page, and the files it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from starlette.responses import Response

from ragyena.serve.problems import NotFoundError

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FOLDER = Path(__file__).resolve().parents[1] / "page"
FILES = {
    path.name: (path.read_bytes(), MEDIA_TYPES[path.suffix[1:]])
    for path in sorted(FOLDER.iterdir())
    if path.suffix[1:] in MEDIA_TYPES
}
"""Everything there is to give out, by name."""


@router.get("/")
async def page() -> Response:
    """The page."""
    return _reply("index.html")


@router.get("/page/{name}")
async def file(name: Annotated[str, InPath(max_length=64)]) -> Response:
    """A file of the page."""
    return _reply(name)


def _reply(name: str) -> Response:
    if name not in FILES:
        raise NotFoundError(f"the page has no file '{name}'", hint="its start is /")
    content, media_type = FILES[name]
    return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})
