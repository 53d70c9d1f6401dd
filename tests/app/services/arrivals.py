"""What takes uploads in, over a folder, without the rest of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.catalog import Catalog
from app.catalog.records import NewUpload
from app.clock import Clock, SettledClock, SystemClock
from app.data_layout import DataLayout
from app.services.ingest.chunk import Checksum
from app.services.ingest.ingest import AcceptedUpload, Ingest, Sender, Upload
from app.services.ingest.quotas import Quotas
from app.services.ingest.resumable_uploads import (
    ResumableUploads,
    UploadProgress,
    expire_uploads,
    remove_unneeded_bytes,
)
from app.settings import Settings
from app.storage.composition import Storage, open_storage
from app.storage.media_store import MediaStore
from app.storage.partial_uploads import PartialUploadStore
from app.telemetry.metrics import Metrics

OWNER = "someone"
MAX_OPEN = 8  # unfinished uploads of an owner


@dataclass(frozen=True)
class Arrivals:
    """One process that takes uploads in."""

    catalog: Catalog
    storage: Storage
    ingest: Ingest
    uploads: ResumableUploads
    clock: Clock
    settled_clock: SettledClock

    @property
    def media(self) -> MediaStore:
        return self.storage.media

    @property
    def partials(self) -> PartialUploadStore:
        return self.storage.partial_uploads

    def restarted(self) -> Arrivals:
        """Another process over the same folder, after what is done at a start."""
        again = over(self.catalog, self.storage, self.clock)
        again.media.sweep()
        again.uploads.finish_received()
        again.sweep()
        return again

    def sweep(self) -> None:
        """Remove what is over, as it is done every minute."""
        now = self.settled_clock.look()
        if now is not None:
            expire_uploads(self.catalog, self.partials, now)
        remove_unneeded_bytes(self.catalog, self.partials)

    def announce(self, length: int | None) -> str:
        """A new upload of so many bytes; returns its id."""
        new = NewUpload(length, "a.mp4", "video/mp4", {"camera": "north"})
        return self.uploads.create("default", OWNER, new).upload.id

    def send(
        self, upload_id: str, offset: int, part: bytes, checksum: Checksum | None
    ) -> UploadProgress:
        """One piece, from its beginning to its end."""
        piece = self.uploads.begin(upload_id, OWNER, offset, checksum)
        if piece is None:
            return self.uploads.look(upload_id, OWNER)
        try:
            piece.write(part)
            return self.uploads.finish(piece)
        finally:
            piece.close()

    def upload(self, content: bytes, key: str) -> AcceptedUpload:
        """An upload in one go, under an Idempotency-Key."""
        with self.media.receive(1 << 20) as incoming:
            incoming.write(content)
            upload = Upload(incoming, "a.mp4", "video/mp4", {})
            return self.ingest.admit("default", upload, owner=OWNER, sender=Sender(OWNER, key))


@contextmanager
def open_arrivals(folder: Path, clock: Clock | None = None) -> Iterator[Arrivals]:
    """Over `folder`, with a collection `default`; it has swept once."""
    storage = open_storage(DataLayout(folder), writer_id="api")
    clock = clock or SystemClock()
    with Catalog.open(f"sqlite:///{folder / 'catalog.sqlite'}", clock=clock) as catalog:
        catalog.create_collection("default", model="m", window_s=5, stride_s=5)
        arrivals = over(catalog, storage, clock)
        arrivals.sweep()
        yield arrivals


def over(catalog: Catalog, storage: Storage, clock: Clock) -> Arrivals:
    """What takes uploads in, made anew over these."""
    ingest = Ingest(catalog, storage.media, Metrics().upload_bytes)
    settled = SettledClock(clock)
    uploads = ResumableUploads(
        catalog,
        storage.media,
        storage.partial_uploads,
        ingest,
        Quotas(catalog, Settings(max_open_uploads=MAX_OPEN)),
        settled,
        max_bytes=1 << 20,
    )
    return Arrivals(catalog, storage, ingest, uploads, clock, settled)
