"""An interval of a video is copied packet by packet: the same frames, from a key frame on."""

import io
import os
from itertools import pairwise

import av
import numpy as np
import pytest

from tests.security import hostile_media
from tests.xclip.video.mp4_boxes import joined, with_parameter_sets_in_band
from xclip.errors import (
    DecoderCrashed,
    NoDecodableFrame,
    NotCuttable,
    UnreadableVideo,
    VideoError,
    VideoTooLarge,
)
from xclip.video.containers import Limits
from xclip.video.cut import Cut, CutRequest, cut
from xclip.video.probe import probe
from xclip.video.sandbox.child import cut_in_child
from xclip.video.sandbox.process import start_fork_server

RATE, GOP, COUNT = 25, 8, 50
MAX_BYTES = 50 << 20
KINDS = [
    ("mp4", "libx264", 2, "mp4"),
    ("mp4", "libx265", 2, "mp4"),
    ("mov", "libx264", 0, "mp4"),
    ("matroska", "libx264", 2, "mp4"),
    ("matroska", "mpeg4", 0, "mp4"),
    ("webm", "libvpx-vp9", 0, "webm"),
    ("webm", "libvpx", 0, "webm"),
]


def shown_frames(content):
    """When each frame is shown, in seconds, and its pixels."""
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        return [
            (float(frame.pts * stream.time_base), frame.to_ndarray(format="gray"))
            for frame in container.decode(stream)
        ]


def cut_out(content, start_s, end_s, max_bytes=MAX_BYTES):
    target = io.BytesIO()
    done = cut(io.BytesIO(content), target, CutRequest(start_s, end_s, max_bytes))
    return done, target.getvalue()


@pytest.mark.parametrize(("container", "codec", "b_frames", "expected"), KINDS)
def test_the_copy_shows_the_frames_of_the_source(clips, container, codec, b_frames, expected):
    """Bit by bit the same, at the same times, from the last key at or before the start."""
    content = clips.numbered(COUNT, container=container, codec=codec, b_frames=b_frames, gop=GOP)
    source = shown_frames(content)
    for start_s, end_s in ((0.0, 0.5), (0.9, 1.31), (1.6, 99.0)):
        done, copy = cut_out(content, start_s, end_s)
        assert done.container == expected
        assert start_s - GOP / RATE < done.start_s <= start_s
        assert min(end_s, COUNT / RATE) <= done.end_s + 1e-6 < end_s + 0.2
        shown = shown_frames(copy)
        assert shown[0][0] == 0.0
        for at, pixels in shown:
            number = round((at + done.start_s) * RATE)
            assert source[number][0] - source[0][0] == pytest.approx(at + done.start_s, abs=2e-3)
            np.testing.assert_array_equal(pixels, source[number][1])
        assert len(shown) == round((done.end_s - done.start_s) * RATE)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("webm", "libvpx-vp9")])
def test_the_index_comes_before_the_frames(clips, container, codec):
    """So that a player can begin, and seek, while the rest is still on its way."""
    content = clips.numbered(COUNT, container=container, codec=codec, b_frames=0)
    _, copy = cut_out(content, 0.5, 2.0)
    if container == "mp4":
        assert copy.index(b"moov") < copy.index(b"mdat")
    else:
        cues, first_cluster = copy.index(b"\x1c\x53\xbb\x6b"), copy.index(b"\x1f\x43\xb6\x75")
        assert cues < first_cluster
    with av.open(io.BytesIO(copy)) as opened:
        stream = opened.streams.video[0]
        opened.seek(round(1 / stream.time_base), stream=stream)
        assert float(next(opened.decode(stream)).pts * stream.time_base) > 0.5


def test_the_same_cut_is_the_same_bytes(clips):
    """Ranges of it may be requested one by one, and are cut each time."""
    for content in (clips.numbered(60), clips.numbered(60, container="webm", codec="libvpx-vp9")):
        assert cut_out(content, 0.7, 1.9) == cut_out(content, 0.7, 1.9)


