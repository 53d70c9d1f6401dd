"""A video of 4 GB, made while it is sent: the API's memory must not notice, nor a cut its disk.

A real service whose limit is raised. The file goes through a socket by hand as multipart, no two of
its mebibytes alike, and its job fails because it is no video. Then a client sends half of another
one and vanishes.

python -m benchmarks.big_upload [--gigabytes 4]

Exit status 1 when a bar is missed: the API's peak memory grows by less than 64 MB, the video is
stored whole, and nothing of the half one is left in the data folder's tmp and uploads.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.service import Service, running, wait_for_job

PIECE = 1 << 20
VIDEOS = "/v1/collections/default/videos"
HEAD = b'--x\r\ncontent-disposition: form-data; name="file"; filename="big.mp4"\r\n\r\n'
TAIL = b"\r\n--x--\r\n"
MAX_GROWTH_MB = 64
SWEEP_TIMEOUT_S = 15.0


def peak_mb(pid: int) -> float:
    """The most memory the process has had so far (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def pieces(count: int) -> Iterator[bytes]:
    """Mebibytes of zeros, each with its number."""
    zeros = bytes(PIECE - 8)
    for number in range(count):
        yield number.to_bytes(8, "big") + zeros


def send(url: str, declared: int, sent: int) -> socket.socket:
    """Begin an upload of `declared` mebibytes and send `sent` of them."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port))
    connection.settimeout(120)
    length = len(HEAD) + declared * PIECE + len(TAIL)
    connection.sendall(
        f"POST {VIDEOS} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-length: {length}\r\n"
        "content-type: multipart/form-data; boundary=x\r\nconnection: close\r\n\r\n".encode()
    )
    connection.sendall(HEAD)
    for piece in pieces(sent):
        connection.sendall(piece)
    return connection


def whole(service: Service, mebibytes: int) -> str:
    """Upload all of it; the id of its job."""
    with send(service.url, mebibytes, mebibytes) as connection:
        connection.sendall(TAIL)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 202 " not in head.split(b"\r\n")[0]:
        raise AssertionError(answer)
    job: str = json.loads(body)["job"]["id"]
    return job


def leftovers(data: Path) -> list[str]:
    """Files of uploads that are not whole, after the API had time to notice."""
    deadline = time.monotonic() + SWEEP_TIMEOUT_S
    while True:
        found = [
            str(path.relative_to(data))
            for folder in (data / "tmp", data / "uploads")
            if folder.exists()
            for path in folder.rglob("*")
            if path.is_file() and path.suffix != ".lock"
        ]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def main() -> None:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    mebibytes = round(parser.parse_args().gigabytes * 1024)
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        limit = str((mebibytes + 1) * PIECE)
        with running(data, XCLIP_MAX_UPLOAD_BYTES=limit) as service, service.client() as client:
            client.get(VIDEOS)
            api = service.process_ids()["api"]
            before = peak_mb(api)
            began = time.perf_counter()
            job = whole(service, mebibytes)
            seconds = time.perf_counter() - began
            grown = peak_mb(api) - before
            print(f"{mebibytes} MiB in {seconds:.1f} s, {mebibytes / seconds:.0f} MiB/s")
            print(f"API: {before:.0f} MB before, {grown:.1f} MB more at its peak")
            if grown >= MAX_GROWTH_MB:
                missed.append(f"the API grew by {grown:.0f} MB")
            stored = sum(path.stat().st_size for path in (data / "media").rglob("*"))
            if stored < mebibytes * PIECE:
                missed.append(f"{stored} bytes are stored")
            print(f"its job: {wait_for_job(client, job, timeout_s=300)['error']}")
            send(service.url, mebibytes, mebibytes // 2).close()
            if left := leftovers(data):
                missed.append(f"a client that vanished left {left}")
    for miss in missed:
        print(f"MISSED: {miss}")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
