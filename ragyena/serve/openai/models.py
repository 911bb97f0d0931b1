"""``/v1/models``."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import BaseModel
from starlette.responses import Response

from ragyena.serve.openai.requests import model_names
from ragyena.serve.problems import NotFoundError
from ragyena.serve.replies import JsonReply
from ragyena.serve.state import Serving, ServingDependency

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["OpenAI"])


class ModelJson(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["ragyena"] = "ragyena"


class ModelsJson(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelJson]


@router.get("/models", response_model=ModelsJson)
async def models(serving: ServingDependency) -> Response:
    """List what can be asked, an entry an index, and the embedders."""
    return JsonReply(ModelsJson(data=_models(serving)))


@router.get("/models/{name:path}", response_model=ModelJson)
async def model(name: Annotated[str, InPath(max_length=300)], serving: ServingDependency) -> Response:
    """Describe one of them."""
    for known in _models(serving):
        if known.id == name:
            return JsonReply(known)
    raise NotFoundError(f"there is no model '{name}'", hint="GET /v1/models lists those there are")


def _models(serving: Serving) -> list[ModelJson]:
    embedders = dict.fromkeys(served.index.manifest.embedder for served in serving.library)
    names = [*model_names(serving.library), *embedders]
    return [ModelJson(id=name, created=int(serving.started)) for name in names]
