"""Decode plan: which packets must be decoded for the frames that are wanted, and which not.

Decoding may begin at an entry: a packet from which on every frame, shown no earlier than the
packet's own, comes out as if all of the file had been decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from xclip.video.key_frames import is_key_frame
from xclip.video.nal_units import h264_length_size, nal_units

# The packets between two runs must be worth a restart of the decoder, and all those saved worth the
# second reading of a damaged file, for which a single pass takes over.
_FEWEST_PASSED_OVER = 2
LARGEST_SHARE = 0.8

# Decoders that keep nothing across a key frame of theirs. Others are decoded from the start.
_RENEWED_BY_KEY_FRAMES = frozenset(
    {"hevc", "vp8", "vp9", "libdav1d", "mpeg4", "mpeg1video", "mpeg2video"}
)

# The NAL unit behind which no frame refers to one before. A key frame of H.264 may be less.
_H264_IDR = 5


@dataclass(frozen=True, slots=True)
class PacketOrder:
    """N packets that are shown, in the order in which they lie in the file.

    stamps : int64, shape = (N,), when each is shown, in the container's units, no two alike
    entries : int64, shape = (E,), the numbers of those at which decoding may begin, ascending
    """

    stamps: NDArray[np.int64]
    entries: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    """Packets number `first` to `last`, to be decoded without a gap for the frames `due`."""

    first: int
    last: int
    due: frozenset[int]


def plan(
    order: PacketOrder, due: NDArray[np.int64], largest_share: float = LARGEST_SHARE
) -> list[Run]:
    """The runs that give the frames of these stamps, in order; none if they save too little.

    largest_share : of the packets up to the last of those frames, how many runs may hold
    due : int64, shape = (M,), stamps of `order`, at least one
    """
    due = np.unique(due)
    by_stamp = np.argsort(order.stamps)
    positions = by_stamp[np.searchsorted(order.stamps[by_stamp], due)]  # (M,) of packets
    entry_stamps = order.stamps[order.entries]
    before = np.searchsorted(entry_stamps, due, side="right") - 1  # (M,) of entries
    if (np.diff(entry_stamps) < 0).any() or before[0] < 0:
        return []
    entries = order.entries[before]  # (M,) of packets
    if (entries > positions).any():
        return []
    reached = np.maximum.accumulate(positions)
    begins = np.flatnonzero(entries[1:] > reached[:-1] + _FEWEST_PASSED_OVER) + 1
    runs = [
        Run(
            int(entries[members[0]]),
            int(positions[members].max()),
            frozenset(due[members].tolist()),
        )
        for members in np.split(np.arange(len(due)), begins)
    ]
    decoded = sum(run.last - run.first + 1 for run in runs)
    return runs if decoded <= largest_share * (reached[-1] + 1) else []


def is_entry(packet: Packet[VideoStream], context: VideoCodecContext) -> bool:
    """Whether decoding may begin at `packet`, of which `context` is the decoder."""
    if not packet.is_keyframe or not is_key_frame(bytes(packet), context):
        return False
    if context.name == "h264":
        units = nal_units(bytes(packet), h264_length_size(context))
        return any(unit[0] & 0x1F == _H264_IDR for unit in units)
    return context.name in _RENEWED_BY_KEY_FRAMES or context.codec.intra_only
