"""Ingest, from a queued job to rows a search can find, and every way it can end."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app import failpoints
from app.catalog import Catalog
from app.catalog.errors import VideoNotFound
from app.model_api.tensor_records import stack_records
from app.storage.media_store import MediaStore
from app.worker.decoding import WATCH_S, Decoder, Decoding
from app.worker.lease import LONGEST_SILENCE_S
from app.worker.slots import LONG_S, IngestSlots
from index.protocol import TensorReference, Tensors
from index.tensors import PackedTensorStore
from tests.app.stored_files import content_file, thumbnail_file
from xclip.video.decode import DecodeRequest, decode_segments
from xclip.video.sampling import Segmentation

from .conftest import Parts, eventually, model_taken, running

MakeClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """No failpoint outlives its test."""
    yield
    failpoints.configure("")


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
    np.testing.assert_allclose(
        kept.arrays["prompt"], encoded.arrays["prompt"], atol=2e-2
    )  # int8, numbers up to 4

    collection = parts.catalog.get_collection("default")
    assert (collection.fingerprint, collection.dim) == (parts.encoder.fingerprint, 16)
    changes = parts.catalog.changes_since(collection.id, 0)
    assert [change.row for change in changes] == [segment.row for segment in segments]
    vectors = np.stack([change.vector for change in changes if change.vector is not None])
    np.testing.assert_array_equal(vectors, kept.embedding)

    for segment, decoded in zip(segments, expected, strict=True):
        webp = thumbnail_file(parts.media, video.id, segment.position).read_bytes()
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


class KilledDecoder:
    """Decodes as the parts do, but a signal ends each decoder once it says what the file is."""

    def __init__(self, decoder: Decoder, cause: signal.Signals = signal.SIGKILL) -> None:
        self._decoder = decoder
        self._cause = cause

    @contextmanager
    def open(self, *arguments: Any) -> Iterator[Decoding]:
        with self._decoder.open(*arguments) as decoding:
            os.kill(decoding._process.pid, self._cause)
            yield decoding


def test_a_decoder_killed_from_outside_costs_an_attempt_and_not_the_video(
    parts: Parts, make_clip: MakeClip
) -> None:
    """The job waits for its next attempt, which succeeds."""
    job = parts.upload(make_clip(seconds=60, fps=4))
    replace(parts, decoder=KilledDecoder(parts.decoder)).puller().run_one()
    waiting = parts.catalog.get_job(job.id)
    assert (waiting.status, waiting.attempts) == ("queued", 1)
    assert waiting.error_code == "decoder_lost"
    parts.catalog.retry_job(job.id)
    assert parts.puller().run_one()
    done = parts.catalog.get_job(job.id)
    assert (done.status, done.attempts, done.error_code) == ("succeeded", 2, None)


def test_a_decoder_killed_from_outside_more_often_than_a_job_may_fail_does_not_fail_it(
    parts: Parts, make_clip: MakeClip
) -> None:
    """Many more attempts are left: the file is hardly ever what did it."""
    job = parts.upload(make_clip(seconds=60, fps=4))
    puller = replace(parts, decoder=KilledDecoder(parts.decoder)).puller()
    for _ in range(5):
        parts.catalog.retry_job(job.id)
        assert puller.run_one()
    waiting = parts.catalog.get_job(job.id)
    assert (waiting.status, waiting.attempts) == ("queued", 5)
    parts.catalog.retry_job(job.id)
    assert parts.puller().run_one()
    assert parts.catalog.get_job(job.id).status == "succeeded"


def test_a_decoder_that_crashes_in_every_attempt_fails_its_job(
    parts: Parts, make_clip: MakeClip
) -> None:
    """The file may be what ends it."""
    job = parts.upload(make_clip(seconds=60, fps=4))
    crashing = KilledDecoder(parts.decoder, signal.SIGSEGV)
    puller = replace(parts, decoder=crashing).puller()
    while parts.catalog.get_job(job.id).status == "queued":
        parts.catalog.retry_job(job.id)
        puller.run_one()
    done = parts.catalog.get_job(job.id)
    assert (done.status, done.attempts, done.error_code) == ("failed", 3, "decoder_lost")


def test_a_decoder_without_enough_memory_names_the_setting_that_limits_it(
    parts: Parts, make_clip: MakeClip
) -> None:
    """The owner of the machine can raise it; the same limit would refuse the same bytes again."""
    job = parts.upload(make_clip(seconds=1, size=2000))
    puller = replace(parts, decoder=replace(parts.decoder, memory_bytes=8 << 20)).puller()
    assert puller.run_one()
    done = parts.catalog.get_job(job.id)
    assert (done.status, done.attempts, done.error_code) == ("failed", 1, "too_large")
    assert "XCLIP_DECODE_MEMORY_BYTES" in (done.error_message or "")


def test_a_file_that_is_gone_fails_at_once(parts: Parts, make_clip: MakeClip) -> None:
    """Waiting would not bring it back."""
    job = parts.upload(make_clip(seconds=1))
    video = parts.catalog.get_video("default", job.video_id)
    content_file(parts.media, video.sha256).unlink()
    assert parts.puller().run_one()
    done = parts.catalog.get_job(job.id)
    assert (done.status, done.attempts, done.error_code) == ("failed", 1, "content_missing")


def test_a_video_damaged_in_the_middle_is_indexed_and_says_so(
    parts: Parts, tmp_path: Path, make_clip: MakeClip
) -> None:
    """Every window is there; how many seconds are missing is kept with the video."""
    content = bytearray(make_clip(seconds=12).read_bytes())
    first, end = len(content) * 2 // 5, len(content) * 3 // 5
    content[first:end] = bytes(end - first)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    whole = parts.upload(make_clip("whole.mp4", seconds=1, seed=1))
    job = parts.upload(damaged)
    puller = parts.puller()
    assert puller.run_one()
    assert puller.run_one()
    video = parts.catalog.get_video("default", job.video_id)
    assert (video.status, video.duration_s) == ("ready", 12.0)
    assert video.lost_s is not None
    assert 1 < video.lost_s < 6
    assert len(parts.catalog.list_segments("default", video.id)) == 23
    assert parts.catalog.get_video("default", whole.video_id).lost_s == 0


def test_an_unexpected_failure_is_tried_again_and_stops_nobody_else(
    parts: Parts, make_clip: MakeClip
) -> None:
    """The next job has its turn at once; a job that always breaks ends failed."""
    unlucky = parts.upload(make_clip("unlucky.mp4", seconds=1, seed=1))
    good = parts.upload(make_clip("good.mp4", seconds=1, seed=2))
    puller = parts.puller()
    for attempt in (1, 2, 3):
        failpoints.configure("tensors_written:eio")
        assert puller.run_one()
        seen = parts.catalog.get_job(unlucky.id)
        assert (seen.attempts, seen.error_code) == (attempt, "ingest_failed")
        if attempt == 1:
            assert puller.run_one()
            assert parts.catalog.get_job(good.id).status == "succeeded"
        if attempt < 3:
            parts.catalog.retry_job(unlucky.id)  # instead of waiting
    assert "OSError" in (seen.error_message or "")
    assert seen.status == "failed"


@pytest.mark.parametrize("moment", ["job_claimed", "tensors_written", "tensors_synced"])
def test_a_full_disk_is_not_the_files_fault(parts: Parts, make_clip: MakeClip, moment: str) -> None:
    """The job goes back with its attempt, says why it waits, and ends well once there is room."""
    job = parts.upload(make_clip(seconds=1))
    puller = parts.puller()
    failpoints.configure(f"{moment}:enospc")
    assert puller.run_one()
    waiting = parts.catalog.get_job(job.id)
    assert (waiting.status, waiting.attempts) == ("queued", 0)
    assert waiting.error_code == "storage_full"
    assert waiting.not_before is not None
    assert 25 < (waiting.not_before - datetime.now(UTC)).total_seconds() <= 30
    assert not puller.run_one()
    parts.catalog.retry_job(job.id)
    assert puller.run_one()
    done = parts.catalog.get_job(job.id)
    assert (done.status, done.attempts, done.error_code) == ("succeeded", 1, None)


def test_a_disk_that_fills_up_after_the_commit_changes_nothing(
    parts: Parts, make_clip: MakeClip
) -> None:
    """What is searchable stays so."""
    job = parts.upload(make_clip(seconds=1))
    failpoints.configure("ingest_committed:enospc")
    assert parts.puller().run_one()
    assert parts.catalog.get_job(job.id).status == "succeeded"
    assert thumbnail_file(parts.media, job.video_id, 0).exists()


def test_on_a_full_disk_no_job_is_begun(
    parts: Parts, make_clip: MakeClip, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, however often the worker looks; the job keeps waiting untouched."""
    job = parts.upload(make_clip(seconds=1))
    greedy = MediaStore(parts.media.layout, parts.media.objects, min_free_bytes=1 << 60)
    puller = replace(parts, media=greedy).puller()
    with caplog.at_level("INFO", logger="app.worker.job_runner"):
        assert not any(puller.run_one() for _ in range(3))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert parts.catalog.get_job(job.id) == job


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


