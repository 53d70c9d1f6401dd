"""`/v1/embeddings`: texts as vectors, for programs that know OpenAI's interface."""

from __future__ import annotations

import base64

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray

from app.routes.dependencies import EmbeddingsDep
from app.routes.error_responses import problem_responses
from app.routes.json_bodies import JsonRoute
from xclip_search import schemas

router = APIRouter(prefix="/v1/embeddings", tags=["models"], route_class=JsonRoute)


@router.post("", responses=problem_responses(404, 413, 422, 502))
def create_embeddings(
    embeddings: EmbeddingsDep, body: schemas.EmbeddingRequest
) -> schemas.EmbeddingList:
    """The vectors that searches in words begin with; near each other where texts mean the same."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    embedded = embeddings.of(texts, body.model)
    encode = _in_base64 if body.encoding_format == "base64" else _in_numbers
    return schemas.EmbeddingList(
        data=[
            schemas.EmbeddingAnswer(index=index, embedding=encode(vector), truncated=bool(cut))
            for index, (vector, cut) in enumerate(
                zip(embedded.vectors, embedded.truncated, strict=True)
            )
        ],
        model=body.model,
        usage=schemas.EmbeddingUsage(prompt_tokens=embedded.tokens, total_tokens=embedded.tokens),
        truncated=bool(embedded.truncated.any()),
    )


def _in_numbers(vector: NDArray[np.float32]) -> list[float]:
    return [float(number) for number in vector]


def _in_base64(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
