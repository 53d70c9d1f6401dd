"""Segments hold the frames on screen at their instants, whatever the container makes of time."""

import io
import re
import struct
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xclip.errors import NoDecodableFrame
from xclip.preprocess import FrameGeometry, resize_and_crop
from xclip.video.containers import Limits
from xclip.video.cut import CutRequest, cut
from xclip.video.decode import DecodeRequest, decode_segments
from xclip.video.probe import probe
from xclip.video.sampling import Segmentation, instants


def decoded(content, request):
    return list(decode_segments(io.BytesIO(content), request))


def numbers(clips, segment):
    return [clips.number_in(frame) for frame in segment.frames]


def expected_numbers(segment, begins, num_frames):
    """What was on screen, from the times the clip was made with (seconds, ascending)."""
    moments = instants(segment, num_frames)
    return [max(k for k, begin in enumerate(begins) if begin <= m + 1e-6) for m in moments]


CONTAINERS = [
    ("mp4", "libx264", 2),
    ("mp4", "libx265", 2),
    ("mp4", "mpeg4", 0),
    ("mp4", "libsvtav1", 0),
    ("mov", "mpeg4", 2),
    ("matroska", "ffv1", 0),
    ("matroska", "libx264", 3),
    ("webm", "libvpx-vp9", 0),
    ("webm", "libvpx", 0),
    ("avi", "mpeg4", 0),
    ("avi", "mpeg4", 2),
    ("avi", "libx264", 2),
    ("mpegts", "libx264", 2),
    ("mpegts", "mpeg2video", 2),
    ("mpeg", "mpeg1video", 2),
    ("flv", "libx264", 2),
    ("asf", "wmv2", 0),
    ("gif", "gif", 0),
    ("mxf", "mpeg2video", 0),
    ("mxf", "mpeg2video", 2),
    ("mxf", "libx264", 2),
    ("ivf", "libvpx", 0),
    ("ivf", "libvpx-vp9", 0),
    ("ivf", "libsvtav1", 0),
]


@pytest.mark.parametrize(("container", "codec", "b_frames"), CONTAINERS)
def test_every_container_gives_the_frames_of_its_instants(
    clips, make_request, container, codec, b_frames
):
    """75 numbered frames in 3 s: with or without B-frames, right order, right times."""
    content = clips.numbered(75, container=container, codec=codec, b_frames=b_frames)

    segments = decoded(content, make_request(num_frames=5))

    assert [(segment.start, segment.index) for segment in segments] == [(0, 0), (1, 1)]
    assert segments[-1].end == pytest.approx(3.0, abs=0.005)
    begins = np.arange(75) / 25
    for segment in segments:
        assert numbers(clips, segment) == expected_numbers(segment, begins, 5)
        assert segment.unique_frames == 5


@pytest.mark.parametrize("container", ["dv", "mxf", "avi"])
def test_tapes_of_cameras_are_read(clips, make_request, container):
    """Raw DV has its times in its frames; a size of its own, and pixels that are not square."""
    images = [clips.image(number, 720, 576) for number in range(50)]
    content = clips.encode(images, container=container, codec="dvvideo", b_frames=0)

    (segment,) = decoded(content, make_request(num_frames=5))

    assert (segment.start, segment.end) == (0, pytest.approx(2.0, abs=0.005))
    assert segment.unique_frames == 5


def brute_force(content, segments, request):
    """Decode everything without skipping, then pick by time."""
    with av.open(io.BytesIO(content)) as container:
        images = [
            (frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]
    begins = [time - images[0][0] for time, _ in images]
    for segment in segments:
        wanted = expected_numbers(segment, begins, request.num_frames)
        yield np.stack([resize_and_crop(images[k][1], request.geometry) for k in wanted])


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"b_frames": 4}),
        ("libx265", {"b_frames": 3}),
        ("mpeg4", {"b_frames": 2}),
        ("mpeg2video", {"b_frames": 2}),
        ("libsvtav1", {}),
    ],
)
def test_skipping_frames_no_other_needs_changes_no_pixel(clips, make_request, codec, options):
    """Bit by bit equal to decoding everything, on moving noise."""
    noise = np.random.default_rng(1)
    texture = noise.integers(0, 255, (96, 240, 3), dtype=np.uint8)
    images = [np.ascontiguousarray(texture[:, k : k + 112]) for k in range(0, 128, 2)]
    content = clips.encode(images, container="matroska", codec=codec, **options)
    request = make_request(window_s=1.0, stride_s=0.5, num_frames=3)

    segments = decoded(content, request)

    for segment, frames in zip(segments, brute_force(content, segments, request), strict=True):
        np.testing.assert_array_equal(segment.frames, frames)


