"""AV1 header parser: which frames no other frame refers to.

libdav1d accepts an order to leave such frames out only once, when it opens, not frame by frame as
other decoders do. But a frame that refreshes no reference leaves no trace in a decoder: its packet
need not go in. Section numbers are those of the AV1 specification, version 1.0.0 with errata 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME, _REDUNDANT_HEADER = 1, 3, 6, 7  # kinds of OBU
_INTER, _INTRA_ONLY = 1, 2  # kinds of frame
_SELECTED_BY_FRAME = 2  # of a tool: each frame says whether it is used
_LONGEST_HEADER = 128  # bytes looked at


class AV1References:
    """Reads every packet of a stream in order and finds those that no later packet depends on."""

    def __init__(self) -> None:
        self._sequence: _Sequence | None = None

    def unreferenced(self, packet: bytes) -> bool:
        """Whether nothing changes for other frames if `packet` is not decoded.

        False in doubt: then the packet is decoded.
        """
        frames = []
        try:
            for kind, content in _units(packet):
                if kind == _SEQUENCE_HEADER:
                    self._sequence = _Sequence.read(_Bits(content))
                    return False
                if kind in (_FRAME_HEADER, _FRAME, _REDUNDANT_HEADER):
                    frames.append(self._refreshes_nothing(_Bits(content)))
        except EOFError:
            return False
        return bool(frames) and all(frames)

    def _refreshes_nothing(self, bits: _Bits) -> bool:
        """5.9.2, as far as refresh_frame_flags, of a frame that is decoded and shown at once."""
        sequence = self._sequence
        if sequence is None or not sequence.plain:
            return False
        if bits.take(1):  # show_existing_frame
            return False
        kind, shown = bits.take(2), bits.take(1)
        if kind not in (_INTER, _INTRA_ONLY) or not shown:
            return False
        resilient = bits.take(1)
        bits.take(1)  # disable_cdf_update
        screen_content = sequence.screen_content
        if screen_content == _SELECTED_BY_FRAME:
            screen_content = bits.take(1)
        if screen_content and sequence.integer_vectors == _SELECTED_BY_FRAME:
            bits.take(1)
        bits.take(1)  # frame_size_override_flag
        bits.take(sequence.order_hint_bits)
        if kind == _INTER and not resilient:
            bits.take(3)  # primary_ref_frame
        return bits.take(8) == 0


def has_sequence_header(packet: bytes) -> bool:
    """Whether `packet` has the header that precedes every key frame; False for what is damaged."""
    try:
        return any(kind == _SEQUENCE_HEADER for kind, _ in _units(packet))
    except EOFError:
        return False


@dataclass(frozen=True, slots=True)
class _Sequence:
    """The fields of a sequence header that frame headers depend on.

    plain : whether it has one layer, no decoder model and no numbers for frames, which would make
        headers longer or count frames that are left out
    """

    plain: bool
    screen_content: int = 0
    integer_vectors: int = 0
    order_hint_bits: int = 0

    @classmethod
    def read(cls, bits: _Bits) -> _Sequence:
        """5.5.1"""
        bits.take(3 + 1)  # seq_profile, still_picture
        if bits.take(1):  # reduced_still_picture_header
            return cls(plain=False)
        if bits.take(1):  # timing_info_present_flag
            bits.take(64)
            if bits.take(1):
                bits.take_variable()
            if bits.take(1):  # decoder_model_info_present_flag
                return cls(plain=False)
        delays = bits.take(1)
        if bits.take(5):  # operating_points_cnt_minus_1
            return cls(plain=False)
        layers = bits.take(12)
        if bits.take(5) > 7:  # seq_level_idx
            bits.take(1)
        if delays and bits.take(1):
            bits.take(4)
        width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
        bits.take(width_bits + height_bits)
        if bits.take(1) or layers:  # frame_id_numbers_present_flag
            return cls(plain=False)
        bits.take(3 + 4)
        ordered = bits.take(1)
        bits.take(2 * ordered)
        screen_content = _SELECTED_BY_FRAME if bits.take(1) else bits.take(1)
        integer_vectors = _SELECTED_BY_FRAME
        if screen_content and not bits.take(1):
            integer_vectors = bits.take(1)
        return cls(True, screen_content, integer_vectors, bits.take(3) + 1 if ordered else 0)


class _Bits:
    """The bits of a header, from the most significant on; EOFError behind the last."""

    def __init__(self, content: bytes) -> None:
        self._value = int.from_bytes(content)
        self._left = 8 * len(content)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise EOFError
        return self._value >> self._left & ((1 << count) - 1)

    def take_variable(self) -> None:
        """4.10.3, uvlc()"""
        zeros = 0
        while not self.take(1):
            zeros += 1
        self.take(zeros)


def _units(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and first bytes of every OBU (5.3); EOFError where a length leads nowhere."""
    at = 0
    while at < len(packet):
        header = packet[at]
        at += 2 if header & 4 else 1
        size = len(packet) - at
        if header & 2:
            size, at = _leb128(packet, at)
        if not 0 <= size <= len(packet) - at:
            raise EOFError
        yield header >> 3 & 15, packet[at : at + min(size, _LONGEST_HEADER)]
        at += size


def _leb128(packet: bytes, at: int) -> tuple[int, int]:
    """4.10.5: the number at `at`, and where it ends."""
    value = 0
    for position, byte in enumerate(packet[at : at + 8]):
        value |= (byte & 0x7F) << 7 * position
        if not byte & 0x80:
            return value, at + position + 1
    raise EOFError
