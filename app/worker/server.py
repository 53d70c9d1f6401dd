"""The worker's internal HTTP: model facts, text embeddings, exact scores. Never for users.

    GET  /livez   200 as long as the process answers
    GET  /model   ModelFacts as JSON
    POST /text    TextRequest  -> safetensors {embeddings float32 [N, D]}
    POST /score   ScoreRequest -> safetensors {scores float32 [K, N]}
    POST /clip    ClipRequest  -> safetensors {starts, ends float64 [K], scores float32 [K, N],
                                               duration_s float64 [1]}

Every answer names the model in `x-model-fingerprint`. An error is JSON {code, message}.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as save_safetensors
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.worker.clips import ClipScoring, NotInClipFolder
from app.worker.decoding import Interrupted
from app.worker.gate import Gate
from app.worker.messages import (
    FINGERPRINT_HEADER,
    ClipRequest,
    MessageError,
    ModelFacts,
    ScoreRequest,
    TextRequest,
)
from app.worker.records import stack_records
from index.errors import VectorStoreError
from index.protocol import TensorReference, TensorStore
from xclip.encoder import EncodedVideos, Encoder
from xclip.errors import VideoError

SCORE_BATCH = 256
CLIPS_AT_ONCE = 2


class WrongModel(Exception):
    """The segments were made with another model than the one this worker has loaded."""

    code = "model_mismatch"


_STATUS: Mapping[type[Exception], int] = {
    MessageError: 400,
    NotInClipFolder: 400,
    WrongModel: 409,
    VideoError: 422,
    Interrupted: 503,
    VectorStoreError: 500,
    Exception: 500,
}


def create_worker_app(
    encoder: Encoder, store: TensorStore, gate: Gate, clips: ClipScoring
) -> Starlette:
    """The ASGI application of one worker."""
    calls = _Calls(encoder, store, gate, clips)
    return Starlette(
        routes=[
            Route("/livez", calls.livez),
            Route("/model", calls.model),
            Route("/text", calls.text, methods=["POST"]),
            Route("/score", calls.score, methods=["POST"]),
            Route("/clip", calls.clip, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys(_STATUS, _explain),
    )


class _Calls:
    def __init__(
        self, encoder: Encoder, store: TensorStore, gate: Gate, clips: ClipScoring
    ) -> None:
        self._encoder = encoder
        self._store = store
        self._gate = gate
        self._clips = clips
        self._clip_slots = anyio.CapacityLimiter(CLIPS_AT_ONCE)

    async def livez(self, _: Request) -> Response:
        return Response(status_code=200)

    async def model(self, _: Request) -> Response:
        encoder = self._encoder
        facts = ModelFacts(
            name=encoder.name,
            fingerprint=encoder.fingerprint,
            num_frames=encoder.num_frames,
            image_size=encoder.geometry.crop,
            dim=encoder.dim,
            prompt_shape=encoder.prompt_shape,
            logit_scale=encoder.logit_scale,
            device=encoder.device,
            dtype=encoder.dtype,
        )
        return Response(facts.to_json(), media_type="application/json")

    async def text(self, request: Request) -> Response:
        message = TextRequest.from_json(await request.body())
        return self._answer({"embeddings": await self._embed(message.texts)})

    async def score(self, request: Request) -> Response:
        message = ScoreRequest.from_json(await request.body())
        if message.fingerprint != self._encoder.fingerprint:
            raise WrongModel(
                f"The segments were made with model {message.fingerprint}, but this worker runs "
                f"{self._encoder.name} ({self._encoder.fingerprint})."
            )
        embeddings = await self._embed(message.texts)
        scores = [np.empty((0, len(message.texts)), np.float32)]
        for start in range(0, len(message.references), SCORE_BATCH):
            batch = message.references[start : start + SCORE_BATCH]
            stored = await anyio.to_thread.run_sync(self._read, batch)
            scores.append(
                await asyncio.wrap_future(
                    self._gate.query(lambda: self._encoder.score(embeddings, stored))  # noqa: B023
                )
            )
        return self._answer({"scores": np.concatenate(scores)})

    async def clip(self, request: Request) -> Response:
        message = ClipRequest.from_json(await request.body())
        scored = await anyio.to_thread.run_sync(
            self._clips.score, message, limiter=self._clip_slots
        )
        return self._answer(
            {
                "starts": scored.starts,
                "ends": scored.ends,
                "scores": scored.scores,
                "duration_s": np.array([scored.duration_s]),
            }
        )

    async def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return await asyncio.wrap_future(self._gate.query(lambda: self._encoder.encode_text(texts)))

    def _read(self, references: Sequence[TensorReference]) -> EncodedVideos:
        return stack_records(self._store.read(references))

    def _answer(self, arrays: Mapping[str, NDArray[Any]]) -> Response:
        return Response(
            save_safetensors(dict(arrays)),
            media_type="application/octet-stream",
            headers={FINGERPRINT_HEADER: self._encoder.fingerprint},
        )


async def _explain(_: Request, error: Exception) -> Response:
    status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    return JSONResponse(
        {"code": getattr(error, "code", "worker_failed"), "message": str(error)}, status
    )