@settings(deadline=None, max_examples=25)
@given(
    gaps=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    first=st.integers(0, 500),
    num_frames=st.integers(1, 9),
    window_s=st.sampled_from([0.5, 1.0, 3.0]),
    container=st.sampled_from(["mp4", "matroska"]),
)
def test_uneven_times_are_followed(clips, gaps, first, num_frames, window_s, container):
    """Variable frame rates and a late start: chosen by timestamp, never by count."""
    times = [first + sum(gaps[:k]) for k in range(len(gaps) + 1)]
    content = clips.encode(
        [clips.image(k) for k in range(len(times))],
        container=container,
        codec="mpeg4",
        rate=100,
        times=times,
        b_frames=0,
    )
    request = DecodeRequest(Segmentation(window_s, window_s / 2), num_frames, FrameGeometry(64, 64))

    segments = decoded(content, request)

    # Matroska rounds to milliseconds, exact here.
    begins = [(time - first) / 100 for time in times]
    assert segments[0].start == 0
    assert segments[-1].end > begins[-1]
    for segment in segments:
        shown = numbers(clips, segment)
        assert shown == expected_numbers(segment, begins, num_frames)
        assert segment.unique_frames == len(set(shown))


def test_one_frame_is_a_segment(clips, make_request):
    """Every slot shows it."""
    (segment,) = decoded(clips.numbered(1, first=77), make_request(num_frames=8))

    assert numbers(clips, segment) == [77] * 8
    assert segment.unique_frames == 1
    assert segment.end == pytest.approx(0.04)


def test_segments_leave_before_the_rest_of_the_file_is_read(clips, make_request):
    """One pass, bounded memory: the first window does not wait for the last."""
    noise = np.random.default_rng(2)
    images = [noise.integers(0, 255, (240, 320, 3), dtype=np.uint8) for _ in range(75)]
    file = io.BytesIO(clips.encode(images, container="matroska", codec="ffv1"))

    segments = decode_segments(file, make_request())
    next(segments)
    after_first = file.tell()
    assert len(list(segments)) == 1

    assert after_first < file.tell() * 0.8


def test_a_stream_without_timestamps_is_spaced_by_its_rate(clips, make_request):
    """An MPEG program stream whose packets lost their PTS."""
    content = bytearray(clips.numbered(50, container="vob", codec="mpeg2video"))
    at = 0
    while (at := content.find(b"\0\0\1\xe0", at)) >= 0:
        if content[at + 7] & 0xC0:
            stuffing = content[at + 8]
            content[at + 7] &= 0x3F
            content[at + 9 : at + 9 + stuffing] = b"\xff" * stuffing
        at += 4

    (segment,) = decoded(bytes(content), make_request(num_frames=4))

    assert segment.end == pytest.approx(2.0)
    assert numbers(clips, segment) == [6, 18, 31, 43]


def test_a_recording_whose_clock_starts_again_is_one_video(clips, make_request):
    """Two transport streams joined byte by byte."""
    content = clips.numbered(50, container="mpegts") + clips.numbered(
        50, container="mpegts", first=50
    )

    segments = decoded(content, make_request(num_frames=4))

    assert [round(segment.end, 6) for segment in segments] == [2.0, 3.0, 4.0]
    begins = np.arange(100) / 25
    for segment in segments:
        for shown, true in zip(
            numbers(clips, segment), expected_numbers(segment, begins, 4), strict=True
        ):
            assert abs(shown - true) <= 1


def test_frames_may_change_size_mid_stream(clips, make_request):
    """Each is brought to the model's size from its own."""
    content = clips.numbered(50, container="mpegts") + clips.numbered(
        50, width=128, height=128, container="mpegts", first=50
    )
    segments = decoded(content, make_request(window_s=4.0, stride_s=4.0, num_frames=2))

    assert [frame.shape for frame in segments[0].frames] == [(64, 64, 3)] * 2
    first, last = segments[0].frames
    assert abs(clips.number_in(first) - 25) <= 1
    assert last[0, 0].tolist() == pytest.approx([128] * 3, abs=8)  # the grey around the number


