"""Odd but honest files, each made here: the frames are right, or the refusal says why."""

import io
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from av.codec.context import Flags
from PIL import ExifTags, Image, ImageOps

from xclip.errors import EncryptedVideo
from xclip.preprocess import FrameGeometry
from xclip.video.containers import Limits
from xclip.video.decode import DecodeRequest, Segments, decode_segments
from xclip.video.probe import probe
from xclip.video.sampling import Segmentation

REQUEST = DecodeRequest(Segmentation(2.0, 1.0), 4, FrameGeometry(64, 64))


def write(
    clips, *, container, codec, pix_fmt, size=(64, 64), count=50, first=0, flags=0, **options
):
    """A clip of numbered frames, with the codec's pixel format and flags and the container's
    options."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.flags |= flags
        for number in range(count):
            image = clips.image(number, *(max(edge, 64) for edge in size))
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(image[: size[1], : size[0]]), "rgb24"
            )
            frame.pts = first + number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def numbers(clips, content):
    (segment,) = decode_segments(io.BytesIO(content), REQUEST)
    return [clips.number_in(frame) for frame in segment.frames]


@pytest.mark.parametrize(
    ("container", "codec", "pix_fmt"),
    [
        ("mp4", "libx264", "yuv420p10le"),
        ("matroska", "ffv1", "yuv422p12le"),
        ("mov", "prores_ks", "yuv422p10le"),
        ("webm", "libvpx-vp9", "yuva420p"),
        ("mov", "prores_ks", "yuva444p10le"),
        ("mov", "cfhd", "yuv422p10le"),
        ("avi", "cfhd", "gbrp12le"),
    ],
)
def test_deep_and_transparent_frames_are_shown_as_they_are(clips, container, codec, pix_fmt):
    """Ten and twelve bits become eight; transparency is ignored, not composed."""
    content = write(clips, container=container, codec=codec, pix_fmt=pix_fmt)

    assert numbers(clips, content) == [6, 18, 31, 43]


@pytest.mark.parametrize(("container", "codec"), [("mpegts", "mpeg2video"), ("mp4", "libx264")])
def test_interlaced_frames_are_shown_as_they_are(clips, container, codec):
    """Both fields in one frame: the combing is gone once it is small."""
    fields = Flags.interlaced_dct | Flags.interlaced_me
    content = write(clips, container=container, codec=codec, pix_fmt="yuv420p", flags=fields)

    with av.open(io.BytesIO(content)) as opened:
        assert next(opened.decode(video=0)).interlaced_frame
    assert numbers(clips, content) == [6, 18, 31, 43]


def test_a_recording_that_begins_inside_an_open_group_of_pictures(clips):
    """Its first frames lean on the group before, which is missing: the first that can be shown
    replaces them, and a tenth of a second does not count as lost."""
    images = [clips.image(number) for number in range(75)]
    content = clips.encode(images, container="mpegts", codec="mpeg2video", gop=25, b_frames=2)
    buffer = io.BytesIO()
    with av.open(io.BytesIO(content)) as source, av.open(buffer, "w", format="mpegts") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        read = [packet for packet in source.demux(video=0) if packet.size]
        key = [position for position, packet in enumerate(read) if packet.is_keyframe][1]
        leading = sum(packet.pts < read[key].pts for packet in read[key:])
        for packet in read[key:]:
            packet.stream = stream
            output.mux(packet)

    file = io.BytesIO(buffer.getvalue())
    segments = Segments(file, probe(file, Limits()), replace(REQUEST, num_frames=50))
    (segment,) = segments

    assert leading == 2
    shown = [clips.number_in(frame) for frame in segment.frames]
    assert shown == [27, 27, *range(27, 75)]
    assert segments.lost_s == 0.0


@pytest.mark.parametrize("size", [(1, 1), (8, 10), (161, 121), (2, 300)])
def test_odd_and_tiny_frames_are_enlarged_or_cut(clips, size):
    """From a single pixel on, the model gets squares of its size."""
    content = write(clips, container="matroska", codec="ffv1", pix_fmt="bgr0", size=size, count=2)

    (segment,) = decode_segments(io.BytesIO(content), REQUEST)

    assert segment.frames.shape == (4, 64, 64, 3)
    assert probe(io.BytesIO(content), Limits()).info.width == size[0]


@pytest.mark.parametrize(("container", "first"), [("mpegts", 795_375), ("matroska", 250_000)])
def test_a_clock_that_does_not_start_at_zero_does_not_matter(clips, container, first):
    """Broadcasts start at hours."""
    content = write(clips, container=container, codec="libx264", pix_fmt="yuv420p", first=first)

    assert numbers(clips, content) == [6, 18, 31, 43]


def test_what_an_edit_list_cuts_off_is_not_shown(clips):
    """Twenty of fifty frames lie before the time at which the track begins to be shown."""
    content = write(clips, container="mp4", codec="libx264", pix_fmt="yuv420p", first=-20)

    assert b"elst" in content
    assert probe(io.BytesIO(content), Limits()).info.duration_s == pytest.approx(30 / 25)
    assert numbers(clips, content) == [23, 31, 38, 46]


@pytest.mark.parametrize(
    ("container", "options"),
    [("matroska", {"live": "1"}), ("mp4", {"movflags": "frag_keyframe+empty_moov"})],
)
def test_files_written_live_tell_neither_duration_nor_count(clips, container, options):
    """The packets do."""
    content = write(clips, container=container, codec="libx264", pix_fmt="yuv420p", **options)

    with av.open(io.BytesIO(content)) as opened:
        assert opened.streams.video[0].frames == 0
    info = probe(io.BytesIO(content), Limits()).info
    assert (info.frame_count, info.duration_s) == (50, pytest.approx(2.0))


def test_of_several_video_streams_the_one_a_player_shows_counts(clips):
    """The one marked as default, not the largest."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        for edge in (64, 128):
            stream = output.add_stream("mpeg2video", rate=25)
            stream.width = stream.height = edge
            stream.pix_fmt = "yuv420p"
        for stream in output.streams.video:
            for number in range(5):
                image = clips.image(number, stream.width, stream.height)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            output.mux(stream.encode(None))

    assert probe(io.BytesIO(buffer.getvalue()), Limits()).info.width == 64


