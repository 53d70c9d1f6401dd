"""Fetching into the media store: what arrives, what is refused, and that nothing is left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import anyio
import pytest

from app.data_layout import DataLayout
from app.fetch.errors import FetchError, TooManyDownloads, UrlIngestOff, UrlTooSlow, UrlUnreachable
from app.fetch.guard import Pace
from app.fetch.rules import UrlRules
from app.services.ingest.url_fetch import MAX_DOWNLOADS, UrlFetcher
from app.storage.composition import open_storage
from app.storage.media_store import ContentTooLarge, MediaStore, StorageFull
from tests.app.fetch.origin import Origin, drip, head, serving, whole

LIMIT = 3 << 20
FILM = bytes(range(256)) * 10_000  # more than one piece


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return open_storage(DataLayout(tmp_path), writer_id="test").media


def fetching(origin: Origin, media: MediaStore, *, timeout_s: float = 10) -> UrlFetcher:
    """A service that fetches from the origin."""
    rules = UrlRules.parse(f"127.0.0.1:{origin.port}")
    return UrlFetcher(media, rules, max_bytes=LIMIT, timeout_s=timeout_s)


def fetch(service: UrlFetcher, url: str, filename: str | None = None) -> tuple[str, str, str]:
    """Fetch a file; returns its hash, name and type."""

    fetched = anyio.run(service.fetch, url, filename)
    with fetched.incoming as incoming:
        return incoming.sync().sha256, fetched.filename, fetched.content_type


def leavings(media: MediaStore) -> list[Path]:
    """Files that were begun and are still there."""
    return list(media.tmp.glob("incoming-*"))


def test_the_bytes_arrive(origin: Origin, media: MediaStore):
    """Whole, in order, hashed as they come; the temporary file goes when nobody kept it."""
    origin.answers["/f/film.mp4"] = whole(FILM, "content-type: video/mp4")
    digest = hashlib.sha256(FILM).hexdigest()
    service = fetching(origin, media)
    assert fetch(service, origin.url("/f/film.mp4")) == (digest, "film.mp4", "video/mp4")
    assert leavings(media) == []


@pytest.mark.parametrize(
    ("path", "given", "name"),
    [
        ("/a/", None, "unnamed"),
        ("/", None, "unnamed"),
        ("/%2e%2e%2fpasswd", None, "passwd"),
        ("/a%00b%1b.mp4", None, "ab.mp4"),
        ("/a.mp4", "Cup final.mkv", "Cup final.mkv"),
        ("/a.mp4", "../../etc/passwd", "passwd"),
        ("/" + "a" * 300, None, "a" * 255),
    ],
)
def test_names_are_labels(
    origin: Origin, media: MediaStore, path: str, given: str | None, name: str
):
    """The given one, else the end of the URL; printable, short, and never a path."""
    origin.answers[path] = whole(FILM)
    found = fetch(fetching(origin, media), origin.url(path), given)
    assert found[1:] == (name, "application/octet-stream")


def test_off_is_off(media: MediaStore):
    """The refusal names the setting, and says so before it looks at the URL."""
    off = UrlFetcher(media, UrlRules.parse("off"), max_bytes=LIMIT, timeout_s=1)
    with pytest.raises(UrlIngestOff, match="XCLIP_URL_INGEST"):
        fetch(off, "nonsense")


def endless(connection: socket) -> None:
    """A body without an end, as fast as it is taken."""
    connection.sendall(head(200))
    while True:
        connection.sendall(bytes(1 << 16))


def test_a_file_over_the_limit_is_refused(origin: Origin, media: MediaStore):
    """Declared: before a byte of it is read. Not declared: at the limit."""
    origin.answers["/declared"] = head(200, f"content-length: {10**18}")
    origin.answers["/endless"] = endless
    for path in origin.answers:
        with pytest.raises(ContentTooLarge, match=str(LIMIT)):
            fetch(fetching(origin, media), origin.url(path))
    assert leavings(media) == []


def test_a_disk_without_room_is_said_first(origin: Origin, tmp_path: Path):
    """507 by the declared length, with nothing left of it."""
    media = open_storage(DataLayout(tmp_path), writer_id="test", min_free_bytes=1 << 60).media
    origin.answers["/"] = whole(FILM)
    with pytest.raises(StorageFull):
        fetch(fetching(origin, media), origin.url("/"))
    assert leavings(media) == []


def test_all_of_it_has_one_deadline(origin: Origin, media: MediaStore):
    """A server that is fast enough at every moment still has to come to an end."""
    origin.answers["/"] = drip(b"a" * 5000, 0.02, before=head(200))
    with pytest.raises(UrlTooSlow, match=r"0\.3 seconds"):
        fetch(fetching(origin, media, timeout_s=0.3), origin.url("/"))
    assert leavings(media) == []


def test_a_file_that_breaks_off_is_not_kept(origin: Origin, media: MediaStore):
    """Half a file is none."""
    origin.answers["/"] = head(200, "content-length: 2000000") + FILM[:1_500_000]
    with pytest.raises(UrlUnreachable):
        fetch(fetching(origin, media), origin.url("/"))
    assert leavings(media) == []


def test_a_few_at_once(origin: Origin, media: MediaStore):
    """One more than may be is refused; what is cancelled leaves its place and no file."""
    origin.answers["/slow"] = drip(b"a", 0.05, before=head(200))
    origin.answers["/film"] = whole(FILM)
    service = fetching(origin, media)

    async def one(path: str) -> int:
        with (await service.fetch(origin.url(path), None)).incoming as incoming:
            return incoming.size_bytes

    async def run() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(MAX_DOWNLOADS):
                group.start_soon(one, "/slow")
            while origin.connections < MAX_DOWNLOADS:
                await anyio.sleep(0.01)
            with pytest.raises(TooManyDownloads):
                await one("/film")
            assert len(leavings(media)) == MAX_DOWNLOADS
            group.cancel_scope.cancel()
        assert leavings(media) == []
        assert await one("/film") == len(FILM)

    anyio.run(run)


def test_patience_is_the_usual_one_unless_said(origin: Origin, media: MediaStore):
    """The pace given is the pace kept."""
    origin.answers["/"] = drip(b"a", 0.02, before=head(200))
    rules = UrlRules.parse(f"127.0.0.1:{origin.port}")
    pace = Pace(window_s=0.2, window_bytes=1000)
    hasty = UrlFetcher(media, rules, max_bytes=LIMIT, timeout_s=9, pace=pace)
    with pytest.raises(FetchError, match="1000 bytes"):
        fetch(hasty, origin.url("/"))
