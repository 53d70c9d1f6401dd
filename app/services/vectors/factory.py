"""Vector port factory: the only module that chooses and opens the vector search."""

from __future__ import annotations

import os
import sys

from app.catalog import Catalog
from app.services.vectors.port import VectorPort
from app.services.vectors.replica import IndexReplica


def open_vectors(
    catalog: Catalog, *, threads: int | None, exact_up_to: int = sys.maxsize
) -> VectorPort:
    """Open the vectors of the catalog's collections; `close` them at the end.

    threads : how many threads one search may use; None for as many as there are cores
    exact_up_to : collections with no more segments than this are searched exactly
    """
    return IndexReplica(catalog, threads=threads or os.cpu_count() or 1, exact_up_to=exact_up_to)
