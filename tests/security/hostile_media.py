"""Files made to hurt whoever opens them: no corpus is kept, each is generated.

Every generator gives names and bytes. `canary` stands for a server on this machine that nobody may
talk to, `secret` for a file that nobody may read.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from tests.xclip.video.conftest import encode, endless_gif, numbered_clip

Files = Iterator[tuple[str, bytes]]


def ordinary_videos() -> dict[str, bytes]:
    """Eleven numbered pictures in each of the usual containers: what the rest is made from."""
    kinds = {
        "mp4": ("mp4", "libx264"),
        "hevc": ("mp4", "libx265"),
        "webm": ("webm", "libvpx-vp9"),
        "mkv": ("matroska", "mpeg4"),
        "avi": ("avi", "mpeg4"),
        "ts": ("mpegts", "libx264"),
        "mpg": ("mpeg", "mpeg1video"),
        "flv": ("flv", "flv"),
        "asf": ("asf", "wmv2"),
        "gif": ("gif", "gif"),
    }
    simple = {"mkv", "avi", "flv", "asf", "gif", "webm"}
    return {
        name: numbered_clip(
            11, container=container, codec=codec, b_frames=0 if name in simple else 2
        )
        for name, (container, codec) in kinds.items()
    }


def truncated(videos: dict[str, bytes], cuts: int) -> Files:
    """Each video cut at `cuts` places, the first bytes and the last one among them."""
    for name, content in videos.items():
        places = np.linspace(1, len(content) - 1, cuts).astype(int)
        for place in sorted({4, 12, *places.tolist()}):
            yield f"{name} cut at {place}", content[:place]


def flipped(videos: dict[str, bytes], copies: int, seed: int) -> Files:
    """`copies` of each video with one to thirty bits turned, half of them near the start."""
    for name, content in videos.items():
        for copy in range(copies):
            dice = random.Random(f"{seed} {name} {copy}")
            damaged = bytearray(content)
            reach = min(len(content), 600) if copy % 2 else len(content)
            for _ in range(dice.randint(1, 30)):
                damaged[dice.randrange(reach)] ^= 1 << dice.randrange(8)
            yield f"{name} with flipped bits, seed {seed}, copy {copy}", bytes(damaged)


# Paths of MP4 boxes that hold boxes.
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl")


def with_box(content: bytes, path: tuple[bytes, ...], replacement: bytes) -> bytes:
    """The MP4 with the first box at `path` replaced, and the sizes of those around it corrected."""
    for at, size, kind in _boxes(content):
        if kind != path[0]:
            continue
        inner = content[at + 8 : at + size]
        deeper = len(path) > 1
        new = box(kind, with_box(inner, path[1:], replacement)) if deeper else replacement
        return content[:at] + new + content[at + size :]
    raise AssertionError(f"no box {path[0]!r}")


def find_box(content: bytes, path: tuple[bytes, ...]) -> bytes:
    """A whole box, header included."""
    for at, size, kind in _boxes(content):
        if kind == path[0]:
            if len(path) == 1:
                return content[at : at + size]
            return find_box(content[at + 8 : at + size], path[1:])
    raise AssertionError(f"no box {path[0]!r}")


def box(kind: bytes, content: bytes) -> bytes:
    """An MP4 box."""
    return struct.pack(">I", len(content) + 8) + kind + content


def _boxes(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + 8 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        yield at, size, content[at + 4 : at + 8]
        at += max(size, 8)


_STBL = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def absurd_headers(videos: dict[str, bytes]) -> Files:
    """Few bytes that announce a lot: samples, pixels, tracks, depth, sizes."""
    mp4 = videos["mp4"]
    samples = struct.pack(">III", 0, 1, 50_000_000)
    times = struct.pack(">IIII", 0, 1, 50_000_000, 512)
    many = with_box(mp4, (*_STBL, b"stsz"), box(b"stsz", samples))
    yield "50 million samples of one byte", many
    yield (
        "50 million samples with times",
        with_box(many, (*_STBL, b"stts"), box(b"stts", times)),
    )
    yield (
        "4 billion entries in every table",
        with_box(many, (*_STBL, b"stts"), box(b"stts", struct.pack(">II", 0, 0xFFFFFFFF))),
    )
    entry = find_box(mp4, (*_STBL, b"stsd"))
    at = entry.index(b"avc1") + 28
    largest = entry[:at] + b"\xff\xff\xff\xff" + entry[at + 4 :]
    yield "65535 by 65535 in the sample entry", with_box(mp4, (*_STBL, b"stsd"), largest)
    track = find_box(mp4, (b"moov", b"trak"))
    for count in (200, 20_000):
        yield f"{count} tracks", with_box(mp4, (b"moov", b"trak"), track * count)
    for kind in (b"moov", b"udta", b"trak", b"meta"):
        sizes = range(8 * 20_000, 0, -8)
        nest = b"".join(struct.pack(">I", size) + kind for size in sizes)
        yield f"{kind.decode()} in itself, 20000 deep", find_box(mp4, (b"ftyp",)) + nest
    yield "a box of 16 exabytes", mp4[:32] + b"\0\0\0\1mdat" + b"\x7f" * 8 + mp4[40:]
    yield "an EBML element of 2^56 bytes", videos["mkv"][:60] + b"\x01" + b"\xff" * 7
    yield (
        "EBML masters 5000 deep",
        videos["mkv"][:48] + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" * 5000,
    )
    yield "an AVI with a list of 4 GiB", videos["avi"][:16] + b"\xff" * 4 + videos["avi"][20:]


def bombs() -> Files:
    """Small files that want pictures, memory or time without end."""
    yield "a GIF of 16000 by 16000 in 60 bytes", endless_gif(1, 16000)
    yield "a GIF of 65535 by 65535", endless_gif(1, 65535)
    yield "a GIF of 6000 pictures of 3000 by 3000", endless_gif(6000, 3000)
    plain = np.full((5888, 5888, 3), 128, dtype=np.uint8)
    yield "MPEG-4 of 5888 by 5888", encode([plain], codec="mpeg4", b_frames=0)
    wide = np.full((5888, 6400, 3), 128, dtype=np.uint8)
    yield "MPEG-4 of 6400 by 5888", encode([wide], codec="mpeg4", b_frames=0)
    small = numbered_clip(6, container="mpegts", codec="mpeg2video", gop=3)
    large = encode([plain[:4080, :4080]], container="mpegts", codec="mpeg2video", b_frames=0)
    yield "pictures that grow a thousandfold", small + large + small


def references(secret: Path, http: int, udp: int, videos: dict[str, bytes]) -> Files:
    """Files that name a secret file or a server, in every language libav reads."""
    web = f"http://127.0.0.1:{http}"
    targets = {"file": str(secret), "URL": secret.as_uri(), "name": secret.name, "web": f"{web}/a"}
    for what, target in targets.items():
        yield (
            f"playlist of a {what}",
            (
                f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:9\n"
                f'#EXT-X-KEY:METHOD=AES-128,URI="{target}.key"\n#EXT-X-MAP:URI="{target}"\n'
                f"#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"
            ).encode(),
        )
        yield (
            f"master playlist of a {what}",
            f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n".encode(),
        )
        yield f"concat script of a {what}", f"ffconcat version 1.0\nfile '{target}'\n".encode()
        yield f"concat protocol of a {what}", f"concat:{target}|{target}".encode()
        yield f"subfile protocol of a {what}", f"subfile,,start,0,end,0,,:{target}".encode()
        yield (
            f"DASH manifest of a {what}",
            (
                '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
                'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="video/mp4">'
                f'<Representation id="1"><BaseURL>{target}</BaseURL></Representation>'
                "</AdaptationSet></Period></MPD>"
            ).encode(),
        )
        yield (
            f"SVG of a {what}",
            f"<svg xmlns='http://www.w3.org/2000/svg'><image href='{target}'/></svg>".encode(),
        )
        yield f"MP4 whose pictures lie in a {what}", _elsewhere(videos["mp4"], target)
    yield (
        "session description",
        (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=video {udp} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        ).encode(),
    )
    yield "RTSP pointer", f"RTSPtext\nrtsp://127.0.0.1:{http}/a\n".encode()
    yield "image sequence", b"image2:/tmp/%d.png"


def _elsewhere(mp4: bytes, target: str) -> bytes:
    """The MP4's samples declared to be in another file (a data reference that is not "here"), and
    wiped out in this one: whoever shows pictures has followed the reference."""
    samples = find_box(mp4, (b"mdat",))
    mp4 = mp4.replace(samples, box(b"mdat", bytes(len(samples) - 8)))
    entry = box(b"url ", struct.pack(">I", 0) + target.encode() + b"\0")
    return with_box(
        mp4,
        (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"),
        box(b"dref", struct.pack(">II", 0, 1) + entry),
    )


def no_videos(videos: dict[str, bytes]) -> Files:
    """What is not a video at all."""
    yield "nothing", b""
    yield "one byte", b"\0"
    yield "a megabyte of zeros", bytes(1 << 20)
    yield "a megabyte of noise", np.random.default_rng(0).bytes(1 << 20)
    yield "text", b"The quick brown fox jumps over the lazy dog.\n" * 500
    yield "terminal art", b"\x1b[2J\x1b[31msecret\x1b[0m\n" * 500
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("video.mp4", bytes(10 << 20))
    yield "a zip bomb", archive.getvalue()
    yield "HTML", b"<!doctype html><script>alert(1)</script>" + b" " * 4096
    yield "a program", Path("/bin/true").read_bytes()
    yield "raw H.264", numbered_clip(5, container="h264")
    yield "HTML before a video", b"<!doctype html><script>alert(1)</script>" + videos["mp4"]
    yield "a playlist before a video", b"#EXTM3U\n#EXTINF:9,\n/etc/passwd\n" + videos["ts"]
    sound = io.BytesIO()
    with av.open(sound, "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
    yield "sound", sound.getvalue()


def polyglots(videos: dict[str, bytes]) -> Files:
    """Videos that are something else besides: they may be decoded, as video and nothing else."""
    script = b"<script>fetch('/v1/collections')</script>"
    yield "an MP4 with HTML in a free box", videos["mp4"] + box(b"free", script)
    yield "an MP4 with an archive behind", videos["mp4"] + b"PK\5\6" + bytes(18)
    yield "a GIF that is a script", videos["gif"] + b"/*" + script
    yield "two videos in one file", videos["mp4"] + videos["webm"]
