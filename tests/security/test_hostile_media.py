"""Files made to hurt: whoever opens them is confined, says what is wrong, and nobody else notices.

For every file: an answer within its limits of processor time and memory, a documented code or
pictures; and nobody has read the secret or talked to the server that the files name.
"""

import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.app.conftest import checkpoint, encoder  # noqa: F401 - fixtures
from tests.app.stack import VIDEOS, open_stack
from tests.security import hostile_media
from tests.security.measured import USE, DecodeAndTellUse
from xclip.errors import VideoError
from xclip.preprocess import FrameGeometry
from xclip.video.decode import DecodedSegment, DecodeRequest
from xclip.video.sampling import Segmentation
from xclip.video.sandbox.child import DEFAULT_MEMORY_BYTES
from xclip.video.sandbox.process import ConfinedProcess, open_upload, start_fork_server
from xclip.video.sandbox.wire import EndOfVideo, receive

REQUEST = DecodeRequest(Segmentation(), 8, FrameGeometry(64, 64))
# Processor time does not depend on what else the machine does; the wall clock catches what hangs.
PROCESSOR_S = 10.0
WALL_CLOCK_S = 300.0
SEED = 20_260_801

CODES = {leaf.code for leaf in VideoError.__subclasses__()}
REFUSALS = CODES - {"decode_timeout", "decoder_crashed"}


@dataclass(frozen=True)
class Outcome:
    """What became of one file; code : None where there were pictures."""

    code: str | None
    message: str
    segments: int
    peak_kilobytes: int
    processor_s: float


def outcome_of(path, wall_clock_s):
    upload = open_upload(path)
    try:
        process = ConfinedProcess(
            upload,
            DecodeAndTellUse(REQUEST),
            wall_clock_s=wall_clock_s,
            memory_bytes=DEFAULT_MEMORY_BYTES,
        )
    finally:
        os.close(upload)
    segments, use = 0, bytearray(USE.size)
    with process:
        try:
            while not isinstance(
                message := receive(process.read_into, REQUEST), EndOfVideo | VideoError
            ):
                segments += isinstance(message, DecodedSegment)
            process.read_into(memoryview(use))
        except VideoError as error:  # it was killed, or died
            message = error
    code = message.code if isinstance(message, VideoError) else None
    return Outcome(code, str(message), segments, *USE.unpack(use))


@dataclass
class Canary:
    """A server that nobody may talk to."""

    http: int
    udp: int
    visits: list[str] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Canary]:
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(("127.0.0.1", 0))
        canary = Canary(web.getsockname()[1], datagrams.getsockname()[1])
        web.settimeout(0.1)
        left = threading.Event()

        def serve():
            while not left.is_set():
                try:
                    visitor, address = web.accept()
                except TimeoutError:
                    continue
                canary.visits.append(f"connection from {address}")
                visitor.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield canary
        finally:
            left.set()
            thread.join()


@pytest.fixture(scope="module")
def canary():
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def videos():
    start_fork_server()
    return hostile_media.ordinary_videos()


@pytest.fixture
def decode_all(tmp_path, monkeypatch):
    """Writes each file and decodes it; the folder, which relative names refer to, is this one."""
    monkeypatch.chdir(tmp_path)

    def decode(files, wall_clock_s=WALL_CLOCK_S):
        path = tmp_path / "upload"
        outcomes = {}
        for name, content in files:
            path.write_bytes(content)
            outcomes[name] = outcome_of(path, wall_clock_s)
        too_large = {n: o for n, o in outcomes.items() if o.peak_kilobytes > (1 << 20)}
        assert not too_large, "more memory than the limit and what Python itself takes"
        return outcomes

    return decode


def without_order(outcomes, codes):
    """The files that ended in another way than by one of `codes`."""
    return {name: outcome for name, outcome in outcomes.items() if outcome.code not in codes}


def test_the_videos_it_all_starts_from_are_decoded(videos, decode_all):
    """Guards the tests below: undamaged, each of them has pictures."""
    outcomes = decode_all(videos.items())

    assert not without_order(outcomes, {None})
    assert {outcome.segments for outcome in outcomes.values()} == {1}


def test_a_file_cut_anywhere_gives_what_is_there_or_is_refused(videos, decode_all):
    """Ten formats, cut at ten places each."""
    outcomes = decode_all(hostile_media.truncated(videos, cuts=8))

    assert not without_order(outcomes, REFUSALS | {None})
    assert max(outcome.processor_s for outcome in outcomes.values()) < PROCESSOR_S


