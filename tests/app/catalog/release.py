"""A small catalog with something of everything, and its dump as it is kept of each schema.

`python -m tests.app.catalog.release` writes tests/data/catalogs/REVISION.sql with the code that is
there. It is run before a revision is added, so that the dump is what the released code wrote.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from pathlib import Path
from random import Random

from app.catalog import Catalog
from app.catalog.records import NewUpload, UploadKey
from tests.app.catalog.samples import HandClock, claim, ingest, new_video

DUMPS = Path(__file__).parents[2] / "data" / "catalogs"
SECRET = "5ec7e7" * 10 + "beef"  # of both keys, in hexadecimal
DIGEST = hashlib.sha256(SECRET.encode()).digest()
METADATA = {"camera": "north", "n": 7, "tags": ["a", "b"], "place": {"city": "x"}, "é": None}


def fill(catalog: Catalog, clock: HandClock) -> None:
    """Collections, videos and jobs in every state, label sets, keys, uploads and removals."""
    for name in ("default", "cats"):
        catalog.create_collection(
            name, model="motion-tiny", window_s=5, stride_s=2.5, metadata={"of": name}
        )
    ingest(catalog, "north", metadata=METADATA, seed=1)
    ingest(catalog, "south", metadata={"camera": "south", "n": 2**70}, seed=2)
    ingest(catalog, "cat", collection="cats", count=2, seed=3)
    removed = ingest(catalog, "removed", seed=4)
    catalog.delete_video("default", removed.id)
    _fill_queue(catalog, clock)
    catalog.put_label_set("pets", ["cat", "dog"], ["a video of a {}."])
    catalog.set_calibration("default", "default-1.json")
    catalog.set_recall_candidates("default", 50)
    catalog.secret("worker")
    _fill_uploads(catalog)


def _fill_queue(catalog: Catalog, clock: HandClock) -> None:
    catalog.add_video_with_job("default", new_video("broken"))
    job, token = claim(catalog)
    catalog.fail_job(job.id, token, code="unreadable_video", message="Damaged.", retry=False)
    _, job, _ = catalog.add_video_with_job("default", new_video("canceled"))
    catalog.cancel_job(job.id)
    catalog.add_video_with_job("default", new_video("running"))
    claim(catalog)
    catalog.add_video_with_job("default", new_video("again"))
    job, token = claim(catalog)
    catalog.fail_job(job.id, token, code="ingest_failed", message="Once more.", retry=True)
    clock.advance(0.5)
    catalog.add_video_with_job("cats", new_video("waiting"))


def _fill_uploads(catalog: Catalog) -> None:
    live = catalog.create_key("live", "write", DIGEST, requests_per_minute=600)
    catalog.revoke_key(catalog.create_key("revoked", "admin", DIGEST).id)
    catalog.create_key("expired", "read", DIGEST, expires_in_s=0.25)
    new = NewUpload(1_000, "half.mp4", "video/mp4", {"half": True})
    catalog.create_upload("cats", live.id, new)
    upload = catalog.create_upload("default", live.id, new)
    key = UploadKey(live.id, "once", "0" * 64)
    catalog.add_video_with_job("default", new_video("whole"), key=key, upload_id=upload.id)


def write_dump() -> Path:
    """Write the dump of the schema that the code has; returns its path."""
    clock = HandClock()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "catalog.sqlite"
        entropy = Random(20260504).randbytes
        with Catalog.open(f"sqlite:///{file}", clock=clock, entropy=entropy) as catalog:
            fill(catalog, clock)
        connection = sqlite3.connect(file)
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        dump = DUMPS / f"{revision}.sql"
        dump.write_text("\n".join(connection.iterdump()) + "\n", "utf-8")
        connection.close()
    return dump


if __name__ == "__main__":
    print(write_dump())
