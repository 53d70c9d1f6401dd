"""Adoption: how far a data folder and a catalog agree that are not a pair (`adopt`)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from app.catalog import Catalog
from app.settings import Settings
from app.storage.composition import open_storage


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a catalog and a data folder agree.

    videos : different contents that the catalog knows
    missing : those of them whose file is not in the folder
    unknown : files of the folder that the catalog does not know
    """

    videos: int
    missing: int
    unknown: int


def compare_folder(catalog: Catalog, settings: Settings) -> Comparison:
    """Compare the names of all videos' files; reads none of them."""
    with closing(open_storage(settings.layout, writer_id="maintenance")) as storage:
        there = set(storage.media.contents())
    known = catalog.media_in_use()
    return Comparison(len(known), len(known - there), len(there - known))
