"""Timeline: when each frame of a stream is shown, from its packets' timestamps.

Headers lie about frame counts, rates and durations; packets rarely do. Where they do (clocks that
jump, no clock at all), frames are timed by their order instead.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from xclip.video.decode_plan import PacketOrder

_UNKNOWN = -(1 << 63)  # an int64 no timestamp takes
_USUAL_RATE = 25.0  # frames per second where nothing says otherwise
_BACKWARD_JUMP_S = 1.0  # decode times that step back by less are jitter, by more a new clock


@dataclass(frozen=True, slots=True)
class Timeline:
    """Presentation times of N frames, the first shown one at zero.

    times : float64, shape = (N,), seconds, ascending
    stamps : int64, shape = (N,), the same instants as container timestamps; None when frames
        are timed by their order, so that the k-th one out of the decoder is shown at `times[k]`
    time_base : seconds per unit of `stamps`
    duration_s : end of the last frame
    """

    times: NDArray[np.float64]
    stamps: NDArray[np.int64] | None
    time_base: Fraction
    duration_s: float

    def time_of(self, order: int, stamp: int | None) -> float | None:
        """Seconds at which the frame that left the decoder as number `order` is shown."""
        if self.stamps is None:
            return float(self.times[min(order, len(self.times) - 1)])
        if stamp is None:
            return None
        ticks = stamp - int(self.stamps[0])  # in whole numbers: a fraction takes ten times as long
        return ticks * self.time_base.numerator / self.time_base.denominator


def last_frame_s(
    stated_s: float, typical_s: float, remaining_s: float | None, longest_still_s: float
) -> float:
    """For how many seconds the last frame is shown, behind which there is no other.

    stated_s : by its packet; some say nothing, others speak of the decoder's time
    typical_s : from one frame to the next in this video
    remaining_s : up to the end that the container states, if it does and is behind the frame
    """
    seconds = stated_s if typical_s / 2 <= stated_s <= longest_still_s else typical_s
    if remaining_s is not None and remaining_s > 0:
        return min(seconds, remaining_s)
    return seconds


@dataclass(slots=True)
class PacketStamps:
    """Timestamps of a stream's shown packets in file order, in units of the stream's time base.

    entries : numbers of the packets at which decoding may begin
    discarded : packets that are never shown
    guessed : packets without a presentation time, which take their decoding time for it
    """

    presentation: array[int] = field(default_factory=lambda: array("q"))
    decoding: array[int] = field(default_factory=lambda: array("q"))
    durations: array[int] = field(default_factory=lambda: array("q"))
    entries: array[int] = field(default_factory=lambda: array("q"))
    discarded: int = 0
    guessed: int = 0

    def __len__(self) -> int:
        return len(self.presentation)

    def add(self, packet: Packet[VideoStream], *, entry: bool) -> None:
        """Note one packet; entry : whether decoding may begin at it."""
        stamp = packet.dts if packet.pts is None else packet.pts
        self.guessed += packet.pts is None
        if entry:
            self.entries.append(len(self.presentation))
        self.presentation.append(_UNKNOWN if stamp is None else stamp)
        self.decoding.append(_UNKNOWN if packet.dts is None else packet.dts)
        self.durations.append(packet.duration or 0)

    def order(self) -> PacketOrder | None:
        """The packets as they lie in the file, if each has a presentation time of its own."""
        stamps = np.array(self.presentation, dtype=np.int64)
        if self.guessed or len(np.unique(stamps)) < len(stamps):
            return None
        return PacketOrder(stamps, np.array(self.entries, dtype=np.int64))

    def timeline(
        self,
        time_base: Fraction,
        rate: float | None,
        *,
        by_order: bool,
        longest_still_s: float,
        ends_s: float | None = None,
    ) -> Timeline:
        """The timeline of at least one packet.

        rate : frames per second according to the header, used only where packets say nothing
        by_order : presentation stamps are right as a set, but paired with the wrong frames
        longest_still_s : a longer gap is a broken clock
        ends_s : where the container says that the video ends, on the clock of the stamps
        """
        tick = float(time_base)
        usual_s = 1.0 / rate if rate else 1.0 / _USUAL_RATE
        stamps = np.array(self.presentation, dtype=np.int64)
        known = stamps != _UNKNOWN
        if known.sum() * 2 < len(stamps):
            times = np.arange(len(stamps), dtype=np.float64) * usual_s
            return Timeline(times, None, time_base, float(times[-1]) + usual_s)
        durations = np.array(self.durations, dtype=np.int64)[known]
        order = np.argsort(stamps[known], kind="stable")
        stamps = stamps[known][order]
        times = (stamps.astype(np.float64) - float(stamps[0])) * tick
        if self._clock_jumps(tick) or np.diff(times).max(initial=0.0) > longest_still_s:
            times = self._repaired(tick, usual_s, longest_still_s)
            by_order, ends_s = True, None
        typical_s = float(np.median(np.diff(times))) if len(times) > 1 else usual_s
        remaining_s = None if ends_s is None else ends_s - float(stamps[-1]) * tick
        stated_s = float(durations[order[-1]]) * tick
        last_s = last_frame_s(stated_s, typical_s or usual_s, remaining_s, longest_still_s)
        return Timeline(times, None if by_order else stamps, time_base, float(times[-1]) + last_s)

    def _clock_jumps(self, tick: float) -> bool:
        decoding = np.array(self.decoding, dtype=np.int64)
        steps = np.diff(decoding[decoding != _UNKNOWN].astype(np.float64)) * tick
        return bool((steps < -_BACKWARD_JUMP_S).any())

    def _repaired(self, tick: float, usual_s: float, longest_s: float) -> NDArray[np.float64]:
        """Times rebuilt from the steps between decode times, impossible steps made typical ones."""
        decoding = np.array(self.decoding, dtype=np.int64)
        steps = np.diff(decoding.astype(np.float64)) * tick
        believable = (steps > 0) & (steps <= longest_s)
        believable &= (decoding[1:] != _UNKNOWN) & (decoding[:-1] != _UNKNOWN)
        typical_s = float(np.median(steps[believable])) if believable.any() else usual_s
        return np.concatenate([[0.0], np.cumsum(np.where(believable, steps, typical_s))])
