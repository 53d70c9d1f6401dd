"""Results cross the pipe unchanged, and nothing but results crosses it."""

import io
import json
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.errors import DecoderCrashed, DecodeTimeout, EmptyFile, VideoError, VideoTooLarge
from xclip.preprocess import FrameGeometry
from xclip.video.decode import DecodedSegment, DecodeRequest
from xclip.video.probe import VideoInfo
from xclip.video.sampling import Segmentation
from xclip.video.sandbox.wire import EndOfVideo, UnexpectedException, receive, send

REQUEST = DecodeRequest(Segmentation(), 2, FrameGeometry(8, 6), thumbnail_height=10)


class Exhausted(Exception):
    """The pipe held less than was requested."""


def received(content):
    source = io.BytesIO(content)

    def read_into(buffer):
        if source.readinto(buffer) != len(buffer):
            raise Exhausted

    message = receive(read_into, REQUEST)
    assert not source.read(), "something was left unread"
    return message


def sent(message):
    pipe = io.BytesIO()
    send(pipe, message)
    return pipe.getvalue()


def headed(header):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<I", len(encoded)) + encoded


def segment(height=5, width=7):
    noise = np.random.default_rng(0)
    return DecodedSegment(
        index=3,
        start=1.25,
        end=6.25,
        frames=noise.integers(0, 255, (2, 6, 6, 3), dtype=np.uint8),
        thumbnail=noise.integers(0, 255, (height, width, 3), dtype=np.uint8),
        unique_frames=2,
    )


def test_a_segment_arrives_as_it_was_sent():
    """Numbers and pixels."""
    original = segment()

    arrived = received(sent(original))

    for name in ("index", "start", "end", "unique_frames"):
        assert getattr(arrived, name) == getattr(original, name)
    np.testing.assert_array_equal(arrived.frames, original.frames)
    np.testing.assert_array_equal(arrived.thumbnail, original.thumbnail)


@pytest.mark.parametrize(
    "message",
    [VideoInfo("mp4", "h264", 640, 480, 9.5, 240, 90), EndOfVideo(), UnexpectedException("a\nb")],
)
def test_facts_and_the_end_arrive(message):
    """Equal values on the other side."""
    assert received(sent(message)) == message


@pytest.mark.parametrize("error", VideoError.__subclasses__())
def test_every_error_arrives_as_itself(error):
    """Class and sentence."""
    arrived = received(sent(error("What happened.")))

    assert type(arrived) is error
    assert str(arrived) == "What happened."


def test_the_end_of_a_long_traceback_arrives():
    """A recursion's is longer than a header may be; its end names the exception."""
    arrived = received(sent(UnexpectedException("\N{PILE OF POO}" * 100_000 + "RecursionError")))

    assert arrived.traceback.endswith("RecursionError")


INFO = json.loads(sent(VideoInfo("mp4", "h264", 640, 480, 9.5, 240, 90))[4:])
SEGMENT = json.loads(sent(segment())[4:].split(b"}")[0] + b"}")


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<I", 1 << 31),
        headed(b"not json"),
        headed(b"[" * 60_000),
        headed([]),
        headed({"kind": "other"}),
        headed({"kind": "error", "code": "no_such_code", "message": ""}),
        headed(INFO | {"duration_s": "9.5"}),
        headed(INFO | {"duration_s": float("nan")}),
        headed(INFO | {"width": -1}),
        headed({"kind": "info"}),
        headed(SEGMENT | {"thumbnail": [11, 7]}),
        headed(SEGMENT | {"thumbnail": [5, 41]}),
        headed(SEGMENT | {"thumbnail": [0, 7]}),
        headed(SEGMENT | {"thumbnail": [5, 7, 3]}),
        headed(SEGMENT | {"thumbnail": 5}),
        headed(SEGMENT | {"start": None}),
        headed(pickle.dumps(EmptyFile("x"))),
    ],
    ids=lambda content: repr(content[4:50]),
)
def test_nonsense_is_refused(content):
    """A process taken over by its input may send anything; it gets no memory and runs no code."""
    with pytest.raises(DecoderCrashed):
        received(content)


@given(st.binary(max_size=64))
def test_random_bytes_never_pass(noise):
    """Either nonsense, or a promise of more than there is."""
    with pytest.raises((DecoderCrashed, Exhausted)):
        received(noise)


def test_the_tree_of_errors_is_flat():
    """Errors are found by code among direct subclasses: deeper ones have no code of their own."""
    leaves = VideoError.__subclasses__()

    assert {DecodeTimeout, VideoTooLarge} < set(leaves)
    assert all(deeper.code == leaf.code for leaf in leaves for deeper in leaf.__subclasses__())
    assert len({leaf.code for leaf in leaves}) == len(leaves)
