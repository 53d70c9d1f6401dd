"""Run by `test_full_disk.py` where a small file system is mounted: fill it, and empty it again.

    python -m tests.faults.emptied_disk MOUNTED CHECKPOINT CLIP

A real service takes a video; the disk is filled to its last byte; the service starts on it, says so
to uploads, answers, and deletes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

from tests.e2e.service import Service, all_items, upload, wait_for_job
from tests.faults.full_disk import VIDEOS, leave_free


def main(arguments: list[str]) -> None:
    mounted, checkpoint, clip = map(Path, arguments)
    service = Service(mounted / "data", XCLIP_MODEL=str(checkpoint), XCLIP_MIN_FREE_BYTES="1")
    service.log = mounted.parent / "log"  # which must not fill the disk
    service.start()
    try:
        with service.client() as client:
            accepted = upload(client, clip).json()
            assert wait_for_job(client, accepted["job"]["id"])["status"] == "succeeded"
        fill(mounted, "while it runs")
        with service.client() as client:
            refused = upload(client, clip.with_name("another.mp4"))
            assert refused.status_code == httpx.codes.INSUFFICIENT_STORAGE, refused.text
            assert int(refused.headers["retry-after"]) > 0
        service.stop()
        fill(mounted, "while it is stopped")
        service.start()
        with service.client() as client:
            assert len(all_items(client, VIDEOS)) == 1
            fill(mounted, "after its start")
            answer = client.delete(f"{VIDEOS}/{accepted['video']['id']}")
            assert answer.is_success, answer.text
            assert all_items(client, VIDEOS) == []
    finally:
        service.stop()


def fill(mounted: Path, moment: str) -> None:
    """Take every byte that is free, as another program would."""
    leave_free(mounted / f"ballast {moment}", 0)
    with (mounted / f"rest {moment}").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
