"""Only video files are opened, and only they themselves; the stream is the one a player shows.

A playlist or a concat script makes libav open further files: an upload could read another one's.
"""

import io

import av
import numpy as np
import pytest

from xclip.errors import EmptyFile, NoVideoStream, UnreadableVideo, UnsupportedCodec, VideoTooLarge
from xclip.video.containers import Limits, packets
from xclip.video.decode import decode_segments
from xclip.video.probe import probe


def probed(content, limits=Limits()):  # noqa: B008 - frozen
    return probe(io.BytesIO(content), limits)


SCRIPTS = {
    "concat script": "ffconcat version 1.0\nfile other.mp4\n",
    "HLS playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.mp4\n#EXT-X-ENDLIST\n",
    "HLS over HTTP": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n",
    "session description": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 15004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "plain text": "a secret\n" * 500,
    "SVG": "<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>",
}


@pytest.mark.parametrize("extension", ["mp4", "m3u8", "txt", "ffconcat"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_files_that_name_other_files_are_refused(clips, tmp_path, monkeypatch, script, extension):
    """Whatever the name, with the other file in reach and readable."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.mp4").write_bytes(clips.numbered(5))
    upload = tmp_path / f"upload.{extension}"
    upload.write_text(script)

    with upload.open("rb") as file, pytest.raises(UnreadableVideo):
        probe(file, Limits())


def test_the_concat_script_really_would_have_been_followed(clips, tmp_path, monkeypatch):
    """Guards the test above: with libav's defaults the same bytes open the other file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.mp4").write_bytes(clips.numbered(5))
    (tmp_path / "upload.mp4").write_text(SCRIPTS["concat script"])

    with av.open(str(tmp_path / "upload.mp4")) as container:
        assert len(list(container.decode(video=0))) == 5


def test_raw_streams_without_timestamps_are_refused(clips):
    """A bare H.264 stream says nothing about when its frames are shown."""
    with pytest.raises(UnreadableVideo):
        probed(clips.numbered(5, container="h264"))


def test_an_empty_file_is_told_from_a_damaged_one():
    """Zero bytes have their own code."""
    with pytest.raises(EmptyFile):
        probed(b"")
    with pytest.raises(UnreadableVideo):
        probed(b"\0" * 4096)


def reason(content):
    with pytest.raises(UnreadableVideo) as refusal:
        probed(content)
    return str(refusal.value)


def test_an_mp4_cut_before_its_index_is_told_to_be_incomplete(clips):
    """The index is at the end; without it nothing can be found. Recorders that are switched off
    leave a length of zero, or the one of 64 bits that they had reserved."""
    content = clips.numbered(50)
    cut = content[: content.index(b"moov") - 4]
    header, length = cut.index(b"mdat") - 4, 8
    sizes = [b"\0\0\0\0mdat", b"\0\0\0\1mdat" + (1 << 40).to_bytes(8)]
    switched_off = [cut[:header] + size + cut[header + length :] for size in sizes]

    for incomplete in [content[:40], cut[:-100], cut, content[: len(cut) + 6], *switched_off]:
        assert reason(incomplete).startswith("The file is incomplete: its index (moov) is missing")


def test_an_mp4_that_is_damaged_otherwise_is_not_called_incomplete(clips):
    """Its index is there, or it is no video and needs none, as an image in AVIF."""
    content = clips.numbered(50)
    spoiled = content.replace(b"moov", b"noov")
    image = content[:32] + b"\0\0\0\x0cmeta\0\0\0\0"

    for damaged in (spoiled, image, b"\0\0\0\x08free" * 2000):
        assert reason(damaged).startswith("The file is damaged, incomplete or in a format")


def test_a_file_of_sound_holds_no_video():
    """Audio in a video container is no video."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44100, layout="mono")
        silence = np.zeros((1, 1024), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 44100
        output.mux([*stream.encode(frame), *stream.encode(None)])

    with pytest.raises(NoVideoStream):
        probed(buffer.getvalue())


def with_cover(clips, codecs):
    """An mp4 with one stream per codec, an mjpeg one being cover art of 640x480."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        for codec in codecs:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height = (640, 480) if codec == "mjpeg" else (64, 64)
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            if codec == "mjpeg":
                stream.disposition = av.stream.Disposition.attached_pic
        for stream in output.streams.video:
            for number in range(1 if stream.width == 640 else 10):
                image = clips.image(number, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts = number
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return buffer.getvalue()


def test_cover_art_is_not_the_video(clips):
    """A larger still image beside the video does not win, and alone it is no video."""
    assert probed(with_cover(clips, ["mjpeg", "mpeg4"])).info.codec == "mpeg4"
    with pytest.raises(NoVideoStream):
        probed(with_cover(clips, ["mjpeg"]))


def test_codecs_not_on_the_list_are_refused_by_name(clips):
    """The message names the codec."""
    content = clips.numbered(3, container="avi", codec="utvideo", b_frames=0)

    with pytest.raises(UnsupportedCodec, match="utvideo"):
        probed(content)


@pytest.mark.parametrize(
    "limits",
    [Limits(max_pixels=127 * 64), Limits(max_packets=9), Limits(max_duration_s=0.39)],
    ids=["pixels", "packets", "duration"],
)
def test_each_limit_refuses_what_exceeds_it(clips, limits):
    """Ten frames of 128x64, 0.4 s: one too many in each respect."""
    content = clips.numbered(10, width=128, height=64)

    with pytest.raises(VideoTooLarge):
        probed(content, limits)


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "mpeg4"),
        ("avi", "mjpeg"),
        ("mpegts", "mpeg2video"),
        ("flv", "flv"),
        ("mp4", "libx265"),
        ("webm", "libvpx"),
        ("gif", "gif"),
    ],
)
def test_too_many_pixels_are_called_so_whatever_the_codec(clips, container, codec):
    """Some files tell their size at once, of others it stays unknown when it is too large."""
    content = clips.numbered(6, width=128, container=container, codec=codec, b_frames=0)

    with pytest.raises(VideoTooLarge):
        probed(content, Limits(max_pixels=127 * 64))


