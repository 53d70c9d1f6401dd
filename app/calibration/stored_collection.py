"""Stored collection: reads a collection from disk, without the service, with its model.

Segments may come and go while they are read: those that are gone are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from app.catalog import Catalog
from app.catalog.records import Collection, Segment
from app.settings import Settings
from app.storage import library_identity
from app.storage.composition import open_storage
from app.storage.errors import MaintenanceError
from app.storage.library_identity import check_library
from index import Ids, Tensors
from index.protocol import TensorStore
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.errors import DeviceUnavailable, XCLIPError

SEGMENTS_AT_ONCE = 256  # held in memory; 100 MB of their arrays at the size of base-patch16


class CalibrationError(Exception):
    """Why a collection cannot be measured; the message says what to do."""

    code: ClassVar[str] = "tuning_impossible"


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """A collection that holds something, and everything needed to score it."""

    catalog: Catalog
    tensors: TensorStore
    encoder: Encoder
    collection: Collection

    def rows(self) -> Ids:
        """The rows of all segments, ascending."""
        by_video = self.catalog.rows_by_video(self.collection.name)
        return np.sort(np.concatenate([np.empty(0, np.int64), *by_video.values()]))

    def read(self, rows: Ids) -> Iterator[tuple[list[Segment], list[Tensors]]]:
        """The segments of these rows and their records, in the order given, some at a time."""
        for start in range(0, len(rows), SEGMENTS_AT_ONCE):
            some = self.catalog.segments_by_rows(rows[start : start + SEGMENTS_AT_ONCE].tolist())
            segments = [each.segment for each in some]
            if segments:
                yield segments, [*self.tensors.read([segment.tensor for segment in segments])]


@contextmanager
def open_catalog(settings: Settings) -> Iterator[Catalog]:
    """The catalog that the settings name, if there is one. Raises CalibrationError."""
    try:
        check_library(settings)
        catalog = library_identity.open_catalog(settings)
    except MaintenanceError as error:
        raise CalibrationError(str(error)) from error
    with catalog:
        yield catalog


@contextmanager
def open_footage(settings: Settings, name: str) -> Iterator[StoredCollection]:
    """Collection `name` and its model. Raises CalibrationError, CatalogError."""
    with (
        open_catalog(settings) as catalog,
        closing(open_storage(settings.layout, writer_id="calibration")) as storage,
    ):
        collection = catalog.get_collection(name)
        if collection.fingerprint is None or not catalog.count_segments(name):
            raise CalibrationError(f"the collection {name!r} holds no searchable video")
        encoder = _load(settings)
        if encoder.fingerprint != collection.fingerprint:
            raise CalibrationError(
                f"the collection {name!r} was built with {collection.model} "
                f"({collection.fingerprint}), but XCLIP_MODEL is {encoder.name} "
                f"({encoder.fingerprint})"
            )
        yield StoredCollection(catalog, storage.tensors, encoder, collection)


def _load(settings: Settings) -> Encoder:
    try:
        return load_encoder(
            settings.model,
            revision=settings.model_revision,
            device=settings.device,
            num_threads=settings.threads,
        )
    except DeviceUnavailable as error:
        raise CalibrationError(f"XCLIP_DEVICE={settings.device} is refused: {error}") from error
    except XCLIPError as error:
        raise CalibrationError(f"XCLIP_MODEL={settings.model} cannot be loaded: {error}") from error
