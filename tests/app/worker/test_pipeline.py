"""The stages of an ingest side by side: of one video, of several, and of those that end early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from app.clock import SystemClock
from app.model_api.tensor_records import stack_records
from app.telemetry.metrics import WorkerMetrics
from app.worker.decoding import Decoding
from app.worker.job_runner import JobRunner
from app.worker.slots import IngestSlots
from xclip.encoder import Encoder, StoredSegments
from xclip.video.decode import DecodedSegment, DecodeRequest, decode_segments
from xclip.video.sampling import Segmentation
from xclip.xclip_encoder import XCLIPEncoder

from .conftest import Parts, eventually, model_taken, running

MakeClip = Callable[..., Path]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by each segment that a decoder has handed over."""
    positions: list[int] = []
    segments = Decoding.segments

    def noted(decoding: Decoding) -> Iterator[DecodedSegment]:
        for segment in segments(decoding):
            positions.append(segment.index)
            yield segment

    monkeypatch.setattr(Decoding, "segments", noted)
    return positions


def statuses(parts: Parts) -> list[str]:
    return [job.status for job in parts.catalog.list_jobs().items]


def test_decoding_goes_on_while_the_model_is_busy_but_not_for_ever(
    parts: Parts, make_clip: MakeClip, decoded: list[int]
) -> None:
    """What has been decoded and not been written is bounded, however long the video."""
    parts.upload(make_clip(seconds=60, fps=4))
    pipeline = parts.pipeline
    pipeline._most_ahead = 6
    clock = SystemClock()
    slots = IngestSlots(1, clock.monotonic)
    puller = JobRunner(parts.catalog, pipeline, "wrk_1", 30.0, clock, WorkerMetrics(), slots)
    with running(puller):
        with model_taken(parts):
            assert eventually(lambda: len(decoded) == 6)
            assert not eventually(lambda: len(decoded) > 6, within_s=0.5)
        assert eventually(lambda: statuses(parts) == ["succeeded"])
    assert len(decoded) == 119


def test_the_next_video_is_decoded_while_the_model_is_busy_with_the_last(
    parts: Parts, make_clip: MakeClip, decoded: list[int]
) -> None:
    """As many jobs are in flight as there are threads; each is begun once and ends well."""
    for seed in range(4):
        parts.upload(make_clip(f"{seed}.mp4", seconds=2, seed=seed))
    puller = parts.puller()
    with running(puller), running(puller):
        with model_taken(parts):
            assert eventually(lambda: len(decoded) == 2 * 3)
            assert sorted(statuses(parts)) == ["queued"] * 2 + ["running"] * 2
        assert eventually(lambda: statuses(parts) == ["succeeded"] * 4)
    assert [job.attempts for job in parts.catalog.list_jobs().items] == [1] * 4


def test_videos_that_are_ingested_together_keep_their_own_segments(
    parts: Parts, make_clip: MakeClip
) -> None:
    """A batch of the model may hold segments of both."""
    clips = [make_clip(f"{number}.mp4", seconds=2.0 + number, seed=number) for number in range(2)]
    jobs = [parts.upload(clip) for clip in clips]
    puller = parts.puller()
    with running(puller), running(puller):
        with model_taken(parts):
            assert eventually(lambda: statuses(parts) == ["running"] * 2)
        assert eventually(lambda: statuses(parts) == ["succeeded"] * 2)
    for clip, job in zip(clips, jobs, strict=True):
        segments = parts.catalog.list_segments("default", job.video_id)
        kept = stack_records(parts.tensors.read([segment.tensor for segment in segments]))
        expected = parts.encoder.encode_video(frames_of(clip, parts))
        np.testing.assert_allclose(kept.embedding, expected.embedding, atol=1e-5)


def test_segments_with_the_same_frames_are_encoded_once(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a slide show whose slides change every half minute, each segment is still indexed."""
    encode_video = XCLIPEncoder.encode_video
    computed: list[int] = []

    def counted(
        encoder: Encoder, frames: NDArray[np.uint8], between: Callable[[], None]
    ) -> StoredSegments:
        computed.append(len(frames))
        return encode_video(encoder, frames, between)

    slides = tmp_path / "slides.mp4"
    with av.open(str(slides), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(4):
            picture = np.full((64, 64, 3), 60 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = number * 30 * 25
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    monkeypatch.setattr(XCLIPEncoder, "encode_video", counted)
    job = parts.upload(slides)
    with running(parts.puller()):
        assert eventually(lambda: statuses(parts) == ["succeeded"])
    segments = parts.catalog.list_segments("default", job.video_id)
    assert len(segments) > 175
    assert sum(computed) < 20
    kept = stack_records(parts.tensors.read([segment.tensor for segment in segments]))
    expected = encode_video(parts.encoder, frames_of(slides, parts), lambda: None)
    np.testing.assert_allclose(kept.embedding, expected.embedding, atol=1e-5)


def test_a_segment_that_cannot_be_encoded_fails_its_own_job_only(
    parts: Parts, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other video's segments in the same batch are indexed."""
    bad, good = (make_clip(f"{seed}.mp4", seconds=2, seed=seed) for seed in range(2))
    poison = frames_of(bad, parts)[1]
    encode_video = XCLIPEncoder.encode_video

    def choosy(
        encoder: Encoder, frames: NDArray[np.uint8], between: Callable[[], None]
    ) -> StoredSegments:
        if any(np.array_equal(segment, poison) for segment in frames):
            raise RuntimeError("out of memory")
        return encode_video(encoder, frames, between)

    monkeypatch.setattr(XCLIPEncoder, "encode_video", choosy)
    unlucky, lucky = parts.upload(bad), parts.upload(good)
    puller = parts.puller()
    with running(puller), running(puller):
        with model_taken(parts):
            assert eventually(lambda: statuses(parts) == ["running"] * 2)
        assert eventually(lambda: parts.catalog.get_job(lucky.id).status == "succeeded")
        assert eventually(lambda: parts.catalog.get_job(unlucky.id).error_code == "ingest_failed")
    assert parts.catalog.list_segments("default", unlucky.video_id) == []


def frames_of(clip: Path, parts: Parts) -> NDArray[np.uint8]:
    """What the model is given of a clip, uint8 [K, T, S, S, 3]."""
    geometry = parts.encoder.geometry
    request = DecodeRequest(Segmentation(1.0, 0.5), parts.encoder.num_frames, geometry)
    with clip.open("rb") as file:
        return np.stack([segment.frames for segment in decode_segments(file, request)])