@pytest.mark.parametrize("container", ["matroska", "mpegts", "flv"])
def test_a_truncated_file_gives_what_is_there(clips, make_request, container):
    """Cut in the middle: the segments cover what the remaining packets show, header or not."""
    whole = clips.numbered(
        200, container=container, codec="mpeg4" if container != "flv" else "flv", b_frames=0
    )
    content = whole[: len(whole) // 2]

    segments = decoded(content, make_request(num_frames=4))

    assert 3.0 < segments[-1].end < 5.0
    begins = np.arange(200) / 25
    for segment in segments:
        for shown, true in zip(
            numbers(clips, segment), expected_numbers(segment, begins, 4), strict=True
        ):
            assert true - 2 <= shown <= true


def test_damaged_packets_are_passed_over(clips, make_request):
    """A hole of random bytes costs its frames; the ones before and after are right."""
    content = bytearray(clips.numbered(100, container="mpegts", codec="mpeg4", b_frames=0, gop=5))
    middle = len(content) // 2
    hole = len(content) // 20
    content[middle : middle + hole] = np.random.default_rng(3).bytes(hole)

    segments = decoded(bytes(content), make_request(num_frames=4))

    assert segments[0].start == 0
    assert segments[-1].end == pytest.approx(4.0, abs=0.1)
    begins = np.arange(100) / 25
    assert numbers(clips, segments[0])[:3] == expected_numbers(segments[0], begins, 4)[:3]
    assert numbers(clips, segments[-1])[2:] == expected_numbers(segments[-1], begins, 4)[2:]


def spoiled(content, keep, until=None):
    """The same mp4 with the payload of samples overwritten, from number `keep` on."""
    with av.open(io.BytesIO(content)) as container:
        ranges = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    spoiled = bytearray(content)
    for position, size in ranges[keep:until]:
        spoiled[position : position + size] = b"\xff" * size
    return bytes(spoiled)


def test_a_tail_that_cannot_be_decoded_is_covered_by_the_last_frame(clips, make_request):
    """The duration is the packets'; the damaged part shows a still frame."""
    content = spoiled(clips.numbered(75, b_frames=0), keep=20)

    segments = decoded(content, make_request(num_frames=4))

    assert segments[-1].end == pytest.approx(3.0)
    assert numbers(clips, segments[0]) == [6, 18, 19, 19]
    assert numbers(clips, segments[1]) == [19] * 4
    assert segments[1].unique_frames == 1


def test_a_file_without_one_decodable_frame_is_refused(clips, make_request):
    """Opening is not enough."""
    with pytest.raises(NoDecodableFrame):
        decoded(spoiled(clips.numbered(10), keep=0), make_request())


@pytest.mark.parametrize(("forgiven", "last_number"), [(200, 69), (20, 69), (19, 29)])
def test_a_decoder_gives_up_after_too_many_damaged_packets(
    clips, make_request, forgiven, last_number
):
    """A file of garbage does not cost a decode attempt per packet; a hole in a good one may."""
    images = [clips.image(number) for number in range(75)]
    content = spoiled(clips.encode(images, codec="mjpeg", b_frames=0), keep=30, until=50)
    request = make_request(window_s=3.0, stride_s=3.0, num_frames=7)
    request = replace(request, limits=Limits(damaged_packets=forgiven))

    (segment,) = decoded(content, request)

    assert numbers(clips, segment)[-1] == last_number


def test_a_damaged_size_is_not_taken_for_a_lack_of_memory(clips, make_request):
    """libav reports a frame of 2 GiB in a fragment's table as "out of memory"."""
    fragmented = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    content = bytearray(clips.numbered(75, b_frames=0, gop=5, container_options=fragmented))
    tables = [found.start() for found in re.finditer(b"trun", content)]
    at = tables[8] + len("trun") + 16  # behind flags, count, offset and the first sample's flags
    content[at : at + 4] = b"\x7f\xff\xff\xff"

    (segment,) = decoded(bytes(content), make_request())

    assert segment.end == pytest.approx(8 * 5 / 25)


def turned(content, coefficients):
    """The same mp4 with another display matrix in its track header."""
    a, b, c, d = (value << 16 for value in coefficients)
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    track = content.index(b"tkhd")
    at = content.index(plain, track)
    return content[:at] + matrix + content[at + len(matrix) :]


@pytest.mark.parametrize(
    ("coefficients", "rotation", "show"),
    [
        ((1, 0, 0, 1), 0, lambda image: image),
        ((0, 1, -1, 0), 90, lambda image: np.rot90(image, -1)),
        ((-1, 0, 0, -1), 180, lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), 270, lambda image: np.rot90(image)),
        ((-1, 0, 0, 1), 0, np.fliplr),
        ((1, 0, 0, -1), 180, np.flipud),
    ],
    ids=["as stored", "90", "180", "270", "mirrored", "upside down"],
)
def test_frames_and_thumbnails_are_shown_the_way_the_camera_was_held(
    clips, make_request, coefficients, rotation, show
):
    """The number can be read again from the frame turned back; the thumbnail has the new shape."""
    content = turned(clips.numbered(10, width=128, height=64), coefficients)

    info = probe(io.BytesIO(content), Limits()).info
    (segment,) = decoded(content, make_request(num_frames=1))

    upright = show(clips.image(5, 128, 64))
    assert (info.rotation, info.height, info.width) == (rotation, *upright.shape[:2])
    assert segment.thumbnail.shape == upright.shape
    assert np.abs(segment.thumbnail.astype(int) - upright).mean() < 6
    square = resize_and_crop(np.ascontiguousarray(upright), FrameGeometry(64, 64))
    assert np.abs(segment.frames[0].astype(int) - square).mean() < 6


