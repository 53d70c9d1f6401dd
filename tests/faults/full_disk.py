"""Run by `test_full_disk.py` where a small file system is mounted: fill it, use it, look again.

    python -m tests.faults.full_disk MOUNTED CHECKPOINT PREPARED FREE_BYTES CLIP…

Copies PREPARED into MOUNTED, leaves FREE_BYTES of it free, lives a life, makes room, and checks.
Prints how many requests and jobs met the full disk.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from app import failpoints
from tests.faults.life import Journal, check_afterwards, opened, use
from xclip.encoders import load_encoder


def main(arguments: list[str]) -> None:
    mounted, checkpoint, prepared = map(Path, arguments[:3])
    clips = [Path(name) for name in arguments[4:]]
    encoder = load_encoder(str(checkpoint), device="cpu", num_threads=1)
    failpoints.configure("")
    with opened(prepared, encoder) as stack:
        present = {video["sha256"] for video in stack.api.get(VIDEOS).json()["items"]}
    for free_bytes in map(int, arguments[3].split(",")):
        folder = mounted / "world"
        shutil.copytree(
            prepared / "data", folder / "data", ignore=shutil.ignore_patterns("reserve")
        )
        ballast = mounted / "ballast"
        with opened(folder, encoder) as stack:
            leave_free(ballast, free_bytes)
            use(stack, Journal(mounted.parent / "journal"), clips)
        ballast.unlink()
        (folder / "journal").write_bytes((mounted.parent / "journal").read_bytes())
        check_afterwards(folder, encoder, present)
        journal = Journal(folder / "journal").read()
        refused = len(journal.asked - journal.accepted)
        print(json.dumps({"free_bytes": free_bytes, "uploads_refused": refused}), flush=True)
        shutil.rmtree(folder)
        (mounted.parent / "journal").unlink()


def leave_free(ballast: Path, free_bytes: int) -> None:
    """Take so much of the file system that only `free_bytes` are left."""
    with ballast.open("wb") as file:
        while True:
            state = os.statvfs(ballast.parent)
            wanted = state.f_bavail * state.f_frsize - free_bytes
            try:
                os.posix_fallocate(file.fileno(), 0, wanted)
            except OSError:  # the service was just taking room for its reserve
                file.truncate(0)
            else:
                return


VIDEOS = "/v1/collections/default/videos"

if __name__ == "__main__":
    main(sys.argv[1:])
