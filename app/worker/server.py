"""Model server: the worker's internal HTTP for facts, embeddings, exact scores; never for users.

    GET  /livez   200 as long as the process answers
    GET  /readyz  200 once the model has run, 503 until then
    GET  /model   ModelFacts as JSON
    GET  /metrics Prometheus text
    POST /check   200 once the model has run on next to nothing
    POST /tokens  TokensRequest -> safetensors {tokens, same_as int64 [N], truncated bool [N]}
    POST /text    TextRequest  -> safetensors {embeddings float32 [N, D]} and what /tokens answers
    POST /score   ScoreRequest -> safetensors {logits float32 [K, N]}, and what was requested
                                              {confidence float64 [K, N], rest float64 [K]};
                                              with {damaged bool [all]} when some of the tensors
                                              cannot be read, K are the others
    POST /embed   EmbedRequest -> safetensors {embeddings float32 [K, D]}
    POST /clip    ClipScoreRequest -> safetensors {starts, ends float64 [K], duration_s float64 [1]}
                                              and what /score answers
    POST /cut     ClipExportRequest -> ClipExportResult as JSON; the file is written

A request shows the secret that API and worker share, or it is a 401; /livez and /readyz need none.
Work for a caller who has hung up meanwhile is dropped before it runs. Every answer names the model
in `x-model-fingerprint` and what its scores are in `x-score-kind`, a confidence its kind in
`x-confidence-kind`. An error is JSON
{code, message}, by `app.worker.error_responses`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from safetensors.numpy import save as save_safetensors
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.errors import ModelMismatch
from app.model_api.messages import (
    CONFIDENCE_HEADER,
    FINGERPRINT_HEADER,
    MODEL_NAME_HEADER,
    SCORE_KIND_HEADER,
    ClipExportRequest,
    ClipScoreRequest,
    ConfidenceKind,
    EmbedRequest,
    ModelFacts,
    ScoreRequest,
    Scores,
    TextRequest,
    TokensRequest,
)
from app.model_api.tensor_records import stack_bank, stack_records
from app.telemetry.calls import CallTelemetry
from app.telemetry.metrics import WorkerMetrics
from app.worker.clip_export import ClipExporter
from app.worker.clip_scoring import ClipScoring
from app.worker.confidence import ConfidenceEstimator
from app.worker.error_responses import ERROR_HANDLERS
from app.worker.errors import ModelNotReady
from app.worker.middleware import WorkerAuthMiddleware
from app.worker.model_scheduler import while_wanted
from app.worker.readiness import ModelReadiness
from app.worker.scoring import Scoring
from app.worker.text_cache import TextCache
from app.worker.texts_read import read_texts
from index.errors import VectorStoreError
from index.protocol import Record, TensorStore
from xclip.encoder import Encoder

logger = logging.getLogger(__name__)

SCORE_BATCH = 256
CLIPS_AT_ONCE = 2


def create_worker_app(calls: ModelCalls, metrics: WorkerMetrics, *, secret: bytes) -> Starlette:
    """The ASGI application of one worker, for clients that know `secret`."""
    return Starlette(
        routes=[
            Route("/livez", calls.livez),
            Route("/readyz", calls.readyz),
            Route("/model", calls.model),
            Route("/metrics", calls.metrics),
            Route("/check", calls.check, methods=["POST"]),
            Route("/text", calls.text, methods=["POST"]),
            Route("/tokens", calls.tokens, methods=["POST"]),
            Route("/score", calls.score, methods=["POST"]),
            Route("/embed", calls.embed, methods=["POST"]),
            Route("/clip", calls.clip, methods=["POST"]),
            Route("/cut", calls.cut, methods=["POST"]),
        ],
        middleware=[
            Middleware(CallTelemetry, metrics=metrics),
            Middleware(WorkerAuthMiddleware, secret=secret),
        ],
        exception_handlers=ERROR_HANDLERS,
    )


class ModelCalls:
    """The handlers of the worker's calls; the module's docstring has their messages."""

    def __init__(
        self,
        encoder: Encoder,
        store: TensorStore,
        texts: TextCache,
        scoring: Scoring,
        confidence: ConfidenceEstimator,
        clips: ClipScoring,
        cutter: ClipExporter,
        metrics: WorkerMetrics,
        *,
        ingests: int,
    ) -> None:
        self._encoder = encoder
        self._store = store
        self._texts = texts
        self._scoring = scoring
        self._confidence = confidence
        self._clips = clips
        self._cutter = cutter
        self._metrics = metrics
        self._ingests = ingests
        self._readiness = ModelReadiness(scoring.check)
        self._clip_slots = anyio.CapacityLimiter(CLIPS_AT_ONCE)
        identity = (encoder.name, encoder.fingerprint, encoder.device, encoder.dtype)
        metrics.model.labels(*identity).set(1)

    async def livez(self, _: Request) -> Response:
        """The process answers."""
        return Response(status_code=200)

    async def readyz(self, _: Request) -> Response:
        """Whether the model has run; raises ModelNotReady."""
        try:
            await self._readiness.require()
        except Exception as error:  # noqa: BLE001  whatever keeps the model from running
            logger.warning("the model does not run: %s", error)
            # probes need no secret, so the reason is in the log only
            raise ModelNotReady("The model does not run.") from None
        return Response(status_code=200)

    async def model(self, _: Request) -> Response:
        """What the model is, and how many calls wait for it."""
        encoder = self._encoder
        facts = ModelFacts(
            name=encoder.name,
            fingerprint=encoder.fingerprint,
            num_frames=encoder.num_frames,
            image_size=encoder.geometry.crop,
            dim=encoder.dim,
            stored_arrays=encoder.stored_arrays,
            logit_scale=encoder.logit_scale,
            device=encoder.device,
            dtype=encoder.dtype,
            calls_waiting=self._scoring.calls_waiting,
            ingests=self._ingests,
        )
        return Response(facts.to_json(), media_type="application/json")

    async def metrics(self, _: Request) -> Response:
        """Counts and durations of the worker, for Prometheus."""
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def check(self, _: Request) -> Response:
        """Run the model on next to nothing; raises ModelUnsound."""
        await anyio.to_thread.run_sync(self._scoring.check)
        return Response(status_code=200)

    async def text(self, request: Request) -> Response:
        """Embed texts."""
        message = TextRequest.from_json(await request.body())
        async with _watched(request):
            embeddings = await self._embed(message.texts)
        read = read_texts(self._encoder, message.texts)
        return self._answer({"embeddings": embeddings, **read.arrays()})

    async def tokens(self, request: Request) -> Response:
        """Say what the model reads of texts."""
        message = TokensRequest.from_json(await request.body())
        async with _watched(request):
            read = await anyio.to_thread.run_sync(
                read_texts, self._encoder, message.texts, message.templates
            )
        return self._answer(read.arrays())

    async def score(self, request: Request) -> Response:
        """Score texts against stored segments; raises ModelMismatch."""
        message = ScoreRequest.from_json(await request.body())
        if message.fingerprint != self._encoder.fingerprint:
            raise ModelMismatch(
                f"The segments were made with model {message.fingerprint}, but this worker runs "
                f"{self._encoder.name} ({self._encoder.fingerprint})."
            )
        async with _watched(request):
            scores = await anyio.to_thread.run_sync(self._score, message)
        return self._answer(scores.arrays(), scores.confidence_kind)

    async def embed(self, request: Request) -> Response:
        """Embed the segments of a file that is not kept."""
        message = EmbedRequest.from_json(await request.body())
        async with _watched(request):
            embeddings = await anyio.to_thread.run_sync(
                self._clips.embed, message, limiter=self._clip_slots
            )
        return self._answer({"embeddings": embeddings})

    async def clip(self, request: Request) -> Response:
        """Score texts against the segments of a file that is not kept."""
        message = ClipScoreRequest.from_json(await request.body())
        async with _watched(request):
            scored = await anyio.to_thread.run_sync(
                self._clips.score, message, limiter=self._clip_slots
            )
        return self._answer(
            {
                "starts": scored.starts,
                "ends": scored.ends,
                "duration_s": np.array([scored.duration_s]),
                **scored.scores.arrays(),
            },
            scored.scores.confidence_kind,
        )

    async def cut(self, request: Request) -> Response:
        """Write an interval of a stored video into a file."""
        order = ClipExportRequest.from_json(await request.body())
        done = await anyio.to_thread.run_sync(self._cutter.cut, order, limiter=self._clip_slots)
        return Response(done.to_json(), media_type="application/json")

    async def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return await asyncio.wrap_future(self._texts.embed(texts))

    def _score(self, message: ScoreRequest) -> Scores:
        texts = self._scoring.embed(message.texts, message.templates)
        parts = []
        for start in range(0, len(message.segments), SCORE_BATCH):
            read = self._store.read_each(message.segments[start : start + SCORE_BATCH])
            records = [record for record in read if not isinstance(record, VectorStoreError)]
            scores = self._score_records(texts, records, message)
            if len(records) < len(read):
                damaged = np.array([isinstance(record, VectorStoreError) for record in read])
                scores = replace(scores, damaged=damaged)
            parts.append(scores)
        return Scores.joined(parts, len(message.texts))

    def _score_records(
        self, texts: NDArray[np.float32], records: Sequence[Record], message: ScoreRequest
    ) -> Scores:
        if not records:
            return Scores(np.empty((0, len(texts)), np.float32))
        stored = stack_records(records)
        logits = self._scoring.score(texts, stored)
        if not self._confidence.needs_bank(message.confidence, message.rest):
            return Scores(logits)
        bank = stack_bank(records, self._confidence.digest)
        if bank is None:
            bank = self._confidence.bank_logits(stored)
        return self._confidence.judge(texts, logits, bank, message.confidence, message.rest)

    def _answer(
        self, arrays: Mapping[str, NDArray[Any]], confidence_kind: ConfidenceKind | None = None
    ) -> Response:
        encoder = self._encoder
        headers = {
            FINGERPRINT_HEADER: encoder.fingerprint,
            MODEL_NAME_HEADER: quote(encoder.name),
            SCORE_KIND_HEADER: encoder.score_kind,
        }
        if confidence_kind:
            headers[CONFIDENCE_HEADER] = confidence_kind
        return Response(
            save_safetensors(dict(arrays)), media_type="application/octet-stream", headers=headers
        )


@asynccontextmanager
async def _watched(request: Request) -> AsyncIterator[None]:
    """Within the block, which begins once the body is read, work is wanted until a hang-up."""
    gone = threading.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watching = asyncio.create_task(watch())
    try:
        with while_wanted(lambda: not gone.is_set()):
            yield
    finally:
        watching.cancel()
