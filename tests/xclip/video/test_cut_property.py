"""Of any interval a clip opens and shows the source's frames, or the refusal says why not.

The files are of many containers, codecs, groups of frames and clocks; the real ones are tried too
where they are (see `real_clips`).
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

import av
import av.error
import pytest

from tests.xclip.video import mp4_boxes
from tests.xclip.video.conftest import encode, numbered_image
from xclip.errors import NoDecodableFrame, NotCuttable, VideoError
from xclip.video.containers import Limits, choose_stream, open_container
from xclip.video.cut import Cut, CutRequest, cut

MAX_BYTES = 200 << 20
COUNT = 90
# The suite tries six intervals of each kind of file and two of each real one; `make faults` tries
# more, and large files too, which take long to decode.
INTERVALS = int(os.environ.get("XCLIP_TEST_CUT_INTERVALS", "6"))
LARGE = 400_000 if INTERVALS == 6 else MAX_BYTES  # bytes of a real file
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


@dataclass(frozen=True)
class Shown:
    """A frame of a file: its second, and its pixels."""

    at: float
    pixels: bytes


@dataclass(frozen=True)
class Source:
    """What a file shows; sound : whether all of it decodes without complaint."""

    content: bytes
    frames: list[Shown]
    sound: bool


def decoded(content: bytes) -> tuple[list[Shown], bool]:
    """The frames in the order of their seconds, by the file's own clock."""
    found: list[Shown] = []
    sound = True
    with open_container(io.BytesIO(content), Limits()) as container:
        stream = choose_stream(container)
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                sound = False
                continue
            for frame in frames:
                sound = sound and not frame.is_corrupt and frame.pts is not None
                pixels = hashlib.sha256(frame.to_ndarray(format="gray").tobytes()).digest()
                found.append(Shown(float((frame.pts or 0) * stream.time_base), pixels))
    return found, sound


def source_of(content: bytes) -> Source:
    frames, sound = decoded(content)
    zero = min(frame.at for frame in frames)
    ordered = sorted((Shown(frame.at - zero, frame.pixels) for frame in frames), key=_second)
    return Source(content, ordered, sound)


def _second(frame: Shown) -> float:
    return frame.at


def check(source: Source, start_s: float, end_s: float) -> bool:
    """Cut the interval; whether there is a clip, which then must show what the source shows."""
    target = io.BytesIO()
    try:
        done = cut(io.BytesIO(source.content), target, CutRequest(start_s, end_s, MAX_BYTES))
    except NotCuttable:
        return False
    frames, sound = decoded(target.getvalue())
    assert frames, "the clip shows nothing"
    assert done.start_s <= max(start_s, source.frames[0].at) + 0.002
    assert done.end_s > start_s
    assert done.end_s >= min(end_s, source.frames[-1].at) - 0.002
    _check_length(target.getvalue(), done)
    if source.sound:
        assert sound
        shown = [Shown(round(each.at + done.start_s, 2), each.pixels) for each in frames]
        assert shown == [
            Shown(round(each.at, 2), each.pixels)
            for each in source.frames
            if done.start_s - 0.002 <= each.at < done.end_s - 0.002
        ]
    return True


def _check_length(clip: bytes, done: Cut) -> None:
    """A player's bar ends where the header says that the clip ends."""
    with av.open(io.BytesIO(clip)) as container:
        stream = container.streams.video[0]
        if stream.duration is not None:
            length_s = float(stream.duration * stream.time_base)
            assert length_s == pytest.approx(done.end_s - done.start_s, abs=0.002)


def sparse_times(seed: int, rate: int = 25) -> list[int]:
    """Stamps with gaps of any length, from one frame to ten seconds."""
    dice = random.Random(seed)
    times = [0]
    for _ in range(COUNT - 1):
        times.append(times[-1] + (1 if dice.random() < 0.8 else dice.randint(2, 10 * rate)))
    return times


def video(container: str, codec: str, **options: object) -> Callable[[], bytes]:
    return lambda: encode(
        [numbered_image(number, 96, 64) for number in range(COUNT)],
        container=container,
        codec=codec,
        **options,  # type: ignore[arg-type]
    )


def x264(parameters: str) -> dict[str, str]:
    return {"x264-params": parameters}


def x265(parameters: str) -> dict[str, str]:
    return {"x265-params": "log-level=error:" + parameters}


def edited(*edits: tuple[float, float], **options: object) -> Callable[[], bytes]:
    return lambda: mp4_boxes.with_edits(video("mp4", "libx264", **options)(), list(edits), 12800)