def test_an_encrypted_video_is_named(clips):
    """Common encryption hides the samples, not the index."""
    content = write(
        clips,
        container="mp4",
        codec="libx264",
        pix_fmt="yuv420p",
        encryption_scheme="cenc-aes-ctr",
        encryption_key="76a6c65c5ea762046bd749a2e632ccbb",
        encryption_kid="a7e61c373e219033c21091fa607bf3b8",
    )

    with pytest.raises(EncryptedVideo):
        probe(io.BytesIO(content), Limits())


def motion_jpeg(container, orientation):
    """A clip of the same JPEG over and over, and that picture; four colours tell its corners."""
    corners = np.zeros((48, 64, 3), np.uint8)
    corners[:24, :32], corners[:24, 32:], corners[24:, :32] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    jpeg = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(corners).save(jpeg, "JPEG", quality=95, exif=exif)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_mux_stream("mjpeg", rate=25, width=64, height=48)
        for number in range(5):
            packet = av.Packet(jpeg.getvalue())
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.duration, packet.is_keyframe = 1, True
            output.mux(packet)
    return buffer.getvalue(), Image.open(jpeg)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("container", ["avi", "mov", "matroska"])
def test_pictures_of_cameras_are_turned_and_mirrored_as_their_exif_says(container, orientation):
    """Their frames have side data of a kind that PyAV has no name for."""
    content, picture = motion_jpeg(container, orientation)
    expected = np.asarray(ImageOps.exif_transpose(picture))

    (segment,) = decode_segments(io.BytesIO(content), REQUEST)

    assert segment.thumbnail.shape == expected.shape
    assert np.abs(segment.thumbnail.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(("height", "expected"), [(128, 0), (64, 127)])
def test_interlaced_frames_are_shown_without_combs(height, expected):
    """Rows of two moments do not mix, where half of them are enough for the model."""
    combed = np.zeros((height, 64, 3), np.uint8)
    combed[1::2] = 255
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as output:
        stream = output.add_stream("mpeg2video", rate=25, bit_rate=20_000_000)
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        for _ in range(10):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(combed, "rgb24")))
        output.mux(stream.encode(None))

    (segment,) = decode_segments(io.BytesIO(buffer.getvalue()), REQUEST)

    assert segment.frames.mean() == pytest.approx(expected, abs=8)
