"""Uploads over a network that fails anywhere: the service gets the file's bytes, or an error."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.app.stack import HERE, Stack
from tests.client.conftest import Network
from xclip_search import ApiError, Client, ServiceAway, Unfinished

CHUNK = 256  # bytes
Cut = Literal["", "before", "middle", "after", "busy"]
CUTS: tuple[Cut, ...] = ("", "before", "middle", "after", "busy")
NONE: dict[str, str] = {}


@dataclass
class CutNetwork(Network):
    """The way to the application on which each PATCH in turn fails as planned; then it works."""

    plan: list[Cut] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request as far as planned."""
        content = request.read()
        self.requests.append(request)
        cut = self.plan.pop(0) if request.method == "PATCH" and self.plan else ""
        if cut == "busy":
            return httpx.Response(503, headers={"retry-after": "0", "tus-resumable": "1.0.0"})
        if cut == "middle":
            headers = {k: v for k, v in request.headers.items() if k != "content-length"}
            half = content[: len(content) // 2]
            self.deliver(httpx.Request("PATCH", request.url, headers=headers, content=half))
        if cut == "after":
            self.deliver(request)
        if cut:
            raise httpx.WriteError(cut, request=request)
        return self.deliver(request)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Bytes that no earlier upload had; of which kind the service looks only later."""
    made = tmp_path / "video.mp4"
    made.write_bytes(os.urandom(5 * CHUNK + 17))
    return made


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small file is sent as a large one is."""
    monkeypatch.setattr("xclip_search.uploads.CHUNK_BYTES", CHUNK)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=st.lists(st.sampled_from(CUTS), max_size=10))
@example(plan=["middle"] * 8)  # each half brings it on, so that it never counts as stuck
@example(plan=["after", "busy", "before", "before", "before", "before", "before"])
@pytest.mark.usefixtures("pauses")
def test_the_bytes_that_arrive_are_the_files(
    plan: Sequence[Cut], stack: Stack, tmp_path: Path
) -> None:
    """However often and wherever it is cut, nothing is lost, doubled or in another order."""
    file = tmp_path / "video.mp4"
    file.write_bytes(os.urandom(5 * CHUNK + 17))
    network = CutNetwork(stack, plan=list(plan))
    told: list[int] = []
    client = Client(HERE, transport=network)
    assert client.is_ready()  # the service is known to be there
    try:
        uploaded = client.upload(file, on_progress=told.append)
    except ServiceAway:  # too often in a row without a byte more
        assert "bbbbbb" in "".join(cut[:1] or "-" for cut in plan if cut != "busy")
        return
    assert stack.api.get(uploaded.video.content_url).content == file.read_bytes()
    assert uploaded.is_new
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, file.stat().st_size)


@pytest.mark.parametrize(("cuts", "arrives"), [(5, True), (6, False)])
@pytest.mark.usefixtures("pauses")
def test_an_upload_that_does_not_get_on_ends(
    cuts: int, arrives: bool, stack: Stack, file: Path
) -> None:
    """Five cuts in a row without a byte more are borne, the sixth is the caller's."""
    network = CutNetwork(stack, plan=["before"] * cuts)
    client = Client(HERE, transport=network)
    if arrives:
        assert client.upload(file).is_new
        return
    with pytest.raises(ServiceAway):
        client.upload(file)
    assert len(network.sent("PATCH")) == cuts


def test_what_fits_in_a_chunk_is_sent_in_one_request(stack: Stack, tmp_path: Path) -> None:
    """A byte more is announced and sent in chunks, the last of which is as long as the rest."""
    file = tmp_path / "video.mp4"
    for size, chunks in (
        (1, []),
        (CHUNK - 1, []),
        (CHUNK, []),
        (CHUNK + 1, [CHUNK, 1]),
        (2 * CHUNK, [CHUNK, CHUNK]),
    ):
        file.write_bytes(os.urandom(size))
        network = Network(stack)
        Client(HERE, transport=network).upload(file)
        assert len(network.sent("POST")) == 1
        assert [len(request.content) for request in network.sent("PATCH")] == chunks


def test_a_file_that_becomes_shorter_is_an_error(stack: Stack, file: Path) -> None:
    """And no endless loop at its new end."""
    network = Network(stack)

    def cut_short(arrived: int) -> None:
        if arrived == CHUNK:
            os.truncate(file, CHUNK)

    with pytest.raises(ApiError) as changed:
        Client(HERE, transport=network).upload(file, on_progress=cut_short)
    assert changed.value.code == "file_changed"
    assert len(network.sent("PATCH")) == 2