def overlapping_fragments() -> bytes:
    """A fragmented file whose later fragments begin before the ones before them end."""
    content = bytearray(video("mp4", "libx264", container_options=FRAGMENTED)())
    at = content.find(b"tfdt")
    while (at := content.find(b"tfdt", at + 1)) > 0:
        (time,) = struct.unpack_from(">Q", content, at + 8)
        struct.pack_into(">Q", content, at + 8, time - time // 5)
    return bytes(content)


PLAIN = {
    "h264": video("mp4", "libx264"),
    "h264, every frame a key": video("mp4", "libx264", gop=1, b_frames=0),
    "h264, one key": video("mp4", "libx264", gop=1000),
    "h264, pyramid": video("mp4", "libx264", b_frames=6, options=x264("b-pyramid=normal")),
    "h264 in mov": video("mov", "libx264", b_frames=0, gop=9),
    "h264 in mkv": video("matroska", "libx264", b_frames=3),
    "h264 in flv": video("flv", "libx264", b_frames=2),
    "h264, sparse, in flv": video("flv", "libx264", times=sparse_times(6)),
    "h264 in fragments": video("mp4", "libx264", container_options=FRAGMENTED),
    "h264, sparse": video("mp4", "libx264", times=sparse_times(1)),
    "h264, sparse, in mkv": video("matroska", "libx264", times=sparse_times(2)),
    "h264, sparse, in fragments": video(
        "mp4", "libx264", times=sparse_times(3), container_options=FRAGMENTED
    ),
    "h264, parameters in band": lambda: mp4_boxes.with_parameter_sets_in_band(
        video("mp4", "libx264", options=x264("repeat-headers=1"))()
    ),
    "h264, end cut off": edited((2.0, 0.58)),
    "h264, begins between keys": edited((3.0, 0.38)),
    "hevc": video("mp4", "libx265", options=x265("")),
    "hevc, closed": video("mp4", "libx265", options=x265("open-gop=0")),
    "hevc, parameters in band": lambda: mp4_boxes.with_parameter_sets_in_band(
        video("mp4", "libx265", options=x265("repeat-headers=1"))()
    ),
    "hevc in mkv": video("matroska", "libx265", options=x265("")),
    "mpeg4": video("mp4", "mpeg4"),
    "mpeg4 in mkv": video("matroska", "mpeg4", b_frames=0),
    "vp8": video("webm", "libvpx", b_frames=0),
    "vp8, hidden frames": video(
        "webm", "libvpx", b_frames=0, options={"auto-alt-ref": "1", "lag-in-frames": "16"}
    ),
    "vp8, sparse": video("webm", "libvpx", b_frames=0, times=sparse_times(4)),
    "vp9": video("webm", "libvpx-vp9", b_frames=0),
    "vp9 in mp4": video("mp4", "libvpx-vp9", b_frames=0),
    "vp9, sparse": video("webm", "libvpx-vp9", b_frames=0, times=sparse_times(5)),
    "av1": video("mp4", "libsvtav1", b_frames=0, options={"preset": "12"}),
    "av1 in webm": video("webm", "libsvtav1", b_frames=0, options={"preset": "12"}),
}
ODD = {
    "h264, open": video("mp4", "libx264", gop=10, options=x264("open-gop=1")),
    "h264, open, in mkv": video("matroska", "libx264", gop=10, options=x264("open-gop=1")),
    "h264, refreshed": video("mp4", "libx264", gop=20, options=x264("intra-refresh=1")),
    "h264, two edits": edited((1.0, 1.58), (0.5, 2.08)),
    "h264, three edits": edited((0.6, 0.78), (0.6, 0.38), (0.6, 2.08)),
    "h264, three edits of keys": edited((0.6, 0.8), (0.6, 0.2), (0.6, 2.0), gop=1, b_frames=0),
    "h264, fragments overlap": overlapping_fragments,
}


@pytest.mark.parametrize("name", [*PLAIN, *ODD])
def test_of_any_interval_a_clip_shows_the_frames_of_the_source(name: str) -> None:
    """Or it is `not_cuttable`, which intervals of ordinary files never are."""
    source = source_of((PLAIN | ODD)[name]())
    end_s = source.frames[-1].at + 0.04
    dice = random.Random(name)
    for number in range(INTERVALS):
        start_s = dice.uniform(0, end_s - 0.05) if number else 0.0
        length_s = dice.choice([0.01, 0.1, 0.7, 3.0, 60.0])
        is_cut = check(source, start_s, start_s + length_s)
        assert is_cut or name in ODD, (start_s, length_s)


@pytest.mark.timeout(3000)
def test_of_any_interval_of_a_real_file_a_clip_shows_its_frames(real_clips) -> None:
    """Every file of the folder that decodes, odd and damaged ones too."""
    tried = cuts = 0
    for path in sorted(real_clips.glob("*.*")):
        content = path.read_bytes()
        if len(content) > LARGE:
            continue
        dice = random.Random(path.name)
        try:
            source = source_of(content)
        except (VideoError, ValueError, av.error.FFmpegError):
            continue
        for _ in range(INTERVALS // 3):
            start_s = dice.uniform(0, source.frames[-1].at)
            tried += 1
            try:
                cuts += check(source, start_s, start_s + dice.choice([0.1, 1.0, 5.0]))
            except NoDecodableFrame:
                assert not source.sound
            except AssertionError as error:
                raise AssertionError(f"{path.name} from {start_s} s") from error
    assert cuts > 5 * INTERVALS