def with_sound(clips, codec="aac", container="mp4", seconds=4):
    """A numbered clip with a tone that gets louder."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        video = output.add_stream("mpeg4", rate=RATE)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio = output.add_stream(codec, rate=48_000, layout="mono")
        for number in range(seconds * RATE):
            frame = av.VideoFrame.from_ndarray(clips.image(number), "rgb24")
            output.mux(video.encode(frame))
        for block in range(seconds * 48_000 // 960):
            at = np.arange(block * 960, (block + 1) * 960) / 48_000
            wave = (at / seconds * np.sin(2 * np.pi * 440 * at)).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 48_000, block * 960
            output.mux(audio.encode(sound))
        output.mux(video.encode())
        output.mux(audio.encode())
    return buffer.getvalue()


def test_sound_goes_along_and_stays_in_step(clips):
    """The tone's loudness tells the time; what the copy cannot hold is left out."""
    done, copy = cut_out(with_sound(clips), 2.0, 3.0)
    with av.open(io.BytesIO(copy)) as opened:
        for frame in opened.decode(opened.streams.audio[0]):
            middle_s = float(frame.pts * frame.time_base) + frame.samples / 96_000 + done.start_s
            loudness = float(np.abs(frame.to_ndarray()).max())
            if 2.2 < middle_s < 2.8:
                assert loudness == pytest.approx(middle_s / 4, abs=0.05)
    _, silent = cut_out(with_sound(clips, "pcm_s16le", "mov"), 2.0, 3.0)
    with av.open(io.BytesIO(silent)) as opened:
        assert [stream.type for stream in opened.streams] == ["video"]


@pytest.mark.parametrize(
    ("container", "codec"),
    [("avi", "mpeg4"), ("mpegts", "libx264"), ("gif", "gif"), ("matroska", "ffv1")],
)
def test_what_no_clip_can_hold_is_refused(clips, container, codec):
    """By a code of its own: nothing is coded anew in secret."""
    content = clips.numbered(10, container=container, codec=codec, b_frames=0)
    with pytest.raises(NotCuttable):
        cut_out(content, 0, 1)


def test_what_is_not_there_or_too_much_is_refused(clips):
    """An interval after the end, more bytes than allowed, and bytes that are no video."""
    content = clips.numbered(50)
    with pytest.raises(NoDecodableFrame):
        cut_out(content, 5.0, 6.0)
    with pytest.raises(VideoTooLarge):
        cut_out(content, 0.0, 2.0, max_bytes=10_000)
    with pytest.raises(UnreadableVideo):
        cut_out(b"RIFF" * 100, 0.0, 2.0)


def test_real_clips_are_cut_to_what_they_show(real_clips):
    """Every other of the real files, odd ones too: the same kind of frames, or a code."""
    start_fork_server()
    cuts = 0
    for path in sorted(real_clips.glob("*.*"))[::2]:
        content = path.read_bytes()
        try:
            found = probe(io.BytesIO(content), Limits()).info
            done, copy = cut_out(content, found.duration_s * 0.4, found.duration_s * 0.7)
        except VideoError:
            continue
        cuts += 1
        info = probe(io.BytesIO(copy), Limits()).info
        assert (info.codec, info.width, info.height) == (found.codec, found.width, found.height)
        assert info.rotation == found.rotation, path.name
        assert info.duration_s == pytest.approx(done.end_s - done.start_s, abs=0.2), path.name
    assert cuts > 25


def test_a_frame_stands_until_the_next_one_is_shown(clips):
    """Also in an interval in which none begins, and whatever the packets say of durations."""
    times = [*range(25), *range(200, 225)]
    for container, codec, b_frames in (("webm", "libvpx", 0), ("mp4", "libx264", 2)):
        content = clips.numbered(
            50, container=container, codec=codec, b_frames=b_frames, times=times
        )
        for start_s, end_s, expected in ((3, 5, 8.0), (0.5, 5, 8.0), (7, 8.5, 8.5)):
            done, copy = cut_out(content, start_s, end_s)
            assert expected - 2e-3 < done.end_s < expected + 0.2
            with av.open(io.BytesIO(copy)) as opened:
                length_s = opened.duration / av.time_base
            assert length_s == pytest.approx(done.end_s - done.start_s, abs=2e-3)


@pytest.mark.parametrize(
    ("codec", "parameters", "described", "in_band"),
    [("libx265", "x265-params", "hvc1", "hev1"), ("libx264", "x264-params", "avc1", "avc3")],
)
def test_a_clip_says_where_its_parameter_sets_are(clips, codec, parameters, described, in_band):
    """A player that looks for them in the description would not open a clip without."""
    options = {parameters: "repeat-headers=1:log-level=error"}
    content = clips.numbered(COUNT, codec=codec, gop=GOP, options=options)
    for source, tag in ((content, described), (with_parameter_sets_in_band(content), in_band)):
        _, copy = cut_out(source, 0.9, 1.5)
        with av.open(io.BytesIO(copy)) as opened:
            assert opened.streams.video[0].codec_context.codec_tag == tag
            assert len(list(opened.decode(video=0))) >= 15


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libvpx-vp9", "libsvtav1"])
def test_a_clip_begins_with_a_key_frame_whatever_the_container_marks(clips, codec):
    """An mp4 without a table of key frames marks all frames; most of them need others."""
    content = without_marks(clips.numbered(COUNT, codec=codec, gop=GOP, b_frames=0))
    done, copy = cut_out(content, 0.9, 1.5)
    expected = [pixels for at, pixels in shown_frames(content) if done.start_s <= at + 1e-6 < 1.5]
    np.testing.assert_array_equal([pixels for _, pixels in shown_frames(copy)], expected)


