"""Cut planning: which packets a clip is copied from, and when their frames are shown.

A copy can only begin at a frame that needs no other, so it begins at the last such frame from which
the frame on screen at the requested start is reached. Stamps are in units of the frames' time base.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

from xclip.errors import NoDecodableFrame, NotCuttable, VideoTooLarge
from xclip.video.containers import Limits, container_end_s
from xclip.video.cut_source import CopiedPacket, CutSource, OpenSource, tick
from xclip.video.key_frames import is_key_frame
from xclip.video.timeline import last_frame_s

_STEPS_BACK_S = (0, 2, 8, 30, 120)  # tried in turn while a seek finds a key that is shown too late
_FIRST_PACKETS = 100  # among which the first frame shown must be
_MOST_REORDERED = 16  # frames decoded before one that they are shown after, in any codec
_INTERLEAVED_S = 10  # how far sound may lie behind its frames: as long as fragments are


@dataclass(frozen=True, slots=True)
class FramePacket:
    """A packet of the video stream.

    decoded : its decode time, None if unknown
    lasts : what it says of its duration, 0 for nothing
    hidden : it is decoded for others' sake and never shown
    """

    stamp: int
    decoded: int | None
    lasts: int
    is_key: bool
    hidden: bool


@dataclass(frozen=True, slots=True)
class CutPlan:
    """Which packets are copied, and when they are shown.

    origin : the stamp of the source's first frame
    seek : the stamp to seek to; None to read from the start
    packets : how many are read from there
    skipped : packets of frames after the seek, before the first one that is copied
    frames : those from there on in the order of decoding, None for one that is left out
    start, end : stamps of the first frame shown, and of the end of the last
    sounds : at most so many packets of sound
    """

    origin: int
    seek: int | None
    packets: int
    skipped: int
    frames: tuple[FramePacket | None, ...]
    start: int
    end: int
    sounds: int

    @property
    def ends_hidden(self) -> bool:
        """Whether frames are copied that would be shown after the last one that is to be shown."""
        return any(each is not None and each.stamp >= self.end for each in self.frames)

    def shown(self) -> list[int]:
        """The stamps of the frames that the copy shows, ascending."""
        return sorted(each.stamp for each in self.frames if each is not None and not each.hidden)


@dataclass(frozen=True, slots=True)
class _Read:
    """What followed a seek: `packets` in all, of which `frames` are video and the others sound.

    seek : as in CutPlan
    renewed : the first frame that is decoded with other settings than the file's, None without
    ends : the stamp at which the container says that it ends, if it does
    in_fragments : whether the frames' times are not in one index but each part's in its own
    """

    seek: int | None
    frames: list[FramePacket]
    packets: int
    renewed: int | None
    ends: int | None
    in_fragments: bool


def plan_cut(source: CutSource, start_s: float, end_s: float) -> CutPlan:
    """The plan for an interval in seconds from the first frame shown.

    Raises NotCuttable where no copy shows the source's frames, NoDecodableFrame for an interval
    without any, and VideoTooLarge.
    """
    with source.opened() as first:
        origin, unit = _origin(first), tick(first.stream)
    start = origin + floor(Fraction(start_s) / unit)
    end = origin + ceil(Fraction(end_s) / unit)
    read = _read_around(source, origin, start, end, unit)
    first_copied = _entry(read.frames, _on_screen(read.frames, start))
    if first_copied is None:  # the video begins with frames that need others
        first_copied = next((n for n, each in enumerate(read.frames) if each.is_key), None)
    if first_copied is None:
        raise NotCuttable("The file has no frame here that a copy could begin with.")
    plan = _plan(read, origin, first_copied, end, unit, source.limits)
    if plan.end <= start:
        raise NoDecodableFrame("The interval begins after the video's end.")
    return plan


def _read_around(source: CutSource, origin: int, start: int, end: int, unit: Fraction) -> _Read:
    """The packets of the interval, from at least its entry on, if the file has one."""
    for step_s in _STEPS_BACK_S:
        read = _look_through(source, start - ceil(step_s / unit), end)
        first_copied = _entry(read.frames, _on_screen(read.frames, start))
        if first_copied is not None or read.seek is None or read.seek <= origin:
            break
    if first_copied == 0 and read.seek is not None and read.in_fragments:
        # Whether the fragment before reaches into this one; a seek is by decode times.
        key = read.frames[0]
        before = (key.stamp if key.decoded is None else key.decoded) - 1
        return _look_through(source, before, end)
    return read


def _plan(
    read: _Read, origin: int, first: int, end: int, unit: Fraction, limits: Limits
) -> CutPlan:
    frames = read.frames
    key = frames[first].stamp
    wanted = [
        n
        for n, each in enumerate(frames)
        if n >= first and key <= each.stamp < end and not each.hidden
    ]
    if not wanted:
        raise NoDecodableFrame("The interval has no frame.")
    last = _closed(frames, first, wanted[-1])
    # Shown before the key but decoded after it: they need frames from before it.
    copied = [each if each.stamp >= key else None for each in frames[first : last + 1]]
    shown = [each for each in copied if each is not None and not each.hidden]
    start, top = min(each.stamp for each in shown), max(each.stamp for each in shown)
    hidden = [each.stamp for each in copied if each is not None and each.hidden]
    _refuse_other_frames(read, first, last, start, top)
    return CutPlan(
        origin=origin,
        seek=read.seek,
        packets=read.packets,
        skipped=first,
        frames=tuple(copied),
        start=start,
        # A frame that is hidden behind the last one would come to light there.
        end=min([_end(read, top, unit, limits), *(n for n in hidden if n > top)]),
        sounds=read.packets - len(frames),
    )


def _on_screen(frames: list[FramePacket], start: int) -> int | None:
    """The number of the frame that is on screen at `start`; before all, of the first one shown."""
    shown = [n for n, each in enumerate(frames) if not each.hidden]
    begun = [n for n in shown if frames[n].stamp <= start]
    if begun:
        return max(begun, key=lambda n: frames[n].stamp)
    return min(shown, key=lambda n: frames[n].stamp, default=None)


def _entry(frames: list[FramePacket], target: int | None) -> int | None:
    """The last key frame from which on frame number `target` is decoded and shown."""
    if target is None:
        return None
    stamp = frames[target].stamp
    keys = [n for n, each in enumerate(frames[: target + 1]) if each.is_key]
    return next((n for n in reversed(keys) if frames[n].stamp <= stamp), None)


def _closed(frames: list[FramePacket], first: int, last: int) -> int:
    """The last packet to copy, so that no frame is missing between those that are shown.

    Frames decoded before the last one may be shown after it; then what lies between goes along.
    """
    key = frames[first].stamp
    while True:
        shown = [each.stamp for each in frames[first : last + 1] if not each.hidden]
        top = max(shown)
        further = max(
            n for n, each in enumerate(frames) if key <= each.stamp <= top and not each.hidden
        )
        if further <= last:
            return last
        last = further


def _refuse_other_frames(read: _Read, first: int, last: int, start: int, top: int) -> None:
    """Raise NotCuttable if the copy would show other frames than the source."""
    if read.renewed is not None and read.renewed <= last:
        raise NotCuttable("The file changes its decoder settings, which a copy cannot.")
    frames = read.frames
    if any(start <= each.stamp <= top and not each.hidden for each in frames[:first]):
        raise NotCuttable("Parts of the file overlap in time; a copy would show other frames.")
    copied = [each for each in frames[first : last + 1] if start <= each.stamp <= top]
    if any(each.hidden for each in copied):
        raise NotCuttable("The file hides frames within the interval; a copy would show them.")
    known = [each.decoded for each in copied if each.decoded is not None]
    if any(other < one for one, other in pairwise(known)):
        raise NotCuttable("The file's clock steps back within the interval.")


def _end(read: _Read, top: int, unit: Fraction, limits: Limits) -> int:
    """The stamp at which the frame of stamp `top` ends: where the next one is shown."""
    later = [each.stamp for each in read.frames if each.stamp > top and not each.hidden]
    if later:
        return min(later)
    stamps = sorted({each.stamp for each in read.frames if not each.hidden})
    steps = sorted(other - one for one, other in pairwise(stamps))
    typical = steps[len(steps) // 2] if steps else 0
    lasts = next(each.lasts for each in read.frames if each.stamp == top and not each.hidden)
    remaining = None if read.ends is None else float((read.ends - top) * unit)
    seconds = last_frame_s(
        float(lasts * unit), float(typical * unit), remaining, limits.longest_still_s
    )
    return top + max(1, round(seconds / unit))


def _origin(source: OpenSource) -> int:
    """The stamp of the first frame shown.

    Decoding is in the order of decode times, and none is later than its frame is shown.
    """
    lowest: int | None = None
    for number, packet in enumerate(source.packets(with_sound=False)):
        decided = lowest is not None and packet.dts is not None and packet.dts >= lowest
        if decided or number == _FIRST_PACKETS:
            break
        if not packet.is_discard:
            stamp = _stamp(packet)
            lowest = stamp if lowest is None else min(lowest, stamp)
    if lowest is None:
        raise NoDecodableFrame("The video shows none of its frames.")
    return lowest


def _look_through(source: CutSource, seek: int, end: int) -> _Read:
    """The packets after a seek to `seek`, until none that belongs before `end` can follow."""
    frames: list[FramePacket] = []
    packets = 0
    renewed: int | None = None
    with source.opened(seek) as opened:
        for packet in _until(opened, end, frames, source.limits):
            packets += 1
            if renewed is None and _renews(packet, opened):
                renewed = len(frames) - 1
        ends = _ends(opened)
        in_fragments = opened.target == "mp4" and not opened.stream.frames
        seek_to = None if opened.from_start else seek
        return _Read(seek_to, frames, packets, renewed, ends, in_fragments)


def _until(
    opened: OpenSource, end: int, frames: list[FramePacket], limits: Limits
) -> Iterator[CopiedPacket]:
    """Packets up to the first frame after `end` at which no sound from before can be missing.

    Each frame's is added to `frames`, which is where its number is from.
    """
    far = end + ceil(_INTERLEAVED_S / tick(opened.stream))
    later = 0  # frames shown at or after `end`
    for packet in opened.packets():
        if opened.is_frame(packet):
            frame = _frame(packet, opened)
            decoded = frame.stamp if frame.decoded is None and frame.is_key else frame.decoded
            if decoded is not None and decoded >= far and later > _MOST_REORDERED:
                return
            later += frame.stamp >= end and not frame.hidden
            frames.append(frame)
            if len(frames) > limits.max_packets:
                raise VideoTooLarge(f"The interval has more than {limits.max_packets} frames.")
        yield packet


def _frame(packet: CopiedPacket, opened: OpenSource) -> FramePacket:
    is_key = packet.is_keyframe and is_key_frame(bytes(packet), opened.stream.codec_context)
    return FramePacket(_stamp(packet), packet.dts, packet.duration or 0, is_key, packet.is_discard)


def _renews(packet: CopiedPacket, opened: OpenSource) -> bool:
    """Whether the packet brings settings for the decoder that are not the file's first ones."""
    if not opened.is_frame(packet) or not packet.has_sidedata("new_extradata"):
        return False
    return bytes(packet.get_sidedata("new_extradata")) != opened.stream.codec_context.extradata


def _ends(opened: OpenSource) -> int | None:
    seconds = container_end_s(opened.container, opened.stream)
    return None if seconds is None else round(seconds / tick(opened.stream))


def _stamp(packet: CopiedPacket) -> int:
    if packet.pts is None:
        raise NotCuttable("The file does not say when its frames are shown.")
    return packet.pts
