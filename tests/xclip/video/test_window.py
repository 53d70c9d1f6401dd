"""A window is decoded from what lies around it, and its frames are those of a full decode."""

import io
from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xclip.errors import NoDecodableFrame
from xclip.preprocess import FrameGeometry, resize_and_crop
from xclip.video.containers import Limits
from xclip.video.decode import DecodeRequest, Segments, decode_window
from xclip.video.probe import probe
from xclip.video.sampling import Segmentation, Window, instants

REQUEST = DecodeRequest(Segmentation(), 4, FrameGeometry(48, 48))
COUNT, RATE = 200, 25

CODECS = {
    "h264": {"gop": 24, "b_frames": 3},
    "h264, one group": {"gop": 500, "b_frames": 3},
    "h264, open groups": {"gop": 24, "b_frames": 3, "options": {"x264-params": "open-gop=1"}},
    "h264, refreshed": {"gop": 24, "b_frames": 0, "options": {"x264-params": "intra-refresh=1"}},
    "h264, uneven": {"gop": 24, "b_frames": 3, "times": np.cumsum([1, 3, 1, 1, 7] * 40).tolist()},
    "h264, trimmed": {"gop": 24, "b_frames": 3, "times": list(range(-50, 150))},
    "h264, mpegts": {"gop": 24, "b_frames": 3, "container": "mpegts"},
    "hevc": {"codec": "libx265", "gop": 24, "b_frames": 3},
    "vp8": {"codec": "libvpx", "container": "webm", "gop": 24, "b_frames": 0},
    "vp9": {"codec": "libvpx-vp9", "container": "webm", "gop": 24, "b_frames": 0},
    "av1": {"codec": "libsvtav1", "gop": 32, "b_frames": 0},
    "mpeg4": {"codec": "mpeg4", "gop": 24, "b_frames": 2},
    "mpeg4, avi": {"codec": "mpeg4", "gop": 24, "b_frames": 0, "container": "avi"},
    "mpeg2": {"codec": "mpeg2video", "gop": 24, "b_frames": 2, "container": "mpegts"},
    "mpeg2, mp4": {"codec": "mpeg2video", "gop": 24, "b_frames": 2},
    "mjpeg": {"codec": "mjpeg", "gop": 1, "b_frames": 0},
}


def texture(count=COUNT):
    """Noise that moves, over which a second pattern crosses the other way."""
    noise = np.random.default_rng(1)
    far = noise.integers(0, 255, (64, 3 * count + 80, 3), dtype=np.uint8)
    near = noise.integers(0, 255, (24, 16, 3), dtype=np.uint8)
    for k in range(count):
        image = far[:, 2 * k : 2 * k + 80].copy()
        left = 60 - k % 60
        image[20:44, left : left + 16] = near
        yield image


@pytest.fixture(scope="module")
def files(clips):
    """Each file beside the frames and times that a naive decode of all of it gives."""
    made = {}

    def file(name):
        if name not in made:
            content = clips.encode(list(texture()), **CODECS[name])
            with av.open(io.BytesIO(content)) as container:
                frames = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
            times = [time - frames[0][0] for time, _ in frames]
            made[name] = content, times, [image for _, image in frames]
        return made[name]

    return file


def full_decode(times, images, moments):
    shown = [max(k for k, time in enumerate(times) if time <= m + 1e-6) for m in moments]
    return np.stack([resize_and_crop(images[k], REQUEST.geometry) for k in shown])


@pytest.mark.parametrize("name", CODECS)
@settings(deadline=None, max_examples=8)
@given(start=st.floats(0, 0.98), length=st.floats(0.01, 1.0), threads=st.sampled_from([1, 2]))
def test_a_window_holds_the_frames_of_a_full_decode(files, name, start, length, threads):
    """Bit by bit, wherever the window lies."""
    content, times, images = files(name)
    start, end = start * times[-1], (start + length) * times[-1]

    segment = decode_window(io.BytesIO(content), start, end, REQUEST, threads=threads)

    expected = full_decode(times, images, instants(Window(segment.start, segment.end), 4))
    np.testing.assert_array_equal(segment.frames, expected)