def test_the_thumbnail_is_the_middle_frame_small_and_uncropped(clips, make_request):
    """Never enlarged, never above the requested height."""
    content = clips.numbered(50, width=256, height=128)

    (small,) = decoded(content, make_request(num_frames=4, thumbnail_height=96))
    (stored,) = decoded(content, make_request(num_frames=4, thumbnail_height=200))

    assert small.thumbnail.shape == (96, 192, 3)
    assert stored.thumbnail.shape == (128, 256, 3)
    assert clips.number_in(stored.thumbnail[32:96, 96:160]) == 31  # at 1.25 s, the third of four


def test_extremely_wide_frames_get_a_low_thumbnail(clips, make_request):
    """At most four times as wide as thumbnails may be high."""
    (segment,) = decoded(
        clips.numbered(2, width=2048, height=64), make_request(thumbnail_height=64)
    )

    assert segment.thumbnail.shape == (8, 256, 3)


@pytest.mark.parametrize(
    ("coefficients", "thumbnail"), [((1, 0, 0, 1), (64, 128, 3)), ((0, 1, -1, 0), (128, 64, 3))]
)
def test_pixels_that_are_not_square_are_corrected_in_thumbnails_only(
    make_request, clips, coefficients, thumbnail
):
    """Models were trained on stored pixels; people look at displayed ones, turned or not."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        frame = av.VideoFrame.from_ndarray(clips.image(9), "rgb24")
        output.mux([*stream.encode(frame), *stream.encode(None)])

    (segment,) = decoded(turned(buffer.getvalue(), coefficients), make_request())

    assert segment.thumbnail.shape == thumbnail
    assert segment.frames.shape == (4, 64, 64, 3)


def test_the_aspect_ratio_of_the_container_counts(make_request, clips):
    """Where the codec says another one, too; a clip of the video keeps it."""
    with av.open(io.BytesIO(clips.numbered(10))) as source:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4") as output:
            stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
            stream.codec_context.sample_aspect_ratio = 2
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)

    (segment,) = decoded(buffer.getvalue(), make_request())
    clip = io.BytesIO()
    cut(buffer, clip, CutRequest(0.0, 0.2, 1 << 20))

    assert segment.thumbnail.shape == (64, 128, 3)
    with av.open(io.BytesIO(clip.getvalue())) as opened:
        assert opened.streams.video[0].sample_aspect_ratio == 2


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
@pytest.mark.parametrize("width", [1, 32, 128, 300])
def test_the_display_size_of_a_webm_counts(make_request, clips, codec, width):
    """It is the only place in which such a video says the shape of its pixels; a clip says it,
    too, whatever the picture's number of bytes is."""
    content = clips.numbered(10, container="webm", codec=codec, b_frames=0)
    # A rate and a picture of 64 by 64, which become a filler and a picture of another width.
    square = bytes.fromhex("23e38384 02625a00 e086 b08140 ba8140")
    display = bytes.fromhex("b08140 ba8140 54b082") + width.to_bytes(2)
    wide = content.replace(square, bytes.fromhex("ec81 00 e08b") + display)
    assert square in content

    (segment,) = decoded(wide, make_request())
    clip = io.BytesIO()
    done = cut(io.BytesIO(wide), clip, CutRequest(0.0, 0.2, 1 << 20))

    high, wide_shown, _ = segment.thumbnail.shape
    assert wide_shown / high == pytest.approx(width / 64, rel=0.02)
    assert done.container == "webm"
    with av.open(io.BytesIO(clip.getvalue())) as opened:
        assert opened.streams.video[0].sample_aspect_ratio == Fraction(width, 64)
        assert len(list(opened.decode(video=0))) > 4


def test_what_a_probe_tells(clips):
    """Facts by packets and by the first frame."""
    content = clips.numbered(30, width=96, height=64, container="matroska")

    info = probe(io.BytesIO(content), Limits()).info

    assert (info.container, info.codec, info.width, info.height) == ("matroska", "h264", 96, 64)
    assert (info.frame_count, info.rotation) == (30, 0)
    assert info.duration_s == pytest.approx(1.2)
