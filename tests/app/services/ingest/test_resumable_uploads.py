"""Resumable uploads: whatever is cut, wrong or killed, the video is made of the bytes meant."""

from __future__ import annotations

import hashlib
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from app.catalog.errors import UploadNotFound
from app.catalog.uploads import UPLOAD_KEPT_S
from app.clock import SETTLE_S
from app.errors import ChecksumMismatch, UploadExpired, UploadOffsetMismatch
from app.services.ingest.chunk import Checksum
from app.storage.media_store import StorageFull
from app.storage.partial_uploads import PartialLocked
from tests.app.catalog.samples import HandClock
from tests.app.services.arrivals import OWNER, Arrivals, open_arrivals
from tests.app.stored_files import content_file

ROOT = Path(__file__).parents[4]
CONTENT = bytes(range(256))

Ending = Literal["whole", "cut", "killed", "wrong", "no room"]


@dataclass(frozen=True)
class Attempt:
    """A client sends the next `length` bytes, of which `come` come, and then this happens."""

    length: int
    come: int
    ending: Ending
    algorithm: Literal["sha1", "sha256"] | None
    restart: bool


ATTEMPTS = st.lists(
    st.builds(
        Attempt,
        length=st.integers(0, 150),
        come=st.integers(0, 150),
        ending=st.sampled_from(["whole", "cut", "killed", "wrong", "no room"]),
        algorithm=st.sampled_from([None, "sha1", "sha256"]),
        restart=st.booleans(),
    ),
    max_size=6,
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def arrivals(tmp_path: Path, clock: HandClock) -> Iterator[Arrivals]:
    with open_arrivals(tmp_path, clock) as opened:
        yield opened


def checksum_of(part: bytes, algorithm: str | None) -> Checksum | None:
    return Checksum(algorithm, hashlib.new(algorithm, part).digest()) if algorithm else None


def attempt_piece(
    arrivals: Arrivals, upload_id: str, content: bytes, offset: int, attempt: Attempt
) -> int:
    """Let it happen; returns how far the upload must have come then."""
    part = content[offset : offset + attempt.length]
    meant = part + b"!" if attempt.ending == "wrong" else part
    piece = arrivals.uploads.begin(upload_id, OWNER, offset, checksum_of(meant, attempt.algorithm))
    assert piece is not None
    try:
        if attempt.ending in ("whole", "wrong"):
            piece.write(part)
            if attempt.ending == "wrong" and attempt.algorithm:
                with pytest.raises(ChecksumMismatch):
                    arrivals.uploads.finish(piece)
                return offset
            return arrivals.uploads.finish(piece).offset
        come = part[: attempt.come]
        piece.write(come)
        if attempt.ending == "cut":
            arrivals.uploads.break_off(piece, ClientDisconnect())
        elif attempt.ending == "no room":
            arrivals.uploads.break_off(piece, StorageFull("the disk is full"))
            return offset
    finally:
        piece.close()
    return offset if attempt.algorithm else offset + len(come)


def assert_admitted(arrivals: Arrivals, upload_id: str, content: bytes) -> None:
    """The upload is one video of exactly these bytes, and left nothing else."""
    upload = arrivals.uploads.look(upload_id, OWNER).upload
    assert upload.video_id is not None
    assert upload.job_id is not None
    video = arrivals.catalog.get_video("default", upload.video_id)
    assert (video.filename, video.metadata) == ("a.mp4", {"camera": "north"})
    assert content_file(arrivals.media, video.sha256).read_bytes() == content
    assert arrivals.catalog.get_job(upload.job_id).status == "queued"
    assert arrivals.partials.ids() == []
    assert list(arrivals.media.tmp.glob("incoming-*")) == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arrivals]:
    with open_arrivals(tmp_path_factory.mktemp("uploads")) as opened:
        yield opened


@settings(max_examples=30, deadline=None)
@given(attempts=ATTEMPTS)
def test_however_it_is_split_cut_and_restarted_the_bytes_are_the_same(
    shared: Arrivals, attempts: list[Attempt]
):
    """An offset that was told is never taken back; at the end there is one video."""
    arrivals = shared
    before = arrivals.catalog.count_videos("default")
    content = CONTENT + secrets.token_bytes(16)  # a video of its own each time
    upload_id = arrivals.announce(len(content))
    offset = 0
    for attempt in attempts:
        if offset < len(content):
            offset = attempt_piece(arrivals, upload_id, content, offset, attempt)
        if attempt.restart:
            arrivals = arrivals.restarted()
        assert arrivals.uploads.settle(upload_id, OWNER).offset == offset
    assert arrivals.send(upload_id, offset, content[offset:], None).offset == len(content)
    assert_admitted(arrivals, upload_id, content)
    assert arrivals.catalog.count_videos("default") == before + 1


