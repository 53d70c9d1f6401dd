"""Videos put straight into the catalog and the tensor store, and what an exact search says of them.

The service finds them as if they had been ingested; their embeddings and prompts are random, so
that scores spread and plain vectors and the model's own scores disagree.

K segments, N texts, P patches, D width.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.catalog.records import NewSegment, NewVideo, Segment, Video, VideoFacts
from app.model_api.tensor_records import split_records, stack_records
from tests.app.stack import Stack
from xclip.encoder import Encoder, StoredSegments
from xclip.encoders import load_encoder
from xclip.weights import load_model, save_model

WINDOW_S, STRIDE_S = 1.0, 0.5
_contents = itertools.count()


def url(collection: str, rest: str = "search") -> str:
    return f"/v1/collections/{collection}/{rest}"


def create(stack: Stack, collection: str) -> None:
    stack.catalog.create_collection(
        collection, model=stack.settings.model, window_s=WINDOW_S, stride_s=STRIDE_S
    )


def random_videos(encoder: Encoder, count: int, rng: np.random.Generator) -> StoredSegments:
    """What the encoder might make of `count` segments."""
    embedding = rng.standard_normal((count, encoder.dim)).astype(np.float32)
    arrays = {
        name: rng.standard_normal((count, *shape)).astype(np.float32)
        for name, shape in encoder.stored_arrays.items()
    }
    return StoredSegments(embedding / np.linalg.norm(embedding, axis=1, keepdims=True), arrays)


def plant(
    stack: Stack,
    encoder: Encoder,
    rng: np.random.Generator,
    *,
    segments: int = 3,
    metadata: Mapping[str, Any] | None = None,
    collection: str = "default",
) -> Video:
    """A searchable video of overlapping windows; nothing else may be waiting for a worker."""
    number = next(_contents)
    new = NewVideo(f"{number}.mp4", "video/mp4", 1, f"{number:064x}", dict(metadata or {}))
    video, _, _ = stack.catalog.add_video_with_job(collection, new)
    job = stack.catalog.claim_job("worker", 60)
    assert job is not None
    assert job.lease_token is not None
    assert job.video_id == video.id
    made = random_videos(encoder, segments, rng)
    precision = "int8" if number % 2 else "float16"
    no_bank = np.zeros((segments, 0), np.float16)
    references = stack.tensors.append(split_records(made, precision, "none", no_bank))
    stack.tensors.sync()
    stack.catalog.complete_ingest(
        job.id,
        job.lease_token,
        facts=VideoFacts("mp4", "h264", 64, 64, STRIDE_S * (segments - 1) + WINDOW_S),
        segments=[
            NewSegment(place, place * STRIDE_S, place * STRIDE_S + WINDOW_S, reference)
            for place, reference in enumerate(references)
        ],
        embeddings=made.embedding,
        model="motion-tiny",
        fingerprint=encoder.fingerprint,
    )
    return stack.catalog.get_video(collection, video.id)


@dataclass(frozen=True)
class Contents:
    """All that a collection keeps, read past the service, in order of rows.

    proxies : inner products of directions and half-precision vectors, as the index sees them
    """

    encoder: Encoder
    videos: list[Video]
    segments: list[Segment]
    stored: StoredSegments

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """The model's scores of every segment, float64 (K, N)."""
        embeddings = self.encoder.encode_text(list(texts))
        return self.encoder.score(embeddings, self.stored).astype(np.float64)

    def proxies(self, direction: np.ndarray) -> np.ndarray:
        """What the index recalls by, (K,): half-precision vectors by a direction of length 1."""
        halves = self.stored.embedding.astype(np.float16).astype(np.float64)
        return halves @ (direction / np.linalg.norm(direction)).astype(np.float64)


def read_contents(stack: Stack, encoder: Encoder, collection: str) -> Contents:
    """The collection as it is now."""
    videos = stack.catalog.list_videos(collection, limit=200).items
    owned = [
        (segment, video)
        for video in videos
        for segment in stack.catalog.list_segments(collection, video.id)
    ]
    owned.sort(key=lambda pair: pair[0].row)
    segments = [segment for segment, _ in owned]
    records = stack.tensors.read([segment.tensor for segment in segments])
    nothing = StoredSegments(
        np.empty((0, encoder.dim), np.float32),
        {name: np.empty((0, *shape), np.float32) for name, shape in encoder.stored_arrays.items()},
    )
    stored = stack_records(records) if records else nothing
    return Contents(encoder, [video for _, video in owned], segments, stored)


def ask(stack: Stack, collection: str = "default", **body: Any) -> dict[str, Any]:
    answer = stack.api.post(url(collection), json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def read_pages(stack: Stack, collection: str = "default", **body: Any) -> list[dict[str, Any]]:
    """Every page of a search, by its cursors."""
    pages = [ask(stack, collection, **body)]
    while pages[-1]["next_cursor"] is not None:
        pages.append(ask(stack, collection, **body, cursor=pages[-1]["next_cursor"]))
    return pages


def load_strongly_conditioned(encoder: Encoder, folder: Path) -> Encoder:
    """The same model with prompts as loud as the texts, so that both stages rank differently."""
    shutil.copytree(encoder.name, folder)
    model = load_model(folder)
    with torch.no_grad():
        model.prompts_generator.alpha.fill_(1.0)
        for weight in model.prompts_generator.decoder.parameters():
            weight.mul_(20.0 if weight.ndim == 2 else 1.0)
    save_model(model, folder)
    return load_encoder(str(folder), device="cpu", num_threads=1)
