"""One ingest job, from the file's bytes to rows that a search can find.

decode (child process) -> small batches -> encoder -> tensor store -> sync -> one commit

Nothing of a video is visible before the commit, and by then its pictures and the tensors that its
rows point at are safe on disk. What an interrupted attempt left behind (tensors nobody points at,
thumbnails that the next attempt overwrites) is waste, never damage.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app import failpoints
from app.catalog import Catalog
from app.catalog.errors import LeaseLost, NotFound
from app.catalog.records import Job, NewSegment, Video, VideoFacts
from app.media import MediaStore
from app.settings import PromptPrecision
from app.worker.certainty import Certainty
from app.worker.decoding import Decoder, Decoding, Interrupted
from app.worker.gate import Gate
from app.worker.lease import Lease, Progress
from app.worker.records import split_records
from index.protocol import TensorStore
from xclip.encoder import EncodedVideos, Encoder
from xclip.video.decode import DecodedSegment
from xclip.video.sample import Segmentation

THUMBNAIL_QUALITY = 75


class ContentMissing(Exception):
    """The bytes of a video are gone, without its row."""

    code: ClassVar[str] = "content_missing"


@dataclass(slots=True)
class _Indexed:
    """The segments of one video as they come out of the model."""

    segments: list[NewSegment] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class IngestPipeline:
    """The parts an ingest needs; `run` does one job."""

    catalog: Catalog
    media: MediaStore
    tensors: TensorStore
    encoder: Encoder
    gate: Gate
    decoder: Decoder
    certainty: Certainty
    precision: PromptPrecision

    def run(self, job: Job, lease: Lease) -> int:
        """Index the job's video and commit it with the job; returns the number of segments.

        Raises
        ------
        VideoError
            If the file cannot be decoded.
        Interrupted
            If the lease is lost or the worker is stopping.
        ContentMissing
            If the file is not there.
        LeaseLost, ModelMismatch
            As the catalog's commit does.
        """
        indexed = _Indexed()
        try:
            return self._run(job, lease, indexed)
        except (Interrupted, LeaseLost, NotFound):
            self._erase_if_deleted(job, indexed)
            raise

    def _run(self, job: Job, lease: Lease, indexed: _Indexed) -> int:
        video = self.catalog.get_video(job.collection, job.video_id)
        collection = self.catalog.get_collection(job.collection)
        source = self.media.content_path(video.sha256)
        segmentation = Segmentation(collection.window_s, collection.stride_s)
        if not source.is_file():
            raise ContentMissing("The video's file is no longer in the data folder.")
        with self.decoder.open(source, segmentation, lease.should_stop) as decoding:
            info = decoding.info
            lease.report(Progress("encode", 0.0, (0.0, info.duration_s)))
            for batch in decoding.batches():
                failpoints.hit("segments_decoded")
                for piece in self.gate.pieces(batch):
                    self._index(video, piece, indexed)
                lease.report(_progress(indexed, decoding))
        lease.report(Progress("commit", 1.0, (info.duration_s, info.duration_s)))
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
            fingerprint=self.encoder.fingerprint,
        )
        failpoints.hit("ingest_committed")
        return len(indexed.segments)

    def _erase_if_deleted(self, job: Job, indexed: _Indexed) -> None:
        """A deletion did not know of the tensors that were just being written."""
        if self.catalog.known_videos([job.video_id]):
            return
        runs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for segment in indexed.segments:
            runs[segment.tensor.file].append((segment.tensor.offset, segment.tensor.length))
        for file, of_it in runs.items():
            self.tensors.erase(file, of_it)

    def _index(self, video: Video, batch: Sequence[DecodedSegment], indexed: _Indexed) -> None:
        frames = np.stack([segment.frames for segment in batch])
        encoded, bank = self.gate.ingest(lambda: self._encode(frames)).result()
        references = self.tensors.append(
            split_records(encoded, self.precision, self.certainty.digest, bank)
        )
        failpoints.hit("tensors_written")
        for segment, reference in zip(batch, references, strict=True):
            self.media.write_thumbnail(video.id, segment.index, _webp(segment.thumbnail))
            indexed.segments.append(
                NewSegment(segment.index, segment.start, segment.end, reference)
            )
        failpoints.hit("thumbnails_written")
        indexed.embeddings.append(encoded.embedding)

    def _encode(self, frames: NDArray[np.uint8]) -> tuple[EncodedVideos, NDArray[np.float16]]:
        """The segments, and what they score for the bank: B segments, [B, N0]."""
        encoded = self.encoder.encode_video(frames)
        bank = self.encoder.score(self.certainty.bank, encoded)
        return encoded, bank.astype(np.float16)


def _progress(indexed: _Indexed, decoding: Decoding) -> Progress:
    seconds = (indexed.segments[-1].end_s, decoding.info.duration_s)
    return Progress("encode", len(indexed.segments) / decoding.total, seconds)


def _webp(picture: NDArray[np.uint8]) -> bytes:
    """picture : uint8 [height, width, 3], RGB."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="WEBP", quality=THUMBNAIL_QUALITY)
    return stream.getvalue()