SENDS_AND_DIES = """
import sys
from pathlib import Path
from app import failpoints
from tests.app.services.arrivals import open_arrivals
folder, moment, upload_id = sys.argv[1:]
with open_arrivals(Path(folder)) as arrivals:
    failpoints.configure(f"{moment}:kill")
    if upload_id:
        arrivals.send(upload_id, 0, bytes(range(256)), None)
    else:
        arrivals.upload(bytes(range(256)), "monday's")
"""


def die_at(moment: str, folder: Path, upload_id: str = "") -> None:
    command = [sys.executable, "-c", SENDS_AND_DIES, str(folder), moment, upload_id]
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.parametrize("moment", ["content_kept", "video_committed"])
def test_a_kill_after_the_last_byte_costs_nothing(tmp_path: Path, moment: str):
    """After the restart the offset is the length, and the video is made without the client."""
    with open_arrivals(tmp_path) as arrivals:
        upload_id = arrivals.announce(len(CONTENT))
        die_at(moment, tmp_path, upload_id)
        assert arrivals.uploads.settle(upload_id, OWNER).offset == len(CONTENT)
        assert_admitted(arrivals.restarted(), upload_id, CONTENT)
        assert arrivals.catalog.count_videos("default") == 1


@pytest.mark.parametrize("moment", ["content_kept", "video_committed"])
def test_a_kill_leaves_the_video_and_its_key_or_neither(tmp_path: Path, moment: str):
    """The same request after the restart makes the one video, or gets its answer again."""
    with open_arrivals(tmp_path) as arrivals:
        die_at(moment, tmp_path)
        assert arrivals.catalog.count_videos("default") == (moment == "video_committed")
        again = arrivals.restarted().upload(CONTENT, "monday's")
        assert again.replayed == (moment == "video_committed")
        assert again.queued
        assert arrivals.catalog.count_videos("default") == 1
        assert list(arrivals.media.tmp.glob("incoming-*")) == []


def test_a_last_piece_without_bytes_finishes_what_was_cut(arrivals: Arrivals):
    """A client that finds all its bytes there may say so."""
    upload_id = arrivals.announce(3)
    piece = arrivals.uploads.begin(upload_id, OWNER, 0, None)
    assert piece is not None
    piece.write(b"abc")
    arrivals.uploads.break_off(piece, ClientDisconnect())
    piece.close()
    assert arrivals.uploads.look(upload_id, OWNER).upload.video_id is None
    assert arrivals.send(upload_id, 3, b"", None).upload.video_id is not None
    assert_admitted(arrivals, upload_id, b"abc")
    again = arrivals.send(upload_id, 3, b"", None)
    assert (again.offset, arrivals.catalog.count_videos("default")) == (3, 1)


def test_there_is_one_writer_and_the_offset_must_fit(arrivals: Arrivals):
    """While a piece comes in, others neither write nor remove nor ask how far it is for certain."""
    upload_id = arrivals.announce(10)
    with pytest.raises(UploadOffsetMismatch, match="byte 0, not to 1"):
        arrivals.uploads.begin(upload_id, OWNER, 1, None)
    piece = arrivals.uploads.begin(upload_id, OWNER, 0, None)
    assert piece is not None
    piece.write(b"abc")
    for refused in (
        lambda: arrivals.uploads.begin(upload_id, OWNER, 3, None),
        lambda: arrivals.uploads.settle(upload_id, OWNER),
        lambda: arrivals.uploads.remove(upload_id, OWNER),
    ):
        with pytest.raises(PartialLocked):
            refused()
    assert arrivals.uploads.look(upload_id, OWNER).offset == 3
    piece.close()
    arrivals.uploads.remove(upload_id, OWNER)
    with pytest.raises(UploadNotFound):
        arrivals.uploads.look(upload_id, OWNER)
    assert arrivals.partials.ids() == []


def test_another_owner_finds_nothing(arrivals: Arrivals):
    """Not to look at, not to write to, not to remove."""
    upload_id = arrivals.announce(10)
    for refused in (
        lambda: arrivals.uploads.look(upload_id, "other"),
        lambda: arrivals.uploads.settle(upload_id, "other"),
        lambda: arrivals.uploads.begin(upload_id, "other", 0, None),
        lambda: arrivals.uploads.remove(upload_id, "other"),
    ):
        with pytest.raises(UploadNotFound):
            refused()


def test_an_upload_nobody_goes_on_with_is_gone_after_a_day(arrivals: Arrivals, clock: HandClock):
    """First refused as expired, then removed; one that goes on stays, also while it is written."""
    left, alive, writing, untold = (arrivals.announce(length) for length in (10, 10, 10, None))
    piece = arrivals.uploads.begin(writing, OWNER, 0, None)
    assert piece is not None
    clock.advance(UPLOAD_KEPT_S - 1)
    arrivals.send(alive, 0, b"abc", None)
    clock.advance(1)
    for expired in (left, untold):
        with pytest.raises(UploadExpired):
            arrivals.uploads.settle(expired, OWNER)
    arrivals.sweep()
    assert sorted(arrivals.partials.ids()) == sorted([alive, writing])
    with pytest.raises(UploadNotFound):
        arrivals.uploads.settle(left, OWNER)
    arrivals.uploads.break_off(piece, ClientDisconnect())
    piece.close()
    arrivals.sweep()
    assert arrivals.uploads.settle(writing, OWNER).offset == 0


