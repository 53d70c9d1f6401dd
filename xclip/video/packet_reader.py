"""Packet reader: reads a stream's packets run by run, wherever they are in the file."""

from __future__ import annotations

from collections.abc import Iterator

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from xclip.video.containers import Limits, packets
from xclip.video.decode_plan import PacketOrder, Run

# To seek over fewer packets than this takes longer than to read them.
_WORTH_SEEKING = 100


class PacketReader:
    """Packets of a stream; runs must be requested in ascending order.

    at : number of the packet that is read next; None where that is not known
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        order: PacketOrder,
        limits: Limits,
        at: int | None,
    ) -> None:
        self._container, self._stream, self._limits = container, stream, limits
        self._stamps = order.stamps
        self._next = at
        self._packets = packets(container, stream, limits)

    def read(self, run: Run) -> Iterator[Packet[VideoStream]]:
        """The packets of `run`; fewer where this file, read again, has others than before."""
        if self._next is None or run.first - self._next > _WORTH_SEEKING:
            self._seek(run.first)
        begun = False
        for packet in self._packets:
            if packet.is_discard:
                if begun:
                    yield packet
                continue
            number = self._number_of(packet)
            if number is None or (not begun and number > run.first):
                return
            self._next = number + 1
            begun |= number == run.first
            if begun:
                yield packet
            if number == run.last:
                return

    def _seek(self, first: int) -> None:
        try:
            self._container.seek(int(self._stamps[first]), stream=self._stream)
        except av.error.FFmpegError:
            return  # reading goes on where it was
        self._next = None
        self._packets = packets(self._container, self._stream, self._limits)

    def _number_of(self, packet: Packet[VideoStream]) -> int | None:
        """The number of a shown packet; where a file lies about time, None."""
        if self._next is None:
            found = np.flatnonzero(self._stamps == packet.pts)
            return int(found[0]) if len(found) else None
        known = self._next < len(self._stamps) and self._stamps[self._next] == packet.pts
        return self._next if known else None
