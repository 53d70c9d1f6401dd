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


class Bits:
    """Fields of a header, written one after the other."""

    def __init__(self):
        self._text = ""

    def add(self, count, value):
        self._text += f"{value:0{count}b}" if count else ""

    def unit(self, kind, *, with_size, padding=b""):
        """An OBU that holds the fields, filled up with zeros."""
        filled = self._text + "0" * (-len(self._text) % 8)
        content = int(filled, 2).to_bytes(len(filled) // 8) + padding
        size = bytes([len(content)]) if with_size else b""
        return bytes([kind << 3 | with_size << 1]) + size + content


def sequence_header(screen_content, integer_vectors, order_hint_bits):
    """Of one layer, without timing; None stands for what each frame says itself."""
    bits = Bits()
    for count in (3, 1, 1, 1, 1, 5, 12, 5):  # from the profile to the level
        bits.add(count, 0)
    for value in (8, 7):
        bits.add(4, value)
    bits.add(9 + 8, 0b101111111_10110011)
    bits.add(1, 0)  # frame_id_numbers_present_flag
    bits.add(3 + 4, 0b101_0110)
    bits.add(1, order_hint_bits > 0)
    bits.add(2 if order_hint_bits else 0, 0b10)
    bits.add(1, screen_content is None)
    if screen_content is not None:
        bits.add(1, screen_content)
    if screen_content is not False:
        bits.add(1, integer_vectors is None)
        if integer_vectors is not None:
            bits.add(1, integer_vectors)
    if order_hint_bits:
        bits.add(3, order_hint_bits - 1)
    return bits.unit(1, with_size=True, padding=b"\x80")


@st.composite
def sequences(draw):
    """What frame headers depend on."""
    answers = st.sampled_from([None, False, True])
    return draw(answers), draw(answers), draw(st.integers(0, 8))


@st.composite
def frames(draw, sequence):
    """A frame's OBU, without a size only if it is alone, and whether others depend on it."""
    screen_content, integer_vectors, order_hint_bits = sequence
    kind, shown, resilient = draw(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()))
    flags = draw(st.sampled_from([0, 0, 1, 128, 255]))
    bits = Bits()
    for count, value in ((1, 0), (2, kind), (1, shown)):
        bits.add(count, value)
    bits.add(1, resilient)
    bits.add(1, draw(st.booleans()))  # disable_cdf_update
    allowed = draw(st.booleans()) if screen_content is None else screen_content
    bits.add(int(screen_content is None), allowed)
    if allowed and integer_vectors is None:
        bits.add(1, draw(st.booleans()))
    bits.add(1, draw(st.booleans()))  # frame_size_override_flag
    bits.add(order_hint_bits, draw(st.integers(0, (1 << order_hint_bits) - 1)))
    if kind == 1 and not resilient:
        bits.add(3, draw(st.integers(0, 7)))
    bits.add(8, flags)
    needed = kind not in (1, 2) or not shown or flags > 0
    return bits.unit(draw(st.sampled_from([3, 6])), with_size=True, padding=b"\0\0\0\0"), needed


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_flags_are_found_wherever_a_sequence_puts_them(data):
    """A packet is not needed if none of its frames is, however many it has."""
    sequence = data.draw(sequences())
    references = AV1References()
    assert not references.unreferenced(sequence_header(*sequence))

    found = data.draw(st.lists(frames(sequence), min_size=1, max_size=3))

    packet = b"".join(unit for unit, _ in found)
    assert references.unreferenced(packet) is not any(needed for _, needed in found)
    assert references.unreferenced(memoryview(b"\x12\0" + packet)) is not any(n for _, n in found)
