"""Damage costs what it hit and nothing else, and the video says how many seconds that was."""

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xclip.errors import VideoError
from xclip.preprocess import FrameGeometry
from xclip.video.containers import Limits
from xclip.video.decode import DecodeRequest, Segments
from xclip.video.probe import probe
from xclip.video.sampling import Segmentation
from xclip.video.sandbox.child import decode_in_child


def lost_s(content, request):
    file = io.BytesIO(content)
    segments = Segments(file, probe(file, Limits()), request)
    assert list(segments)
    return segments.lost_s


def textured(clips, **options):
    """Ten seconds of a moving texture: two hundred kilobytes, not two."""
    texture = np.random.default_rng(5).integers(0, 255, (96, 900, 3), dtype=np.uint8)
    images = [np.ascontiguousarray(texture[:, 3 * k : 3 * k + 96]) for k in range(250)]
    return clips.encode(images, **options)


def remuxed(content, path, *, skip=0, **options):
    """The same frames in an mp4 file with other options, without the first `skip` packets."""
    with (
        av.open(io.BytesIO(content)) as source,
        av.open(str(path), "w", format="mp4", options=options) as output,
    ):
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number >= skip:
                packet.stream = stream
                output.mux(packet)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"),
        ("mp4", "libx265"),
        ("webm", "libvpx"),
        ("mpegts", "mpeg2video"),
        ("avi", "mpeg4"),
        ("flv", "libx264"),
    ],
)
def test_nothing_is_lost_of_a_whole_file(clips, make_request, container, codec):
    """Frames that are skipped on purpose, and codecs' own tricks, are no damage."""
    assert lost_s(clips.numbered(75, container=container, codec=codec), make_request()) == 0.0


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"),
        ("mp4", "libx265"),
        ("mpegts", "libx264"),
        ("mpegts", "mpeg2video"),
    ],
)
def test_a_hole_in_the_middle_is_measured(clips, make_request, container, codec):
    """A fifth of ten seconds overwritten: two seconds are lost, as far as a sample every quarter
    of a second and the next key frame tell, and the video keeps its length."""
    content = bytearray(textured(clips, container=container, codec=codec))
    middle, hole = len(content) // 2, len(content) // 5
    content[middle : middle + hole] = np.random.default_rng(3).bytes(hole)

    assert lost_s(bytes(content), make_request()) == pytest.approx(2.0, abs=0.8)
    assert probe(io.BytesIO(content), Limits()).info.duration_s == pytest.approx(10.0)


def test_an_index_at_the_front_tells_what_was_cut_off(clips, make_request, tmp_path):
    """An upload that broke off after three fifths: the rest of the ten seconds is lost."""
    content = remuxed(textured(clips), tmp_path / "clip.mp4", movflags="faststart")

    cut = content[: len(content) * 3 // 5]

    remaining_s = probe(io.BytesIO(cut), Limits()).info.duration_s
    assert 5.0 < remaining_s < 7.0
    assert lost_s(cut, make_request()) == pytest.approx(10.0 - remaining_s, abs=0.3)


@pytest.fixture(scope="module")
def whole(clips, tmp_path_factory):
    """Three seconds, with the index in front."""
    content = clips.numbered(75, gop=25)
    return remuxed(content, tmp_path_factory.mktemp("whole") / "clip.mp4", movflags="faststart")


@settings(max_examples=25, deadline=None)
@given(
    left=st.floats(0.2, 1.0),
    holes=st.lists(st.tuples(st.floats(0.1, 1.0), st.integers(1, 400)), max_size=4),
    promised=st.sampled_from([None, 0, 1, 1 << 20, (1 << 32) - 1]),
)
def test_what_is_lost_is_part_of_what_there_is_or_was_promised(whole, left, holes, promised):
    """Wherever a file is damaged or cut off, and whatever its index says."""
    content = bytearray(whole)
    if promised is not None:  # the duration of the track's frames, a minute at 12,800 a second
        content[(at := content.index(b"mdhd") + 20) : at + 4] = promised.to_bytes(4)
    for place, length in holes:
        at = max(content.index(b"mdat") + 4, int(place * len(content)))
        content[at : at + length] = bytes(len(content[at : at + length]))
    file = io.BytesIO(content[: int(left * len(content))])
    request = DecodeRequest(Segmentation(1.0, 0.5), 2, FrameGeometry(64, 64))
    try:
        found = probe(file, Limits())
        segments = Segments(file, found, request)
        list(segments)
    except VideoError:
        return

    in_the_video_s = segments.lost_s - found.cut_off_s
    assert 0.0 <= in_the_video_s <= found.info.duration_s + 1e-9
    assert 0.0 <= found.cut_off_s <= Limits().max_duration_s
    assert segments.lost_s == 0.0 or holes or left < 1.0 or promised


def test_a_video_that_begins_without_a_key_frame_has_lost_its_beginning(
    clips, make_request, tmp_path
):
    """The first frame that can be decoded is shown until its time comes."""
    content = clips.numbered(75, b_frames=0, gop=25)

    late = remuxed(content, tmp_path / "clip.mp4", skip=5)

    assert probe(io.BytesIO(late), Limits()).info.frame_count == 70
    assert lost_s(late, make_request()) == pytest.approx(20 / 25, abs=0.35)


def test_the_loss_is_told_across_the_process_border(clips, make_request, tmp_path):
    """After the last segment, and not before."""
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    content = bytearray(textured(clips))
    whole.write_bytes(content)
    middle = len(content) // 2
    content[middle : middle + len(content) // 5] = bytes(len(content) // 5)
    damaged.write_bytes(content)

    with decode_in_child(whole, make_request(), wall_clock_s=60) as decoding:
        list(decoding)
    assert decoding.lost_s == 0.0
    with decode_in_child(damaged, make_request(), wall_clock_s=60) as decoding:
        next(decoding)
        assert decoding.lost_s == 0.0
        list(decoding)
    assert decoding.lost_s == pytest.approx(2.0, abs=0.8)