@pytest.mark.parametrize("name", CODECS)
@settings(deadline=None, max_examples=3)
@given(window_s=st.floats(0.5, 8.0), num_frames=st.integers(1, 3))
def test_segments_hold_the_frames_of_a_full_decode(files, name, window_s, num_frames):
    """Also where few frames are wanted, and decoding begins anew between them."""
    content, times, images = files(name)
    request = replace(REQUEST, segmentation=Segmentation(window_s, window_s), num_frames=num_frames)

    segments = Segments(io.BytesIO(content), probe(io.BytesIO(content), Limits()), request)

    for segment in segments:
        moments = instants(Window(segment.start, segment.end), num_frames)
        np.testing.assert_array_equal(segment.frames, full_decode(times, images, moments))
    assert segments.lost_s == 0.0


def bytes_read_for(content, start, end):
    """How much of the file is read, all in all."""
    file = io.BytesIO(content)
    counted = [0]

    class Counting:
        def read(self, size):
            read = file.read(size)
            counted[0] += len(read)
            return read

        seek, tell = file.seek, file.tell

    decode_window(Counting(), start, end, REQUEST)
    return counted[0]


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_beyond_the_scan_only_what_lies_around_a_window_is_read(clips, container):
    """Seeking, not reading on: a window at the end of a long file costs what one nearby costs."""
    noise = np.random.default_rng(2).integers(0, 255, (128, 900, 3), dtype=np.uint8)
    images = [np.ascontiguousarray(noise[:, k : k + 128]) for k in range(700)]
    content = clips.encode(
        images, container=container, codec="mpeg2video", b_frames=0, options={"b": "8000000"}
    )

    assert len(content) > 5_000_000
    assert bytes_read_for(content, 25.0, 25.4) < len(content) * 1.4


def test_a_window_has_a_thumbnail_and_counts_its_frames(files):
    """Those of the window, as a segment of the whole has them."""
    content, _, images = files("h264")

    segment = decode_window(io.BytesIO(content), 3.0, 3.04, replace(REQUEST, thumbnail_height=64))

    assert segment.unique_frames == 1
    np.testing.assert_array_equal(segment.thumbnail, images[75])


def test_damage_inside_a_window_shows_what_a_full_decode_shows(files):
    """What a player shows instead depends on all that came before: all is decoded then."""
    content, _, _ = files("mjpeg")
    with av.open(io.BytesIO(content)) as container:
        ranges = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    spoiled = bytearray(content)
    for position, size in ranges[95:105]:
        spoiled[position : position + size] = b"\xff" * size

    standing = decode_window(
        io.BytesIO(spoiled), 94 / 25, 106 / 25, replace(REQUEST, num_frames=12)
    )

    before = decode_window(io.BytesIO(content), 94 / 25, 95 / 25, REQUEST).frames[0]
    after = decode_window(io.BytesIO(content), 105 / 25, 106 / 25, REQUEST).frames[0]
    np.testing.assert_array_equal(standing.frames, np.stack([before] * 11 + [after]))


def test_an_end_behind_the_video_is_the_end_of_the_video(files):
    """A window may be requested without knowing how long the video is."""
    content, times, _ = files("h264")

    segment = decode_window(io.BytesIO(content), 7.0, 1e9, REQUEST)

    assert (segment.start, segment.end) == (7.0, pytest.approx(times[-1] + 1 / RATE))


@pytest.mark.parametrize(("start", "end"), [(8.5, 9.0), (2.0, 2.0), (3.0, 2.0), (-1.0, 1.0)])
def test_a_window_with_nothing_in_it_is_refused(files, start, end):
    """The sentence says how long the video is."""
    with pytest.raises(ValueError, match=r"a video of 8\.0 s has no interval"):
        decode_window(io.BytesIO(files("h264")[0]), start, end, REQUEST)


def test_a_window_of_a_file_without_frames_is_refused(clips):
    """As the whole file would be."""
    content = bytearray(clips.numbered(10))
    with av.open(io.BytesIO(content)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size

    with pytest.raises(NoDecodableFrame):
        decode_window(io.BytesIO(content), 0.0, 1.0, REQUEST)
