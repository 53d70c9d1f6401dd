"""Uploads by the client: taken in once, and going on where they were cut."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import httpx
import pytest

from tests.app.stack import HERE, Stack
from tests.client.conftest import Network, clients
from xclip_search import ApiError, Client, ServiceAway, Unfinished
from xclip_search.sources import VideoFile

MakeClip = Callable[..., Path]
Deliver = Callable[[httpx.Request], httpx.Response]
PIECE = 512


@pytest.fixture
def clip(make_clip: MakeClip) -> Path:
    """A video of several pieces."""
    made = make_clip("crossing.mp4", seconds=3, size=128)
    assert made.stat().st_size > 3 * PIECE
    return made


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small clip is sent as a large one is."""
    monkeypatch.setattr("xclip_search.uploads.CHUNK_BYTES", PIECE)


def answer_lost(request: httpx.Request, deliver: Deliver) -> httpx.Response | None:
    """A POST is served, and its answer never comes."""
    if request.method == "POST":
        deliver(request)
        raise httpx.ReadError("cut off", request=request)
    return None


def once(fault: Callable[..., httpx.Response | None]) -> Callable[..., httpx.Response | None]:
    """The fault, until it has struck."""
    struck = False

    def strike(request: httpx.Request, deliver: Deliver) -> httpx.Response | None:
        nonlocal struck
        if struck:
            return None
        try:
            return fault(request, deliver)
        except httpx.TransportError:
            struck = True
            raise

    return strike