def test_without_a_key_frame_there_is_no_clip(clips):
    """A part of a broadcast that begins between two: it is not damaged, and plays."""
    with av.open(io.BytesIO(clips.numbered(COUNT, gop=1000))) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size][10:]
        content = copied(source.streams.video[0], packets)
    with pytest.raises(NotCuttable, match="no frame here"):
        cut_out(content, 0.5, 1.0)


def without_marks(content):
    with av.open(io.BytesIO(content)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for packet in packets:
            packet.is_keyframe = False
        return copied(source.streams.video[0], packets)


def copied(stream, packets):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        target = output.add_stream_from_template(stream, opaque=True)
        for packet in packets:
            packet.stream = target
            output.mux(packet)
    return buffer.getvalue()


def test_a_file_that_changes_its_decoder_settings_is_not_cuttable(clips):
    """Before the change and after it a clip can be had, across it none."""
    one, other = (
        clips.numbered(25, first=first, b_frames=0, gop=GOP, options={"x264-params": f"cabac={n}"})
        for n, first in enumerate((0, 25))
    )
    content = joined(one, other)
    with av.open(io.BytesIO(content)) as opened:
        assert len(list(opened.decode(video=0))) == 50
    with pytest.raises(NotCuttable, match="decoder settings"):
        cut_out(content, 0.5, 1.5)
    done, _ = cut_out(content, 0.1, 0.5)
    assert done.end_s < 1.0


@pytest.fixture
def target(tmp_path):
    descriptor = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def test_a_confined_process_writes_the_same(clips, tmp_path, target):
    """It gets the file to read, the file to write and a pipe."""
    content = clips.numbered(COUNT)
    (tmp_path / "clip").write_bytes(content)
    done = cut_in_child(tmp_path / "clip", target, CutRequest(1, 1.5, MAX_BYTES), wall_clock_s=30)
    expected, copy = cut_out(content, 1, 1.5)
    assert isinstance(done, Cut)
    assert done == expected
    assert (tmp_path / "target").read_bytes() == copy


def test_a_confined_process_tells_what_is_wrong(tmp_path, target):
    """The leaf of VideoError arrives, not a crash."""
    (tmp_path / "clip").write_bytes(b"no video")
    with pytest.raises(UnreadableVideo):
        cut_in_child(tmp_path / "clip", target, CutRequest(0, 1, MAX_BYTES), wall_clock_s=30)


def test_hostile_files_are_cut_or_refused_and_write_no_more_than_allowed(tmp_path, target):
    """Cut short, bits flipped, absurd headers: a code or a clip, in time, and no process dies."""
    start_fork_server()
    ordinary = hostile_media.ordinary_videos()
    videos = {
        name: content
        for name, content in ordinary.items()
        if name in ("mp4", "hevc", "webm", "mkv")
    }
    files = [
        *hostile_media.truncated(videos, 3),
        *hostile_media.flipped(videos, 4, seed=7),
        *hostile_media.absurd_headers(ordinary),
    ]
    most = 200_000
    refused = 0
    for name, content in files:
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
        (tmp_path / "hostile").write_bytes(content)
        try:
            cut_in_child(tmp_path / "hostile", target, CutRequest(0.1, 0.3, most), wall_clock_s=10)
        except DecoderCrashed as error:
            raise AssertionError(name) from error
        except VideoError:
            refused += 1
        assert os.fstat(target).st_size <= most, name
    assert 0 < refused < len(files)


def test_decode_times_ascend_and_precede_what_is_shown(clips):
    """As muxers want it, also for a matroska, which has no decode times of its own."""
    _, copy = cut_out(clips.numbered(COUNT, container="matroska", b_frames=2), 0.5, 1.5)
    with av.open(io.BytesIO(copy)) as opened:
        stamps = [(each.dts, each.pts) for each in opened.demux(video=0) if each.size]
    assert all(one[0] < other[0] for one, other in pairwise(stamps))
    assert all(decoded <= shown for decoded, shown in stamps)
