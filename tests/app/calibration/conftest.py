"""Collections put straight into a data folder, as an ingest would leave them.

K segments, D width.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from app.calibration.stored_collection import StoredCollection
from app.catalog.records import NewSegment, NewVideo, Video, VideoFacts
from app.model_api.tensor_records import split_records
from app.settings import Settings
from app.storage.composition import open_storage
from app.storage.library_identity import open_catalog
from xclip.encoder import Encoder, StoredSegments
from xclip.encoders import load_encoder
from xclip.motion.world import Subject, render, sample_scene
from xclip.text_bank import bank_digest

STRIDE_S, WINDOW_S = 2.5, 5.0
TIMES = (np.arange(8) + 0.5) / 8
_contents = itertools.count()


@contextmanager
def footage_in(
    folder: Path, encoder: Encoder, collection: str = "default"
) -> Iterator[StoredCollection]:
    """An empty collection in a data folder, opened for measuring."""
    settings = Settings(data_dir=folder, model=encoder.name)
    with open_catalog(settings) as catalog:
        catalog.create_collection(
            collection, model=encoder.name, window_s=WINDOW_S, stride_s=STRIDE_S
        )
        storage = open_storage(settings.layout, writer_id="wrk_test")
        yield StoredCollection(
            catalog, storage.tensors, encoder, catalog.get_collection(collection)
        )
        storage.close()


def put(footage: StoredCollection, made: StoredSegments, *, with_bank: bool = True) -> Video:
    """A searchable video of overlapping windows, the first of which begins at 0."""
    number, encoder = next(_contents), footage.encoder
    bank = np.zeros((len(made.embedding), 0), np.float16)
    if with_bank:
        texts = encoder.encode_text(encoder.bank)
        bank = encoder.score(texts, made).astype(np.float16)
    digest = bank_digest(encoder.bank) if with_bank else "none"
    references = footage.tensors.append(split_records(made, "int8", digest, bank))
    footage.tensors.sync()
    name = footage.collection.name
    new = NewVideo(f"{number}.mp4", "video/mp4", 1, f"{number:064x}", {})
    video, _, _ = footage.catalog.add_video_with_job(name, new)
    job = footage.catalog.claim_job("worker", 60)
    assert job is not None
    assert job.lease_token is not None
    footage.catalog.complete_ingest(
        job.id,
        job.lease_token,
        facts=VideoFacts("mp4", "h264", 64, 64, STRIDE_S * (len(references) - 1) + WINDOW_S),
        segments=[
            NewSegment(place, place * STRIDE_S, place * STRIDE_S + WINDOW_S, reference)
            for place, reference in enumerate(references)
        ],
        embeddings=made.embedding,
        model="motion-tiny",
        fingerprint=encoder.fingerprint,
    )
    return footage.catalog.get_video(name, video.id)


def refreshed(footage: StoredCollection) -> StoredCollection:
    """The same with the collection as it is now."""
    collection = footage.catalog.get_collection(footage.collection.name)
    return StoredCollection(footage.catalog, footage.tensors, footage.encoder, collection)


def filmed(encoder: Encoder, subjects: Sequence[Subject], seed: int) -> StoredSegments:
    """One segment of each subject."""
    random, edge = np.random.default_rng(seed), encoder.geometry.crop
    scenes = [sample_scene(subject, random) for subject in subjects]
    return encoder.encode_video(
        np.stack([render(scene, TIMES, edge, edge, random) for scene in scenes])
    )


@pytest.fixture(scope="session")
def tiny() -> Encoder:
    """The embedded model."""
    return load_encoder("motion-tiny", device="cpu", num_threads=1)