def test_limits_take_what_just_fits(clips):
    """The same file, at the limits."""
    content = clips.numbered(10, width=128, height=64)

    found = probed(content, Limits(max_pixels=128 * 64, max_packets=10, max_duration_s=0.4001))

    assert found.info.frame_count == 10


def test_pixels_that_appear_only_while_decoding_are_limited_too(clips, make_request):
    """A header of 128x64 before frames of 640x640: the decoder refuses them, not the header."""
    small = clips.numbered(6, width=128, container="mpegts", gop=3)
    large = clips.numbered(6, width=640, height=640, container="mpegts", gop=3)

    def last_shown(limits):
        *_, last = decode_segments(io.BytesIO(small + large), make_request(limits=limits))
        return last.frames[-1]

    assert clips.number_in(last_shown(Limits(max_pixels=128 * 64))) < 6
    assert last_shown(Limits())[0, 0].tolist() == pytest.approx([128] * 3, abs=8)


class Stumbling:
    """A container that fails to read after every second packet of six, as often as requested."""

    def __init__(self, packets, error, times):
        self._packets = packets
        self._error = error
        self._times = times

    def demux(self, stream):
        while self._packets:
            if self._times and len(self._packets) % 2 == 0:
                self._times -= 1
                self._packets.pop()
                raise self._error
            yield self._packets.pop()


@pytest.mark.parametrize(
    "error", [av.error.InvalidDataError(1, "damaged"), IndexError("a late stream")]
)
@pytest.mark.parametrize(("errors", "packets_read"), [(0, 6), (2, 4), (3, 2)])
def test_reading_goes_on_behind_a_damaged_packet(clips, error, errors, packets_read):
    """A stand-in for libav: which bytes make it fail and then recover differs by build."""
    with av.open(io.BytesIO(clips.numbered(6, container="matroska"))) as container:
        stream = container.streams.video[0]
        real = [packet for packet in container.demux(stream) if packet.size]

        read = list(packets(Stumbling(real, error, errors), stream, Limits(damaged_packets=2)))

    assert len(read) == packets_read