def cut_in_the_middle(request: httpx.Request, deliver: Deliver) -> httpx.Response | None:
    """Half of the second piece arrives, then the connection breaks."""
    if request.method != "PATCH" or request.headers["upload-offset"] == "0":
        return None
    half = request.content[: len(request.content) // 2]
    headers = {k: v for k, v in request.headers.items() if k.lower() != "content-length"}
    deliver(httpx.Request("PATCH", request.url, headers=headers, content=half))
    raise httpx.WriteError("broken pipe", request=request)


def test_a_video_is_taken_in_with_its_metadata(
    client: Client, stack: Stack, make_clip: MakeClip
) -> None:
    """The answer names the video and its job; after the wait it can be found."""
    uploaded = client.upload(make_clip("umlaut ü.mp4", seconds=1), metadata={"camera": "north"})
    assert uploaded.is_new
    assert stack.puller.run_one()
    seen: list[str] = []
    job = client.wait(uploaded.job.id, on_change=lambda job: seen.append(job.status))
    assert (job.status, seen[-1]) == ("succeeded", "succeeded")
    (found,) = client.search("a red square", top_k=1).results
    assert (found.filename, found.metadata) == ("umlaut ü.mp4", {"camera": "north"})
    again = client.upload(make_clip("umlaut ü.mp4", seconds=1))
    assert (again.is_new, again.video.id) == (False, uploaded.video.id)


@pytest.mark.usefixtures("pauses")
def test_an_upload_whose_answer_was_lost_is_taken_in_once(
    client: Client, network: Network, make_clip: MakeClip
) -> None:
    """It is sent again under the same key, and the first answer comes: it is new."""
    assert list(client.videos()) == []  # the service is known to be there
    network.faults.append(once(answer_lost))
    uploaded = client.upload(make_clip(seconds=1))
    first, second = network.sent("POST")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert uploaded.is_new
    assert [video.id for video in client.videos()] == [uploaded.video.id]


@pytest.mark.usefixtures("small_pieces", "pauses")
def test_a_cut_costs_what_was_under_way(client: Client, network: Network, clip: Path) -> None:
    """The client asks how much has come and goes on from the middle of the piece."""
    network.faults.append(once(cut_in_the_middle))
    told: list[int] = []
    uploaded = client.upload(clip, on_progress=told.append)
    size = clip.stat().st_size
    assert uploaded.video.size_bytes == size
    assert (told[0], told[-1]) == (0, size)
    assert told == sorted(told)
    offsets = [int(request.headers["upload-offset"]) for request in network.sent("PATCH")]
    assert offsets[:3] == [0, PIECE, PIECE + PIECE // 2]
    assert len(network.sent("HEAD")) == 1


@pytest.mark.usefixtures("small_pieces", "pauses")
def test_another_process_goes_on(network: Network, clip: Path, tmp_path: Path) -> None:
    """What one left unfinished the next one finishes, with the bytes that were missing."""
    unfinished = Unfinished(tmp_path / "cache", HERE)

    def gone(request: httpx.Request, _: Deliver) -> httpx.Response | None:
        if request.method == "PATCH" and int(request.headers["upload-offset"]) >= 2 * PIECE:
            raise httpx.ConnectError("refused", request=request)
        return None

    network.faults.append(gone)
    with pytest.raises(ServiceAway):
        Client(HERE, transport=network).upload(clip, unfinished=unfinished)
    network.faults.clear()
    network.requests.clear()
    told: list[int] = []
    uploaded = Client(HERE, transport=network).upload(
        clip, unfinished=unfinished, on_progress=told.append
    )
    assert told[0] == 2 * PIECE
    sent = sum(len(request.content) for request in network.sent("PATCH"))
    assert sent == clip.stat().st_size - 2 * PIECE
    assert uploaded.is_new
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.usefixtures("small_pieces")
def test_a_file_that_changed_is_another_upload(
    client: Client, clip: Path, tmp_path: Path, stack: Stack
) -> None:
    """And one that the service has forgotten begins anew; a folder that is none does no harm."""
    unfinished = Unfinished(tmp_path / "cache", HERE)
    unfinished.keep("upl_0forgotten", clip, "default", {})
    assert client.upload(clip, unfinished=unfinished).is_new
    unfinished.keep("upl_0forgotten", clip, "default", {})
    clip.write_bytes(clip.read_bytes() + b"\0")
    assert unfinished.find(clip, "default", {}) is None
    (tmp_path / "file").touch()
    nowhere = Unfinished(tmp_path / "file", HERE)
    assert not client.upload(clip, collection="default", unfinished=nowhere).video.error


@pytest.mark.usefixtures("small_pieces")
def test_the_same_bytes_in_pieces_are_a_duplicate(client: Client, clip: Path) -> None:
    """Told by the job, which is older than the upload."""
    first, second = client.upload(clip), client.upload(clip)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.video.id == second.video.id


def piped(content: bytes) -> BinaryIO:
    """The reading end of a pipe that holds these bytes, which fit in it."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as file:
        file.write(content)
    return os.fdopen(reader, "rb")


@contextmanager
def kinds(clip: Path, folder: Path) -> Iterator[dict[str, VideoFile]]:
    """The bytes of a clip as everything that a program may hold them in."""
    content = clip.read_bytes()
    packed = folder / "packed.gz"
    packed.write_bytes(gzip.compress(content))
    with (
        clip.open("rb") as at_its_end,
        tempfile.SpooledTemporaryFile() as spooled,
        gzip.open(packed) as unpacked,
        piped(content) as pipe,
    ):
        at_its_end.read()
        spooled.write(content)
        yield {
            "path": clip,
            "text": str(clip),
            "bytes": content,
            "bytearray": bytearray(content),
            "memoryview": memoryview(content),
            "memory": io.BytesIO(content),
            "open file": at_its_end,
            "temporary file": spooled,
            "gzip": unpacked,
            "pipe": pipe,
        }


@pytest.mark.parametrize("pieces", [False, True])
def test_every_kind_of_file_arrives_as_its_bytes(
    pieces: bool, stack: Stack, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind, from either client, is the same video, and files of the caller's stay open."""
    if pieces:
        monkeypatch.setattr("xclip_search.uploads.CHUNK_BYTES", 4096)
    client, awaited = clients(stack)
    first = client.upload(clip).video
    assert first.size_bytes == clip.stat().st_size

    async def upload(file: VideoFile) -> str:
        return (await awaited.upload(file)).video.id

    with kinds(clip, tmp_path) as files:
        blocking = {kind: client.upload(file).video.id for kind, file in files.items()}
        assert not any(getattr(file, "closed", False) for file in files.values())
    with kinds(clip, tmp_path) as files:
        awaiting = {kind: anyio.run(upload, file) for kind, file in files.items()}
    assert blocking == awaiting == dict.fromkeys(files, first.id)


def test_a_video_without_a_file_has_the_name_it_is_given(client: Client, clip: Path) -> None:
    """Also beside a file, whose own name it replaces; without one the service's word for it."""
    content = clip.read_bytes()
    assert client.upload(content).video.filename == "unnamed"
    named = client.upload(content + b"\0", filename="ü.mp4").video
    with clip.open("rb") as file:
        file_named = client.upload(file)
        renamed = client.upload(file, filename="other.mp4")
    assert named.filename == "ü.mp4"
    assert file_named.video.further_names == [clip.name]
    assert renamed.video.further_names == [clip.name, "other.mp4"]


def test_what_holds_no_video_is_a_type_error() -> None:
    """Told in a sentence, and before anything is sent."""
    wrong: Any
    for wrong in (None, 7, ["a.mp4"], io.StringIO("text")):
        with Client(HERE) as client, pytest.raises(TypeError, match="'rb'"):
            client.upload(wrong)


def test_a_clip_to_search_by_may_be_bytes(client: Client, clip: Path) -> None:
    """As every other file that the client sends; its name is what the answer repeats."""
    assert client.search_clip(clip.read_bytes(), filename="mine.mp4").query == "mine.mp4"
    with clip.open("rb") as file:
        labelled = client.classify_file(file, ["a red square", "a blue circle"])
    assert labelled.filename == clip.name


def test_a_refusal_names_its_code(client: Client, make_clip: MakeClip, tmp_path: Path) -> None:
    """Of the service for what was sent; a file that is not there is the caller's own error."""
    with pytest.raises(ApiError) as refused:
        client.upload(make_clip(seconds=1), collection="nowhere")
    assert (refused.value.code, refused.value.status) == ("collection_not_found", 404)
    with pytest.raises(FileNotFoundError):
        client.upload(tmp_path / "missing.mp4")
    with pytest.raises(ApiError) as off:
        client.upload_url("https://example.org/a.mp4")
    assert off.value.code == "url_ingest_off"
