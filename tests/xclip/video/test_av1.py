"""Packets of AV1 that no frame depends on are found from headers alone."""

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xclip.video.av1 import AV1References


@pytest.fixture(scope="module")
def content(clips):
    """Two and a half seconds of moving noise, in the encoder's usual pyramid of references."""
    noise = np.random.default_rng(4).integers(0, 255, (96, 260, 3), dtype=np.uint8)
    images = [np.ascontiguousarray(noise[:, 2 * k : 2 * k + 128]) for k in range(64)]
    return clips.encode(images, codec="libsvtav1", container="matroska", gop=32, b_frames=0)


def packets_of(content):
    with av.open(io.BytesIO(content)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def frames_of(content, left_out):
    """Pixels by time, of a decoder that gets all packets but some."""
    with av.open(io.BytesIO(content)) as container:
        context = container.streams.video[0].codec_context
        frames = []
        for packet in container.demux(video=0):
            if packet.pts not in left_out or not packet.size:
                frames += context.decode(packet if packet.size else None)
    return {frame.pts: frame.to_ndarray().tobytes() for frame in frames}


def test_leaving_them_out_changes_no_other_frame(content):
    """There are some, and each is worth one frame."""
    references = AV1References()
    unreferenced = {p.pts for p in packets_of(content) if references.unreferenced(bytes(p))}
    everything = frames_of(content, left_out=set())

    rest = frames_of(content, left_out=unreferenced)

    assert len(unreferenced) > 10
    assert set(rest) == set(everything) - unreferenced
    assert all(everything[stamp] == pixels for stamp, pixels in rest.items())


def test_without_a_sequence_header_all_are_needed(content):
    """The lengths of a frame header's fields."""
    references = AV1References()
    of_first_group = packets_of(content)[1:20]

    assert not any(references.unreferenced(bytes(packet)) for packet in of_first_group)


@settings(max_examples=50, deadline=None)
@given(noise=st.binary(max_size=80), cut=st.integers(0, 40), number=st.integers(0, 63))
def test_damage_is_looked_at_without_harm(content, noise, cut, number):
    """Cut or made up: an answer, never an error."""
    packets = [bytes(packet) for packet in packets_of(content)]
    references = AV1References()
    references.unreferenced(packets[0])

    assert references.unreferenced(packets[number][:cut] + noise) in (True, False)
    assert references.unreferenced(noise) in (True, False)
