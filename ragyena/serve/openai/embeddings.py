"""``/v1/embeddings``: vectors of the embedder of an index."""

from __future__ import annotations

import base64
from typing import Literal

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from ragyena.errors import UsageError
from ragyena.parsing import replace_surrogates
from ragyena.serve.library import Library, ServedIndex
from ragyena.serve.openai.requests import EmbeddingRequest, model_names, served_model
from ragyena.serve.replies import JsonReply
from ragyena.serve.state import ServingDependency

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["OpenAI"])
MOST_TEXTS = 2048
MOST_CHARS = 2_000_000
"""Characters of all texts of a request."""


class EmbeddingJson(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """A string for `base64`: little-endian float32."""


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsJson(BaseModel):
    object: Literal["list"] = "list"
    model: str
    data: list[EmbeddingJson]
    usage: EmbeddingUsage


@router.post("/embeddings", response_model=EmbeddingsJson)
async def embeddings(body: EmbeddingRequest, serving: ServingDependency) -> Response:
    """Embed texts as the passages of an index are embedded. Vectors have unit length."""
    served = _served(serving.library, body.model)
    texts = _texts(body)
    if body.encoding_format not in (None, "float", "base64"):
        raise UsageError(f"'{body.encoding_format}' is no encoding_format", hint="use float or base64")
    dimension = served.index.manifest.dimension
    if body.dimensions not in (None, dimension):
        raise UsageError(f"vectors of this model have {dimension} dimensions", hint="leave 'dimensions' out")

    def embed() -> tuple[npt.NDArray[np.float32], int]:
        tokens = sum(served.pipeline.reader.tokenizer.count_batch(texts))
        return served.index.embedder().embed(texts).astype("<f4"), tokens

    vectors, tokens = await serving.run(embed)
    data = [EmbeddingJson(index=i, embedding=_encoded(vector, body)) for i, vector in enumerate(vectors)]
    usage = EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens)
    return JsonReply(EmbeddingsJson(model=body.model, data=data, usage=usage))


def _served(library: Library, model: str) -> ServedIndex:
    """The index whose embedder is meant: by the embedder's name, or that of the index. Raises NotFoundError."""
    for served in library:
        if model == served.index.manifest.embedder and model not in model_names(library):
            return served
    return served_model(library, model)


def _texts(body: EmbeddingRequest) -> list[str]:
    given = [body.input] if isinstance(body.input, str) else body.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) != len(given):
        raise UsageError(
            "token ids cannot be embedded: they are of another model's tokenizer",
            hint="send texts; with LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False)",
        )
    if not texts or any(not text.strip() for text in texts):
        raise UsageError("'input' is empty or holds an empty text", hint="leave empty texts out")
    if len(texts) > MOST_TEXTS or sum(map(len, texts)) > MOST_CHARS:
        raise UsageError(
            f"'input' has more than {MOST_TEXTS:,} texts or {MOST_CHARS:,} characters", hint="send it in parts"
        )
    return [replace_surrogates(text) for text in texts]


def _encoded(vector: npt.NDArray[np.float32], body: EmbeddingRequest) -> list[float] | str:
    if body.encoding_format == "base64":
        return base64.b64encode(vector.tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
