"""The port is no copy of its one implementation: a quite different one keeps its contract too."""

from __future__ import annotations

from app.catalog import Catalog
from app.services.vectors.port import VectorPort
from tests.app.services.vectors.brute_force import BruteForceVectors
from tests.app.services.vectors.contract import VectorPortContract


class TestBruteForceVectors(VectorPortContract):
    def make(self, catalog: Catalog) -> VectorPort:
        return BruteForceVectors(catalog)
