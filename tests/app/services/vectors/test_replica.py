"""The index replica keeps the contract of the port, and searches large collections by codes."""

from __future__ import annotations

import time
from contextlib import closing

import numpy as np

from app.catalog import Catalog
from app.services.vectors.port import VectorPort
from app.services.vectors.replica import IndexReplica
from tests.app.services.vectors.contract import (
    QUERY,
    VectorPortContract,
    add_video,
    recall,
    rows_of,
)


class TestIndexReplica(VectorPortContract):
    def make(self, catalog: Catalog) -> VectorPort:
        return IndexReplica(catalog, threads=1)

    def test_a_large_collection_is_searched_by_codes_after_a_while(self, catalog: Catalog):
        """Searches are exact until the codes are there; then they say what those recall."""
        for number in range(10):
            add_video(catalog, number, 100)
        with closing(IndexReplica(catalog, threads=1, exact_up_to=500)) as vectors:
            exact = self.make(catalog)
            collection = catalog.get_collection("default")
            found = vectors.recall(collection, QUERY, 10, None)
            while found.measured is None:
                expected = exact.recall(collection, QUERY, 10, None)
                assert found.rows.tolist() == expected.rows.tolist()
                time.sleep(0.01)
                found = vectors.recall(collection, QUERY, 10, None)
            assert 0.9 <= found.measured <= 1
            assert len(found.rows) == 10
            few = np.array(sorted(rows_of(catalog))[:300], np.int64)
            assert vectors.recall(collection, QUERY, 10, few).measured is None
            catalog.delete_video("default", catalog.list_videos("default", limit=1).items[0].id)
            assert set(recall(vectors, catalog).rows.tolist()) == rows_of(catalog)
