"""One ingest job, from the file's bytes to rows that a search can find.

decode (child process) -> small batches -> encoder -> tensor store -> sync -> one commit

Nothing of a video is visible before the commit, and the tensors that its rows point at are safe on
disk by then. What an interrupted attempt left behind (tensors nobody points at, thumbnails that the
next attempt overwrites) is waste, never damage.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.catalog import Catalog
from app.catalog.records import Job, NewSegment, Video, VideoFacts
from app.media import MediaStore
from app.settings import PromptPrecision
from app.worker.certainty import Certainty
from app.worker.decoding import Decoder
from app.worker.gate import Gate
from app.worker.lease import Lease
from app.worker.records import split_records
from index.protocol import TensorStore
from xclip.encoder import EncodedVideos, Encoder
from xclip.video.decode import DecodedSegment
from xclip.video.sample import Segmentation

THUMBNAIL_QUALITY = 75


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
        LeaseLost, ModelMismatch
            As the catalog's commit does.
        """
        video = self.catalog.get_video(job.collection, job.video_id)
        collection = self.catalog.get_collection(job.collection)
        indexed = _Indexed()
        source = self.media.content_path(video.sha256)
        segmentation = Segmentation(collection.window_s, collection.stride_s)
        with self.decoder.open(source, segmentation, lease.should_stop) as decoding:
            for batch in decoding.batches():
                self._index(video, batch, indexed)
                lease.report("encode", len(indexed.segments) / decoding.total)
            info = decoding.info
        lease.report("commit", 1.0)
        self.tensors.sync()
        self.catalog.complete_ingest(
            job.id,
            lease.token,
            facts=VideoFacts(
                container=info.container,
                codec=info.codec,
                width=info.width,
                height=info.height,
                duration_s=info.duration_s,
            ),
            segments=indexed.segments,
            embeddings=np.concatenate(indexed.embeddings),
            fingerprint=self.encoder.fingerprint,
        )
        return len(indexed.segments)

    def _index(self, video: Video, batch: Sequence[DecodedSegment], indexed: _Indexed) -> None:
        frames = np.stack([segment.frames for segment in batch])
        encoded, bank = self.gate.ingest(lambda: self._encode(frames)).result()
        references = self.tensors.append(
            split_records(encoded, self.precision, self.certainty.digest, bank)
        )
        for segment, reference in zip(batch, references, strict=True):
            self.media.write_thumbnail(video.id, segment.index, _webp(segment.thumbnail))
            indexed.segments.append(
                NewSegment(segment.index, segment.start, segment.end, reference)
            )
        indexed.embeddings.append(encoded.embedding)

    def _encode(self, frames: NDArray[np.uint8]) -> tuple[EncodedVideos, NDArray[np.float16]]:
        """The segments, and what they score for the bank: B segments, [B, N0]."""
        encoded = self.encoder.encode_video(frames)
        bank = self.encoder.score(self.certainty.bank, encoded)
        return encoded, bank.astype(np.float16)


def _webp(picture: NDArray[np.uint8]) -> bytes:
    """picture : uint8 [height, width, 3], RGB."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="WEBP", quality=THUMBNAIL_QUALITY)
    return stream.getvalue()