@pytest.fixture
def refused_beats(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs whose worker has been told that they are no longer its own."""
    found: list[str] = []
    heartbeat = Catalog.heartbeat

    def noted(catalog: Catalog, job_id: str, *arguments: Any, **choices: Any) -> bool:
        kept = heartbeat(catalog, job_id, *arguments, **choices)
        if not kept:
            found.append(job_id)
        return kept

    monkeypatch.setattr(Catalog, "heartbeat", noted)
    return found


def test_a_cancelled_job_is_dropped(
    parts: Parts, make_clip: MakeClip, refused_beats: list[str]
) -> None:
    """What it had done so far stays invisible."""
    job = parts.upload(make_clip(seconds=30, fps=4))
    with running(parts.puller()):
        with model_taken(parts):
            assert eventually(lambda: parts.catalog.get_job(job.id).status == "running")
            parts.catalog.cancel_job(job.id)
            assert eventually(lambda: refused_beats == [job.id])
        next_one = parts.upload(make_clip("next.mp4", seconds=1, seed=5))
        assert eventually(lambda: parts.catalog.get_job(next_one.id).status == "succeeded")
    assert parts.catalog.get_job(job.id).status == "canceled"
    assert parts.catalog.list_segments("default", job.video_id) == []


def test_a_cancelled_job_stops_decoding_soon(parts: Parts, make_clip: MakeClip) -> None:
    """Its decoder is killed, also one that hangs: at the next heartbeat, and within a second."""
    processes: list[int] = []

    class Hanging(Decoder):
        @contextmanager
        def open(self, *arguments: Any) -> Iterator[Decoding]:
            with super().open(*arguments) as decoding:
                processes.append(decoding._process.pid)
                os.kill(processes[0], signal.SIGSTOP)
                yield decoding

    job = parts.upload(make_clip(seconds=30, fps=4))
    hanging = Hanging.for_model(parts.encoder, parts.settings)
    with running(replace(parts, decoder=hanging).puller()):
        assert eventually(lambda: processes != [])
        parts.catalog.cancel_job(job.id)
        assert eventually(lambda: not Path(f"/proc/{processes[0]}").exists())
    assert LONGEST_SILENCE_S + WATCH_S <= 1.2


def test_a_video_deleted_meanwhile_leaves_no_pictures(
    parts: Parts, make_clip: MakeClip, refused_beats: list[str]
) -> None:
    """Its folder was removed by the deletion and written again by the job."""
    job = parts.upload(make_clip(seconds=30, fps=4))
    folder = thumbnail_file(parts.media, job.video_id, 0).parent
    with running(parts.puller()) as thread:
        assert eventually(folder.exists)
        with model_taken(parts):
            parts.catalog.delete_video("default", job.video_id)
            assert eventually(lambda: refused_beats == [job.id])
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


def test_tensors_and_pictures_are_safe_before_a_row_points_at_them(
    parts: Parts, make_clip: MakeClip
) -> None:
    """After a loss of power no committed segment may lead to bytes that never reached the disk."""
    steps: list[tuple[str, int]] = []

    class Watched(PackedTensorStore):
        def append(self, records: Sequence[Tensors]) -> list[TensorReference]:
            steps.append(("append", parts.catalog.count_segments("default")))
            return super().append(records)

        def sync(self) -> None:
            super().sync()
            steps.append(("sync", parts.catalog.count_segments("default")))

    class WatchedMedia(MediaStore):
        def sync_thumbnails(self, video_id: str) -> None:
            pictures = list(thumbnail_file(self, video_id, 0).parent.glob("*.webp"))
            super().sync_thumbnails(video_id)
            steps.append((f"{len(pictures)} pictures", parts.catalog.count_segments("default")))

    with closing(Watched(parts.settings.layout.tensors, writer_id="wrk_2")) as watched:
        parts.upload(make_clip(seconds=4))
        media = WatchedMedia(parts.media.layout, parts.media.objects)
        assert replace(parts, tensors=watched, media=media).puller().run_one()
        assert set(steps[:-2]) == {("append", 0)}
        # seven segments, and the sheet of their sprites
        assert steps[-2:] == [("8 pictures", 0), ("sync", 0)]
        assert parts.catalog.count_segments("default") > 0


def large_gif(path: Path, pictures: int, marker: int = 0) -> Path:
    """A GIF of a few bytes a picture, each of which is decoded to 16 million pixels."""
    size = (4000).to_bytes(2, "little")
    head = b"GIF89a" + size + size + b"\x80\x00\x00" + bytes([marker, 0, 0, 255, 255, 255])
    one_pixel = (
        b"\x21\xf9\x04\x04\x0a\x00\x00\x00"  # shown for a tenth of a second
        b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
    )
    path.write_bytes(head + one_pixel * pictures + b"\x3b")
    return path


def test_a_giant_in_the_only_slot_holds_no_short_video_back(
    parts: Parts, make_clip: MakeClip, tmp_path: Path
) -> None:
    """It is priced before it is decoded, the wait says so, and the next giant waits its turn."""
    puller = parts.puller(slots=IngestSlots(1, time.monotonic))
    first = parts.upload(large_gif(tmp_path / "1.gif", 20_000))
    with running(puller), running(puller):
        assert eventually(lambda: parts.catalog.get_job(first.id).price_s is not None, 120)
        second = parts.upload(large_gif(tmp_path / "2.gif", 20_000, marker=1))
        short = parts.upload(make_clip(seconds=1))
        assert eventually(lambda: parts.catalog.get_job(short.id).status == "succeeded", 120)
        assert eventually(lambda: parts.catalog.get_job(second.id).price_s is not None, 120)
        assert eventually(lambda: parts.catalog.get_job(second.id).status == "queued", 120)
        assert parts.catalog.get_job(first.id).status == "running"
        waits_s = parts.catalog.backlog().wait_in(1)
    prices = [parts.catalog.get_job(job.id).price_s for job in (first, second)]
    assert min(price or 0.0 for price in prices) > 2 * LONG_S
    assert waits_s > LONG_S
    assert parts.catalog.get_job(second.id).attempts == 0