def test_files_that_no_upload_needs_are_removed(arrivals: Arrivals):
    """Those of a collection that was deleted, and what a crash left of a finished one."""
    arrivals.catalog.create_collection("other", model="m", window_s=5, stride_s=5)
    kept = arrivals.announce(10)
    arrivals.partials.create("upl_stray")
    arrivals.sweep()
    assert arrivals.partials.ids() == [kept]


def test_the_answer_of_a_finished_upload_is_kept_for_a_day(arrivals: Arrivals, clock: HandClock):
    """The video stays when the upload is forgotten."""
    upload_id = arrivals.announce(3)
    video_id = arrivals.send(upload_id, 0, b"abc", None).upload.video_id
    assert video_id is not None
    arrivals.sweep()
    assert arrivals.uploads.look(upload_id, OWNER).upload.video_id == video_id
    clock.advance(UPLOAD_KEPT_S)
    arrivals.sweep()
    with pytest.raises(UploadNotFound):
        arrivals.uploads.look(upload_id, OWNER)
    assert arrivals.catalog.get_video("default", video_id).id == video_id


def test_the_length_is_told_before_the_first_byte_of_the_last_chunk(arrivals: Arrivals):
    """A service that dies with all bytes here makes the video afterwards, as of any upload."""
    upload_id = arrivals.announce(None)
    arrivals.send(upload_id, 0, b"abc", None)
    arrivals.uploads.finish_received()
    assert arrivals.uploads.look(upload_id, OWNER).upload.video_id is None
    chunk = arrivals.uploads.begin(upload_id, OWNER, 3, None, 5)
    assert chunk is not None
    chunk.write(b"de")
    chunk.close()  # as a killed process does: nothing says that the chunk has ended
    arrivals.uploads.finish_received()
    assert arrivals.uploads.look(upload_id, OWNER).upload.video_id is not None


@pytest.mark.parametrize("hours", [25, 24 * 365])
def test_a_clock_that_is_set_forward_and_back_ends_no_upload(
    arrivals: Arrivals, clock: HandClock, hours: float
) -> None:
    """Meanwhile it is neither swept nor refused, and afterwards it comes to its end."""
    upload_id = arrivals.announce(3)
    arrivals.send(upload_id, 0, b"a", None)
    clock.advance(SETTLE_S)
    arrivals.sweep()
    clock.jump(hours)
    for offset in (1, 2):
        arrivals.sweep()
        clock.advance(SETTLE_S / 2 - 60)
        arrivals.sweep()
        assert arrivals.uploads.settle(upload_id, OWNER).offset == offset
        if offset == 1:
            arrivals.send(upload_id, 1, b"b", None)
    clock.jump(-hours)
    arrivals.sweep()
    assert arrivals.send(upload_id, 2, b"c", None).upload.video_id is not None


def test_an_upload_that_lies_when_the_clock_is_wrong_is_there_when_it_is_right_again(
    arrivals: Arrivals, clock: HandClock
) -> None:
    """Whether the clock jumps beside the process, or was wrong when it started."""
    upload_id = arrivals.announce(3)
    clock.advance(SETTLE_S)
    clock.jump(25)
    again = arrivals.restarted()
    clock.advance(SETTLE_S - 1)
    again.sweep()
    clock.jump(-25)
    clock.advance(1)
    again.sweep()
    assert again.uploads.settle(upload_id, OWNER).offset == 0


def test_a_clock_that_was_set_for_good_ends_what_it_says_an_hour_later(
    arrivals: Arrivals, clock: HandClock
) -> None:
    """Nobody can tell it from a day that has passed; whoever sends something has a day again."""
    left, alive = arrivals.announce(3), arrivals.announce(3)
    clock.advance(SETTLE_S)
    clock.jump(25)
    arrivals.sweep()
    arrivals.send(alive, 0, b"a", None)
    clock.advance(SETTLE_S)
    arrivals.sweep()
    assert arrivals.partials.ids() == [alive]
    with pytest.raises(UploadNotFound):
        arrivals.uploads.settle(left, OWNER)


def test_a_clock_that_is_set_back_shortens_no_promise(arrivals: Arrivals, clock: HandClock) -> None:
    """What comes while it is wrong leaves the time that was promised before."""
    upload_id = arrivals.announce(3)
    clock.jump(-25)
    arrivals.send(upload_id, 0, b"a", None)
    clock.jump(25)
    clock.advance(UPLOAD_KEPT_S - 1)
    arrivals.sweep()
    assert arrivals.uploads.settle(upload_id, OWNER).offset == 1
