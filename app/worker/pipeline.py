"""Ingest pipeline: one job, from the file's bytes to rows that a search can find.

decode (child process) -> batches of the model -> tensors and pictures -> sync -> one commit

All of these work at the same time, on segments of the same video and on those of other jobs' too;
the queues between them are bounded, and the slowest stage limits the speed of all.

Nothing of a video is visible before the commit, and by then its pictures and the tensors that its
rows point at are safe on disk. What an interrupted attempt left behind is orphaned, never damaged:
tensors that no row points at, and thumbnails that the next attempt overwrites.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app import failpoints
from app.catalog import Catalog
from app.catalog.errors import DATABASE_ERRORS, LeaseLost, NotFound, is_disk_full
from app.catalog.records import Job, NewSegment, Video, VideoFacts
from app.model_api.tensor_records import split_records
from app.settings import StoredPrecision
from app.storage.media_store import MediaStore, content_key
from app.storage.object_store import ObjectMissing
from app.worker.batcher import Batcher, segments_at_once
from app.worker.confidence import ConfidenceEstimator
from app.worker.decoding import Decoder, Decoding
from app.worker.encode_once import EncodeOnce
from app.worker.errors import Interrupted
from app.worker.lease import JobProgress, Lease
from app.worker.model_scheduler import ModelScheduler
from app.worker.prefetch import ahead
from app.worker.sprites import write_sprites
from index.protocol import TensorStore
from xclip.encoder import Encoder, StoredSegments
from xclip.video.decode import DecodedSegment
from xclip.video.probe import VideoInfo
from xclip.video.sampling import Segmentation

THUMBNAIL_QUALITY = 75
PAIRS_AT_ONCE = 128  # of segments and texts of the bank: some 20 ms at base-patch32's size


class ContentMissing(Exception):
    """The bytes of a video are gone, without its row."""

    code: ClassVar[str] = "content_missing"


@dataclass(frozen=True, slots=True)
class _Encoded:
    """What the model says of one segment, and its logits for the bank, float16 [1, N0]."""

    stored: StoredSegments
    bank: NDArray[np.float16]


@dataclass(slots=True)
class _Indexed:
    """The segments of one video that have been written."""

    segments: list[NewSegment] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)


@dataclass(slots=True)
class IngestPipeline:
    """The parts an ingest needs; `run` does one job, several threads several at once."""

    catalog: Catalog
    media: MediaStore
    tensors: TensorStore
    encoder: Encoder
    scheduler: ModelScheduler
    decoder: Decoder
    confidence: ConfidenceEstimator
    precision: StoredPrecision
    _batcher: Batcher[_Encoded] = field(init=False)
    _most_ahead: int = field(init=False)

    def __post_init__(self) -> None:
        most = segments_at_once(self.encoder)
        self._batcher = Batcher(self.scheduler, self._encode, most)
        self._most_ahead = 2 * most  # one batch that is computed, and the next one

    def run(self, job: Job, lease: Lease, probed: Callable[[VideoInfo, int], None]) -> int:
        """Index the job's video and commit it with the job; returns the number of segments.

        probed : called with the facts and the number of segments, before more than the first
            picture is decoded; what it raises ends the run

        Raises
        ------
        VideoError
            If the file cannot be decoded.
        Interrupted
            If the lease is lost or the worker is stopping.
        ContentMissing
            If the file is not there.
        LeaseLost, VectorsOfAnotherModel
            As the catalog's commit does.
        """
        indexed = _Indexed()
        try:
            return self._run(job, lease, indexed, probed)
        except (Interrupted, LeaseLost, NotFound):
            self._erase_if_deleted(job, indexed)
            raise
        except Exception as error:
            if is_disk_full(error):
                with suppress(OSError, *DATABASE_ERRORS):
                    self._erase_unless_committed(job, indexed)
            raise

    def _run(
        self,
        job: Job,
        lease: Lease,
        indexed: _Indexed,
        probed: Callable[[VideoInfo, int], None],
    ) -> int:
        video = self.catalog.get_video(job.collection, job.video_id)
        collection = self.catalog.get_collection(job.collection)
        segmentation = Segmentation(collection.window_s, collection.stride_s)
        with (
            self._source(video) as source,
            self.decoder.open(source, segmentation, lease.should_stop) as decoding,
            ThreadPoolExecutor(max_workers=1, thread_name_prefix="publish") as publisher,
        ):
            info = decoding.info
            probed(info, decoding.total)
            lease.report(JobProgress("encode", 0.0, (0.0, info.duration_s)))
            once = EncodeOnce(self._batcher.submit)
            publish = partial(self._begin, video.id, indexed, publisher, once)
            with closing(ahead(decoding.segments(), publish, self._most_ahead)) as published:
                for segment, _ in published:
                    decoding.check()  # its segments may long have been there
                    lease.report(_progress(segment, decoding))
        lease.report(JobProgress("commit", 1.0, (info.duration_s, info.duration_s)))
        write_sprites(self.media, video.id, indexed.segments)
        self.media.sync_thumbnails(video.id)
        self.tensors.sync()
        failpoints.hit("tensors_synced")
        self.catalog.complete_ingest(
            job.id,
            lease.token,
            facts=VideoFacts(
                container=info.container,
                codec=info.codec,
                width=info.width,
                height=info.height,
                duration_s=info.duration_s,
                lost_s=decoding.lost_s,
            ),
            segments=indexed.segments,
            embeddings=np.concatenate(indexed.embeddings),
            model=self.encoder.name,
            fingerprint=self.encoder.fingerprint,
        )
        failpoints.hit("ingest_committed")
        return len(indexed.segments)

    @contextmanager
    def _source(self, video: Video) -> Iterator[Path]:
        """The video's file, for as long as it is decoded. Raises ContentMissing."""
        try:
            with self.media.objects.local_copy(content_key(video.sha256)) as source:
                yield source
        except ObjectMissing:
            raise ContentMissing("The video's file is no longer in the data folder.") from None

    def _erase_if_deleted(self, job: Job, indexed: _Indexed) -> None:
        """A deletion did not know of the tensors that were just being written."""
        if not self.catalog.known_videos([job.video_id]):
            self._erase(indexed)

    def _erase_unless_committed(self, job: Job, indexed: _Indexed) -> None:
        """Another attempt writes all of it again; but the disk may fill up after the commit."""
        if self.catalog.get_job(job.id).status != "succeeded":
            self._erase(indexed)

    def _erase(self, indexed: _Indexed) -> None:
        runs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for segment in indexed.segments:
            runs[segment.tensor.file].append((segment.tensor.offset, segment.tensor.length))
        for file, of_it in runs.items():
            self.tensors.erase(file, of_it)

    def _begin(
        self,
        video_id: str,
        indexed: _Indexed,
        publisher: ThreadPoolExecutor,
        once: EncodeOnce[_Encoded],
        segment: DecodedSegment,
    ) -> Future[None]:
        """Have a segment encoded and then written; cancelling the one cancels the other."""
        failpoints.hit("segments_decoded")
        encoded = once.submit(segment.frames)
        published = publisher.submit(self._publish, video_id, indexed, segment, encoded)
        published.add_done_callback(lambda _: encoded.cancel())
        return published

    def _publish(
        self, video_id: str, indexed: _Indexed, segment: DecodedSegment, encoded: Future[_Encoded]
    ) -> None:
        picture = _webp(segment.thumbnail)  # while the model computes
        result = encoded.result()
        [reference] = self.tensors.append(
            split_records(result.stored, self.precision, self.confidence.digest, result.bank)
        )
        failpoints.hit("tensors_written")
        self.media.write_thumbnail(video_id, segment.index, picture)
        failpoints.hit("thumbnails_written")
        indexed.segments.append(NewSegment(segment.index, segment.start, segment.end, reference))
        indexed.embeddings.append(result.stored.embedding)

    def _encode(self, frames: NDArray[np.uint8]) -> list[_Encoded]:
        """frames : uint8 [B, T, S, S, 3], of B segments."""
        encoded = self.encoder.encode_video(frames, self.scheduler.let_queries_pass)
        bank = self._score_bank(encoded)
        rows = [slice(number, number + 1) for number in range(len(frames))]
        return [_Encoded(encoded[row], bank[row]) for row in rows]

    def _score_bank(self, encoded: StoredSegments) -> NDArray[np.float16]:
        """The logits of B segments for the bank, [B, N0], in parts between which queries pass."""
        texts, segments = self.confidence.bank, len(encoded)
        logits = np.empty((segments, len(texts)), np.float16)
        step = max(1, PAIRS_AT_ONCE // segments)
        for start in range(0, len(texts), step):
            self.scheduler.let_queries_pass()
            part = slice(start, start + step)
            logits[:, part] = self.encoder.score(texts[part], encoded)
        return logits


def _progress(segment: DecodedSegment, decoding: Decoding) -> JobProgress:
    seconds = (segment.end, decoding.info.duration_s)
    return JobProgress("encode", (segment.index + 1) / decoding.total, seconds)


def _webp(picture: NDArray[np.uint8]) -> bytes:
    """picture : uint8 [height, width, 3], RGB."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="WEBP", quality=THUMBNAIL_QUALITY)
    return stream.getvalue()