def test_flipped_bits_do_not_crash_a_decoder(videos, decode_all):
    """Two hundred damaged copies. A crash would be contained; this libav is known to have none
    here, so that one would tell of a new libav."""
    outcomes = decode_all(hostile_media.flipped(videos, copies=20, seed=SEED))

    assert not without_order(outcomes, REFUSALS | {None})
    assert Counter(outcome.code for outcome in outcomes.values())[None] > 80


def test_headers_that_announce_too_much_are_refused_quickly(videos, decode_all):
    """Fifty million samples, twenty thousand tracks, boxes in boxes: seconds, not minutes."""
    outcomes = decode_all(hostile_media.absurd_headers(videos))

    assert not without_order(outcomes, REFUSALS | {None})
    assert max(outcome.processor_s for outcome in outcomes.values()) < PROCESSOR_S / 2


def test_bombs_end_within_their_limits(decode_all):
    """Pixels, pictures, duration, processor time: each has its code."""
    files = dict(hostile_media.bombs())
    endless = "a GIF of 6000 pictures of 3000 by 3000"
    assert decode_all([(endless, files.pop(endless))], 2.0)[endless].code == "decode_timeout"

    outcomes = decode_all(files.items())
    codes = {name: outcome.code for name, outcome in outcomes.items()}
    assert codes == {
        "a GIF of 16000 by 16000 in 60 bytes": "too_large",
        "a GIF of 65535 by 65535": "too_large",
        "MPEG-4 of 5888 by 5888": None,
        "MPEG-4 of 6400 by 5888": "too_large",
        "pictures that grow a thousandfold": None,
    }
    assert max(outcome.processor_s for outcome in outcomes.values()) < PROCESSOR_S


def test_files_that_name_others_are_not_followed(videos, canary, tmp_path, decode_all):
    """Playlists, scripts, manifests, protocols, data references: to a secret beside the upload, by
    every way of naming it, and to a server. Neither is touched."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(videos["mp4"])

    outcomes = decode_all(hostile_media.references(secret, canary.http, canary.udp, videos))

    assert not without_order(outcomes, {"unreadable_video", "no_decodable_frame"})
    assert not [o for o in outcomes.values() if secret.name in o.message or o.segments]
    assert canary.visits == []


def test_what_is_no_video_is_refused(videos, decode_all):
    """By a code that says so."""
    outcomes = decode_all(hostile_media.no_videos(videos))

    assert outcomes.pop("nothing").code == "empty_file"
    outcomes.pop("HTML before a video")  # libav may or may not find the video behind
    outcomes.pop("a playlist before a video")
    assert not without_order(outcomes, {"unreadable_video", "no_video_stream"})


def test_a_video_that_is_something_else_besides_is_a_video(videos, decode_all):
    """Decoding it runs no script and unpacks no archive."""
    assert not without_order(decode_all(hostile_media.polyglots(videos)), {None})


def test_the_service_survives_hostile_uploads(videos, canary, tmp_path, encoder):  # noqa: F811
    """Through REST: each job fails with its code, whatever the file is called; then an ordinary
    video is indexed by the same worker."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(videos["mp4"])
    named = dict(hostile_media.references(secret, canary.http, canary.udp, videos))
    bombs = hostile_media.bombs()
    uploads = {
        "list.m3u8": (named["playlist of a web"], "unreadable_video"),
        "list.mp4": (named["concat script of a name"], "unreadable_video"),
        "talk.sdp": (named["session description"], "unreadable_video"),
        "far.mov": (named["MP4 whose pictures lie in a URL"], "no_decodable_frame"),
        "bomb.gif": (next(bombs)[1], "too_large"),
        "cut.mp4": (videos["mp4"][: videos["mp4"].index(b"moov")], "unreadable_video"),
        "art.ans": (b"\x1b[31msecret\x1b[0m\n" * 50, "unreadable_video"),
    }
    with open_stack(tmp_path / "data", encoder) as stack:
        for name, (content, code) in uploads.items():
            path = tmp_path / name
            path.write_bytes(content)
            video = stack.ingest(path)
            assert (video["status"], video["error"]["code"]) == ("failed", code), name
            assert str(secret) not in str(video["error"])
        ordinary = tmp_path / "ordinary.mp4"
        ordinary.write_bytes(videos["hevc"])
        assert stack.ingest(ordinary)["status"] == "ready"
        assert stack.api.get(VIDEOS).status_code == 200
    assert canary.visits == []
