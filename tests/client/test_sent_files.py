"""Files that change while they are sent, and what is no file to send."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from xclip_search import ApiError, Client
from xclip_search.sent_files import size_of, steady


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Ten bytes."""
    path = tmp_path / "recording.mp4"
    path.write_bytes(b"0123456789")
    return path


@pytest.mark.parametrize("now", [b"0123456789a", b"01234"], ids=["longer", "shorter"])
def test_a_changed_file_is_told_before_its_last_byte_is_sent(file: Path, now: bytes) -> None:
    """So that the service does not take a part for the whole."""
    with steady(file) as reader:
        parts = iter(lambda: reader.read(4), b"")
        assert next(parts) == b"0123"
        file.write_bytes(now)
        with pytest.raises(ApiError, match="while it was sent") as changed:
            list(parts)
        assert changed.value.code == "file_changed"


def test_a_file_that_stands_still_is_read_to_its_end(file: Path) -> None:
    """And again from its begin, as a repeated request does."""
    with steady(file) as reader:
        assert (reader.seek(0, os.SEEK_END), reader.tell()) == (10, 10)
        for _ in range(2):
            reader.seek(0)
            assert b"".join(iter(lambda: reader.read(4), b"")) == b"0123456789"


class Growing(httpx.BaseTransport):
    """A slow connection to a service, beside a recorder that goes on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Take the body part by part."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        for part in request.stream:
            self.sent += len(part)
            with self.file.open("ab") as more:
                more.write(b"more")
        return httpx.Response(404)


def test_a_recording_that_goes_on_is_refused_by_name_in_every_form(file: Path) -> None:
    """An upload and a search by a clip alike, and not by an error of the connection's library."""
    for name in ("upload", "search_clip"):
        file.write_bytes(bytes(300_000))
        network = Growing(file)
        with pytest.raises(ApiError) as refused:
            getattr(Client("http://here", transport=network), name)(file)
        assert refused.value.code == "file_changed"
        assert 0 < network.sent < 300_000


def test_pipes_devices_and_folders_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    """A pipe that nobody writes to would never open, and /dev/zero never ends."""
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path(os.devnull), tmp_path):
        with pytest.raises(OSError, match=r"regular|directory"):
            size_of(path)
        with pytest.raises(OSError, match=r"regular|directory"):
            Client("http://here").upload(path)
