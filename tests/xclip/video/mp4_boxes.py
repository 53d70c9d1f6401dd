"""MP4 files rewritten box by box: what muxers do not write of edit lists and parameter sets.

Only for files whose index (moov) is the last box, so that no offset of a frame changes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator

import av

_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"})
_SAMPLE_ENTRIES = frozenset({b"avc1", b"hev1", b"hvc1"})
_ENTRY_HEADER = 78  # bytes of a visual sample entry before its boxes

Rewrite = Callable[[bytes, bytes], "tuple[bytes, bytes] | None"]


def rewritten(content: bytes, change: Rewrite, *, whole_descriptions: bool = False) -> bytes:
    """The file with `change(kind, payload)` applied to every leaf; None takes the box away.

    whole_descriptions : whether stsd is such a leaf
    """
    parts = []
    for kind, payload in boxes(content):
        if kind in _PARENTS:
            changed: tuple[bytes, bytes] | None = (
                kind,
                rewritten(payload, change, whole_descriptions=whole_descriptions),
            )
        elif kind == b"stsd" and not whole_descriptions:
            changed = kind, payload[:8] + rewritten(payload[8:], change)
        elif kind in _SAMPLE_ENTRIES:
            inner = rewritten(payload[_ENTRY_HEADER:], change)
            changed = change(kind, payload[:_ENTRY_HEADER] + inner)
        else:
            changed = change(kind, payload)
        if changed is not None:
            parts.append(box(*changed))
    return b"".join(parts)


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each box."""
    at = 0
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        yield kind, content[at + 8 : at + size]
        at += size


def box(kind: bytes, payload: bytes) -> bytes:
    """A box with its header."""
    return struct.pack(">I4s", len(payload) + 8, kind) + payload


def with_edits(content: bytes, edits: list[tuple[float, float]], media_scale: int) -> bytes:
    """The file whose edit list shows these parts: (seconds, from which second of the media)."""
    scale = 1000  # of the movie, as libav writes it
    entries = b"".join(
        struct.pack(">IiI", round(length_s * scale), round(start_s * media_scale), 1 << 16)
        for length_s, start_s in edits
    )

    def change(kind: bytes, payload: bytes) -> tuple[bytes, bytes]:
        if kind == b"elst":
            return kind, struct.pack(">II", 0, len(edits)) + entries
        return kind, payload

    return rewritten(content, change)


def with_parameter_sets_in_band(content: bytes) -> bytes:
    """The file whose parameter sets are nowhere but in its frames, where the encoder repeats them.

    HEVC's then must be called hev1, H.264's avc3.
    """

    def change(kind: bytes, payload: bytes) -> tuple[bytes, bytes]:
        if kind == b"hvcC":
            return kind, payload[:22] + b"\0"
        if kind == b"avcC":
            return kind, payload[:5] + b"\xe0\0"
        return {b"hvc1": b"hev1", b"avc1": b"avc3"}.get(kind, kind), payload

    return rewritten(content, change)


def joined(one: bytes, other: bytes) -> bytes:
    """A file that shows one after the other, each with a decoder's description of its own.

    Both hold a video of constant rate and the same time base, each of its frames decoded when it is
    shown.
    """
    with av.open(io.BytesIO(one)) as first, av.open(io.BytesIO(other)) as second:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4") as output:
            stream = output.add_stream_from_template(first.streams.video[0], opaque=True)
            count = at = 0
            for source in (first, second):
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = at
                        packet.stream = stream
                        count += source is first
                        at += packet.duration
                        output.mux(packet)
    descriptions = [_leaf(each, b"stsd")[8:] for each in (one, other)]
    sizes = struct.unpack_from(f">{count}I", _leaf(buffer.getvalue(), b"stsz"), 12)

    def change(kind: bytes, payload: bytes) -> tuple[bytes, bytes]:
        if kind == b"stsd":
            return kind, struct.pack(">II", 0, 2) + b"".join(descriptions)
        if kind == b"stsc":
            frames = struct.unpack_from(">I", _leaf(buffer.getvalue(), b"stsz"), 8)[0]
            return kind, struct.pack(">II6I", 0, 2, 1, count, 1, 2, frames - count, 2)
        if kind == b"stco":
            begin = struct.unpack_from(">I", payload, 8)[0]
            return kind, struct.pack(">IIII", 0, 2, begin, begin + sum(sizes))
        return kind, payload

    return rewritten(buffer.getvalue(), change, whole_descriptions=True)


def _leaf(content: bytes, kind: bytes) -> bytes:
    found: list[bytes] = []

    def keep(each: bytes, payload: bytes) -> tuple[bytes, bytes]:
        if each == kind:
            found.append(payload)
        return each, payload

    rewritten(content, keep, whole_descriptions=True)
    return found[0]
