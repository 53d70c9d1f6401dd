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
_LONGEST_HEADER = 128  # bytes looked at, of a sequence's
_FRAME_HEADER_BYTES = 4  # looked at: refresh_frame_flags ends within them
_FRAME_HEADERS = frozenset({_FRAME_HEADER, _FRAME, _REDUNDANT_HEADER})
_NOWHERE: tuple[int | None, ...] = (None,) * 256


class AV1References:
    """Reads every packet of a stream in order and finds those that no later packet depends on."""

    def __init__(self) -> None:
        self._sequence_header = b""
        self._places: tuple[int | None, ...] = _NOWHERE

    def unreferenced(self, packet: bytes | memoryview) -> bool:
        """Whether nothing changes for other frames if `packet` is not decoded.

        False in doubt: then the packet is decoded.
        """
        found = False
        try:
            for kind, at, end in _units(packet):
                if kind == _SEQUENCE_HEADER:
                    self._use(bytes(packet[at : min(end, at + _LONGEST_HEADER)]))
                    return False
                if kind in _FRAME_HEADERS:
                    place = self._places[packet[at]] if end - at >= _FRAME_HEADER_BYTES else None
                    if place is None:
                        return False
                    header = int.from_bytes(packet[at : at + _FRAME_HEADER_BYTES])
                    if header >> place & 0xFF:  # refresh_frame_flags
                        return False
                    found = True
        except (EOFError, IndexError):
            return False
        return found

    def _use(self, sequence_header: bytes) -> None:
        if sequence_header != self._sequence_header:
            self._sequence_header = sequence_header
            self._places = _NOWHERE
            self._places = _places_of_refresh_flags(_Sequence.read(_Bits(sequence_header)))


def _places_of_refresh_flags(sequence: _Sequence) -> tuple[int | None, ...]:
    """By a frame header's first byte, how many of its first 32 bits follow refresh_frame_flags.

    None where the frame is needed whatever the flags say. Thousands of headers have to be read,
    and there are but 256 ways to read one.
    """
    if not sequence.plain:
        return _NOWHERE
    return tuple(_place_of_refresh_flags(sequence, first) for first in range(256))


def _place_of_refresh_flags(sequence: _Sequence, first: int) -> int | None:
    """5.9.2, as far as refresh_frame_flags, of a frame that is decoded and shown at once."""
    bits = _Bits(bytes((first, 0, 0, 0)))
    if bits.take(1):  # show_existing_frame
        return None
    kind, shown = bits.take(2), bits.take(1)
    if kind not in (_INTER, _INTRA_ONLY) or not shown:
        return None
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
    bits.take(8)
    return bits.left


def has_sequence_header(packet: bytes | memoryview) -> bool:
    """Whether `packet` has the header that precedes every key frame; False for what is damaged."""
    try:
        return any(kind == _SEQUENCE_HEADER for kind, _, _ in _units(packet))
    except (EOFError, IndexError):
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
        self.left = 8 * len(content)

    def take(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise EOFError
        return self._value >> self.left & ((1 << count) - 1)

    def take_variable(self) -> None:
        """4.10.3, uvlc()"""
        zeros = 0
        while not self.take(1):
            zeros += 1
        self.take(zeros)


def _units(packet: bytes | memoryview) -> Iterator[tuple[int, int, int]]:
    """Kind of every OBU (5.3), and where its content begins and ends.

    EOFError or IndexError where a length leads nowhere.
    """
    at, length = 0, len(packet)
    while at < length:
        header = packet[at]
        at += 2 if header & 4 else 1
        end = length
        if header & 2:
            size, at = _leb128(packet, at)
            end = at + size
        if not at <= end <= length:
            raise EOFError
        yield header >> 3 & 15, at, end
        at = end


def _leb128(packet: bytes | memoryview, at: int) -> tuple[int, int]:
    """4.10.5: the number at `at`, and where it ends."""
    value = 0
    for shift in range(0, 8 * 7, 7):
        byte = packet[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise EOFError
