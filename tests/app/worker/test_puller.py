"""Ingest, from a queued job to rows a search can find, and every way it can end."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.catalog.errors import VideoNotFound
from app.worker.puller import Puller
from app.worker.records import stack_records
from index.protocol import TensorReference, Tensors
from index.tensors import PackedTensorStore
from xclip.video.decode import DecodeRequest, decode_segments
from xclip.video.sample import Segmentation

from .conftest import Parts

MakeClip = Callable[..., Path]


def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@contextmanager
def running(puller: Puller) -> Iterator[threading.Thread]:
    """Within the block the puller works in a thread, as in its process."""
    thread = threading.Thread(target=puller.run)
    thread.start()
    try:
        yield thread
    finally:
        puller.stop()
        thread.join()


@contextmanager
def model_taken(parts: Parts) -> Iterator[None]:
    """Within the block an ingest gets as far as its first batch and waits there."""
    released = threading.Event()
    parts.gate.query(released.wait)
    try:
        yield
    finally:
        released.set()


def test_an_ingested_video_is_all_there(parts: Parts, make_clip: MakeClip) -> None:
    """Segments, embeddings, tensors and pictures are what decoding and encoding here give."""
    source = make_clip(seconds=4.2)
    job = parts.upload(source)
    assert parts.puller().run_one()

    done = parts.catalog.get_job(job.id)
    video = parts.catalog.get_video("default", job.video_id)
    assert (done.status, done.progress, video.status) == ("succeeded", 1.0, "ready")
    assert done.searchable_at is not None
    assert (video.codec, video.width, video.height) == ("mpeg4", 64, 64)

    with source.open("rb") as file:
        request = DecodeRequest(Segmentation(1.0, 0.5), 4, parts.encoder.geometry)
        expected = list(decode_segments(file, request))
    segments = parts.catalog.list_segments("default", video.id)
    assert [(s.position, s.start_s, s.end_s) for s in segments] == [
        (s.index, s.start, s.end) for s in expected
    ]
    frames = np.stack([segment.frames for segment in expected])
    encoded = parts.encoder.encode_video(frames)
    kept = stack_records(parts.tensors.read([segment.tensor for segment in segments]))
    np.testing.assert_allclose(kept.embedding, encoded.embedding, atol=1e-5)
    np.testing.assert_allclose(kept.prompt, encoded.prompt, atol=2e-2)  # int8, numbers up to 4

    collection = parts.catalog.get_collection("default")
    assert (collection.fingerprint, collection.dim) == (parts.encoder.fingerprint, 16)
    changes = parts.catalog.changes_since(collection.id, 0)
    assert [change.row for change in changes] == [segment.row for segment in segments]
    vectors = np.stack([change.vector for change in changes if change.vector is not None])
    np.testing.assert_array_equal(vectors, kept.embedding)

    for segment, decoded in zip(segments, expected, strict=True):
        webp = parts.media.thumbnail_path(video.id, segment.position).read_bytes()
        with Image.open(io.BytesIO(webp)) as picture:
            assert (picture.format, picture.size[::-1]) == ("WEBP", decoded.thumbnail.shape[:2])
            difference = np.asarray(picture.convert("RGB"), float) - decoded.thumbnail
        assert np.abs(difference).mean() < 12


def test_an_empty_queue_is_no_work(parts: Parts) -> None:
    """The puller then waits instead of spinning."""
    assert not parts.puller().run_one()


def test_a_broken_file_fails_at_once_with_the_decoders_code(
    parts: Parts, tmp_path: Path, make_clip: MakeClip
) -> None:
    """The same bytes would fail the same way, so there is no second attempt."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(make_clip(seconds=2).read_bytes()[:200])
    job = parts.upload(broken)
    assert parts.puller().run_one()
    done = parts.catalog.get_job(job.id)
    assert (done.status, done.attempts) == ("failed", 1)
    assert done.error_code == "unreadable_video"
    assert (done.error_message or "").endswith(".")
    video = parts.catalog.get_video("default", job.video_id)
    assert (video.status, video.error_code) == ("failed", "unreadable_video")


def test_an_unexpected_failure_is_tried_again_and_stops_nobody_else(
    parts: Parts, make_clip: MakeClip
) -> None:
    """A job that always breaks ends failed after the last attempt; the next job succeeds."""
    lost = parts.upload(make_clip("lost.mp4", seconds=1, seed=1))
    video = parts.catalog.get_video("default", lost.video_id)
    parts.media.content_path(video.sha256).unlink()
    good = parts.upload(make_clip("good.mp4", seconds=1, seed=2))
    with running(parts.puller()):
        assert eventually(lambda: parts.catalog.get_job(lost.id).status == "failed")
        assert eventually(lambda: parts.catalog.get_job(good.id).status == "succeeded")
    done = parts.catalog.get_job(lost.id)
    assert (done.attempts, done.error_code) == (3, "ingest_failed")
    assert "FileNotFoundError" in (done.error_message or "")


