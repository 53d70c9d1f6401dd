"""What is no video is named by what it is, from its first bytes."""

import io
import re
import tarfile
import zipfile

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xclip.errors import NoVideoStream, UnreadableVideo
from xclip.video.containers import Limits
from xclip.video.file_kinds import HEAD_BYTES, kind_of
from xclip.video.probe import probe


def picture(form):
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, form)
    return stream.getvalue()


def sound(container, codec):
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as output:
        track = output.add_stream(codec, rate=48000, layout="mono")
        form = track.codec_context.format.name if track.codec_context.format else "fltp"
        samples = {"s16": np.int16, "s32": np.int32}.get(form.removesuffix("p"), np.float32)
        for number in range(10):
            silence = np.zeros((1, 960), samples)
            frame = av.AudioFrame.from_ndarray(silence, format=form, layout="mono")
            frame.sample_rate, frame.pts = 48000, number * 960
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return stream.getvalue()


def raw_stream(form, codec):
    """Ten small pictures in a format that has no times, or that is not read."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=form) as output:
        track = output.add_stream(codec, rate=25)
        track.width, track.height = 176, 144  # one of the sizes that H.261 and H.263 have
        track.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(10):
            picture = np.full((144, 176, 3), number * 20, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            output.mux(track.encode(frame.reformat(format=track.pix_fmt)))
        output.mux(track.encode(None))
    return stream.getvalue()


def archive():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr("clip.mp4", b"x")
    return stream.getvalue()


def tape():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as opened:
        opened.addfile(tarfile.TarInfo("clip.mp4"))
    return stream.getvalue()


FILES = {
    "a web page": b"\n <!DOCTYPE html>\n<html><title>Sign in</title>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "a picture (JPEG)": picture("JPEG"),
    "a picture (PNG)": picture("PNG"),
    "a picture (WebP)": picture("WEBP"),
    "a picture (BMP)": picture("BMP"),
    "a picture (TIFF": picture("TIFF"),
    "a picture (SVG)": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "a zip archive": archive(),
    "an archive (tar)": tape(),
    "compressed (gzip)": b"\x1f\x8b\x08\0\0\0\0\0\0\3",
    "subtitles (WebVTT)": b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n",
    "subtitles (SubRip)": b"\xef\xbb\xbf1\r\n00:00:00,000 --> 00:00:01,000\r\nHello\r\n",
    "subtitles (ASS)": "[Script Info]\nTitle: é\n".encode("utf-16"),
    "a playlist (HLS)": b"#EXTM3U\n#EXTINF:9,\nother.mp4\n",
    "a playlist (DASH)": b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">',
    "a text file (JSON": b'{"error": "expired"}',
    "a text file": "Grüße von der Küste\n".encode() * 400,
    "sound without a picture (MP3)": sound("mp3", "libmp3lame"),
    "sound without a picture (WAV)": sound("wav", "pcm_s16le"),
    "sound without a picture (FLAC)": sound("flac", "flac"),
    "sound without a picture (AAC)": sound("adts", "aac"),
    "full of zeros": bytes(100_000),
    "a RealMedia video": b".RMF\0\0\0\x12" + bytes(100),
    "an AppleDouble file": b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(100),
    "a program": b"MZ\x90\0" + bytes(200),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_video_is_named(name):
    """The refusal says what the file is, whatever its name."""
    with pytest.raises(UnreadableVideo, match=r"^The file is .*[.]$") as refusal:
        probe(io.BytesIO(FILES[name]), Limits())
    assert str(refusal.value).startswith(f"The file is {name}")


@pytest.mark.parametrize(("container", "codec"), [("ogg", "libopus"), ("ipod", "aac")])
def test_a_video_container_of_sound_is_named(container, codec):
    """It opens, and holds no video."""
    with pytest.raises(NoVideoStream, match="sound"):
        probe(io.BytesIO(sound(container, codec)), Limits())


@pytest.mark.parametrize(
    ("container", "codec", "name"),
    [
        ("h264", "libx264", "H.264"),
        ("hevc", "libx265", "HEVC"),
        ("mpeg2video", "mpeg2video", "MPEG"),
        ("m4v", "mpeg4", "MPEG-4"),
        ("h261", "h261", "H.261"),
        ("h263", "h263", "H.263"),
        ("mjpeg", "mjpeg", "Motion JPEG"),
    ],
)
def test_raw_streams_are_named(container, codec, name):
    """Their decoders are here, their times are nowhere."""
    raw = raw_stream(container, codec)
    with pytest.raises(UnreadableVideo, match=f"a raw {re.escape(name)}.* without a container"):
        probe(io.BytesIO(raw), Limits())


@pytest.mark.parametrize(
    ("container", "codec", "name"),
    [
        ("nut", "mpeg4", "a NUT video"),
        ("wtv", "mpeg2video", "a recording of Windows"),
        ("rm", "rv10", "a RealMedia video"),
        ("smjpeg", "mjpeg", "a video of a game"),
    ],
)
def test_containers_that_are_not_read_are_named(container, codec, name):
    """They are videos, and another program turns them into one that is read."""
    with pytest.raises(UnreadableVideo, match=f"The file is {name}.*does not read"):
        probe(io.BytesIO(raw_stream(container, codec)), Limits())


# The first bytes of streams and containers that this libav writes in no way, or only large ones.
HEADS = {
    "raw VVC": "00000001 0079 000d0200",
    "raw VC-1": "0000010f c38b2ccc",
    "raw AVS": "000001b0 2020 4a0a",
    "raw AV1": "0e0c 0110 0a08 00000002afff8d5f30",
    "raw DNxHD": "00000280 01 0180a0",
    "raw ProRes": "00001000 69637066 0094",
    "raw Dirac": "42424344 00 00000011",
    "raw MPEG-4": "000001b6 100061",
    "raw H.264": "00000001 6588 8040",
    "GXF": "00000000 01bc 00000114",
    "Dahua": "44484156 fd000000",
    "surveillance": "48585653 80020000",
    "FLC": "00100000 12af 0100 4001c800 0800",
    "Bink": "42494b69 00100000",
    "Blu-ray": "4d504c53 30323030",
}


@pytest.mark.parametrize("name", HEADS)
def test_rare_streams_are_named(name):
    """By their first bytes alone."""
    assert name in (kind_of(bytes.fromhex(HEADS[name]) + bytes(100)) or "")


@given(st.binary(max_size=64))
def test_any_bytes_are_looked_at_without_harm(noise):
    """A sentence, or nothing."""
    kind = kind_of(noise)
    assert kind is None or kind.endswith(".")


def test_a_character_may_be_cut_in_two():
    """The head ends where it ends."""
    for begin in range(4):
        text = ("x" * begin + "€" * HEAD_BYTES).encode()
        assert kind_of(text[:HEAD_BYTES]) == "The file is a text file."
