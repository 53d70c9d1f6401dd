"""Label sets without a worker that could read them."""

from __future__ import annotations

from pathlib import Path

import httpx

from app.catalog import Catalog
from app.model_api.client import WorkerClient
from app.services.library.label_sets import LabelSets
from tests.app.catalog.samples import HandClock


def test_a_set_is_kept_while_no_worker_answers(tmp_path: Path) -> None:
    """Labels can be written down while a worker starts; a classification checks them."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody listens", request=request)

    transport = httpx.MockTransport(refuse)
    worker = WorkerClient("http://127.0.0.1:1", secret=b"s", transport=transport)
    with Catalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}", clock=HandClock()) as catalog:
        kept, created, use = LabelSets(catalog, worker).put("sports", ["Judo", "judo"], ())
    worker.close()
    assert (created, use) == (True, None)
    assert kept.labels == ("Judo", "judo")