def test_videos_of_another_model_are_refused(parts: Parts, make_clip: MakeClip) -> None:
    """A collection never mixes vectors of two models."""
    first = parts.upload(make_clip("first.mp4", seconds=1, seed=1))
    assert parts.puller().run_one()
    assert parts.catalog.get_job(first.id).status == "succeeded"
    parts.encoder.fingerprint, own = "another", parts.encoder.fingerprint
    try:
        second = parts.upload(make_clip("second.mp4", seconds=1, seed=2))
        assert parts.puller().run_one()
    finally:
        parts.encoder.fingerprint = own
    done = parts.catalog.get_job(second.id)
    assert (done.status, done.error_code, done.attempts) == ("failed", "model_mismatch", 1)


def test_a_stopping_worker_gives_its_job_back(parts: Parts, make_clip: MakeClip) -> None:
    """The job waits in the queue, and the attempt does not count against it."""
    job = parts.upload(make_clip(seconds=30, fps=4))
    puller = parts.puller()
    with model_taken(parts), running(puller):
        assert eventually(lambda: parts.catalog.get_job(job.id).status == "running")
        puller.stop()
    back = parts.catalog.get_job(job.id)
    assert (back.status, back.attempts, back.lease_token) == ("queued", 0, None)
    assert parts.puller(owner="wrk_2").run_one()
    assert parts.catalog.get_job(job.id).status == "succeeded"


def test_a_cancelled_job_is_dropped(parts: Parts, make_clip: MakeClip) -> None:
    """What it had done so far stays invisible."""
    job = parts.upload(make_clip(seconds=30, fps=4))
    puller = parts.puller(lease_s=0.6)
    with running(puller):
        with model_taken(parts):
            assert eventually(lambda: parts.catalog.get_job(job.id).status == "running")
            parts.catalog.cancel_job(job.id)
            time.sleep(0.5)
        next_one = parts.upload(make_clip("next.mp4", seconds=1, seed=5))
        assert eventually(lambda: parts.catalog.get_job(next_one.id).status == "succeeded")
    assert parts.catalog.get_job(job.id).status == "canceled"
    assert parts.catalog.list_segments("default", job.video_id) == []


def test_a_video_deleted_meanwhile_leaves_no_pictures(parts: Parts, make_clip: MakeClip) -> None:
    """Its folder was removed by the deletion and written again by the job."""
    job = parts.upload(make_clip(seconds=30, fps=4))
    folder = parts.media.thumbnail_path(job.video_id, 0).parent
    with running(parts.puller(lease_s=0.6)) as thread:
        assert eventually(folder.exists)
        with model_taken(parts):
            parts.catalog.delete_video("default", job.video_id)
            time.sleep(0.5)
        assert eventually(lambda: not folder.exists())
        assert thread.is_alive()
    with pytest.raises(VideoNotFound):
        parts.catalog.get_video("default", job.video_id)


def test_two_workers_share_a_queue_without_doing_anything_twice(
    parts: Parts, make_clip: MakeClip
) -> None:
    """Every job is begun exactly once, whichever worker gets it."""
    jobs = [parts.upload(make_clip(f"{seed}.mp4", seconds=1, seed=seed)) for seed in range(6)]
    with running(parts.puller("wrk_1")), running(parts.puller("wrk_2")):
        for job in jobs:
            assert eventually(lambda job=job: parts.catalog.get_job(job.id).status == "succeeded")
    assert [parts.catalog.get_job(job.id).attempts for job in jobs] == [1] * 6
    assert parts.catalog.count_segments("default") == sum(
        len(parts.catalog.list_segments("default", job.video_id)) for job in jobs
    )


def test_tensors_are_safe_before_a_row_points_at_them(parts: Parts, make_clip: MakeClip) -> None:
    """After a loss of power no committed segment may lead to bytes that never reached the disk."""
    steps: list[tuple[str, int]] = []

    class Watched(PackedTensorStore):
        def append(self, records: Sequence[Tensors]) -> list[TensorReference]:
            steps.append(("append", parts.catalog.count_segments("default")))
            return super().append(records)

        def sync(self) -> None:
            super().sync()
            steps.append(("sync", parts.catalog.count_segments("default")))

    with closing(Watched(parts.settings.tensors_dir, writer_id="wrk_2")) as watched:
        parts.upload(make_clip(seconds=4))
        assert replace(parts, tensors=watched).puller().run_one()
        assert set(steps[:-1]) == {("append", 0)}
        assert steps[-1] == ("sync", 0)
        assert parts.catalog.count_segments("default") > 0