def test_a_file_that_grows_is_not_taken_for_a_whole_one(stack: Stack, file: Path) -> None:
    """Its last chunk is not sent, so no video of half a recording appears."""
    network = Network(stack)

    def record(_: int) -> None:
        with file.open("ab") as more:
            more.write(b"more")

    with pytest.raises(ApiError) as changed:
        Client(HERE, transport=network).upload(file, on_progress=record)
    assert changed.value.code == "file_changed"
    assert not stack.api.get("/v1/collections/default/videos").json()["items"]


def test_a_service_that_died_after_the_last_byte_is_told_again(stack: Stack, file: Path) -> None:
    """All bytes are there, but no video yet: an empty chunk makes it one."""
    unfinished = Unfinished(file.parent / "cache", HERE)
    announced = stack.api.post(
        "/v1/collections/default/uploads",
        headers={"tus-resumable": "1.0.0", "upload-length": str(file.stat().st_size)},
    )
    unfinished.keep(announced.json()["id"], file, "default", NONE)
    network = Network(stack)
    told: list[int] = []
    uploaded = Client(HERE, transport=network).upload(
        file, unfinished=unfinished, on_progress=told.append
    )
    assert stack.api.get(uploaded.video.content_url).content == file.read_bytes()
    assert told[0] == 0
    assert len(network.sent("POST")) == 0


@pytest.mark.parametrize("written", ["", "upl_", "upl_ABC", "upl_" + "a" * 37, "upl_a/../b", "\0"])
def test_a_journal_holds_ids_or_nothing(written: str, tmp_path: Path, file: Path) -> None:
    """What something else has written there goes into no path of a request."""
    unfinished = Unfinished(tmp_path / "cache", HERE)
    unfinished.keep("upl_a1", file, "default", NONE)
    (record,) = (tmp_path / "cache").iterdir()
    assert unfinished.find(file, "default", NONE) == "upl_a1"
    record.write_text(written)
    assert unfinished.find(file, "default", NONE) is None


def test_a_journal_tells_uploads_apart(tmp_path: Path, file: Path) -> None:
    """By service, collection, metadata, and the file's place, size and time."""
    folder = tmp_path / "cache"
    unfinished = Unfinished(folder, HERE)
    unfinished.keep("upl_a1", file, "default", {"a": 1, "b": [2]})
    assert unfinished.find(file, "default", {"b": [2], "a": 1}) == "upl_a1"
    assert unfinished.find(file, "films", {"a": 1, "b": [2]}) is None
    assert unfinished.find(file, "default", {"a": 2, "b": [2]}) is None
    assert Unfinished(folder, "http://other").find(file, "default", {"a": 1, "b": [2]}) is None
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    assert unfinished.find(file, "default", {"a": 1, "b": [2]}) is None


def test_a_journal_keeps_the_newest_whatever_the_clock_says(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it stays small, and a clock that is set costs no upload that goes on."""
    monkeypatch.setattr("xclip_search.unfinished._KEPT", 3)
    folder = tmp_path / "cache"
    unfinished = Unfinished(folder, HERE)
    for age_h in range(5, 0, -1):
        unfinished.keep("upl_a1", file, f"{age_h}", NONE)
        (record,) = (each for each in folder.iterdir() if each.stat().st_mtime > 1e6)
        os.utime(record, (1e6 - age_h * 3600,) * 2)
    unfinished.keep("upl_b2", file, "new", NONE)
    found = [unfinished.find(file, name, NONE) for name in ("3", "2", "1", "new")]
    assert found == [None, "upl_a1", "upl_a1", "upl_b2"]


def test_a_journal_with_no_folder_is_empty(tmp_path: Path, file: Path) -> None:
    """A file in its place, or a video that is gone, only costs sending it from the start."""
    (tmp_path / "taken").touch()
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        unfinished = Unfinished(folder, HERE)
        unfinished.keep("upl_a1", file, "default", NONE)
        assert unfinished.find(file, "default", NONE) is None
        unfinished.forget(file, "default", NONE)
    file.unlink()
    assert Unfinished(tmp_path, HERE).find(file, "default", NONE) is None
