"""TensorBoard event file: the scalars of a run in the format that TensorBoard reads.

A record is its length, the length's checksum, the bytes, and their checksum; the bytes are a
protocol buffer `Event` (tensorboard/compat/proto/event.proto). Written here, as the whole of
TensorBoard would be a large dependency for a few numbers.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path

_CASTAGNOLI = 0x82F63B78  # CRC-32C's polynomial, its bits reversed
_MASK_DELTA = 0xA282EAD8
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # wire types of protocol buffers


class EventFile:
    """Appends scalars to a new file in a folder; TensorBoard joins the files of a resumed run.

    The file is made with the first of them. TensorBoard takes the names of files in their order,
    so each begins with the seconds, as its own files do.
    """

    def __init__(self, folder: Path) -> None:
        name = f"events.out.tfevents.{time.time_ns() / 1e9:.6f}.xclip.{os.getpid()}"
        self.path = folder / name

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step, by their tags, at once."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write(_field(3, _BYTES, b"brain.Event:2"))
        summary = b"".join(
            _field(1, _BYTES, _field(1, _BYTES, tag.encode()) + _field(2, _FLOAT, value))
            for tag, value in values.items()
        )
        self._write(_field(2, _VARINT, step) + _field(5, _BYTES, summary))

    def _write(self, content: bytes) -> None:
        event = _field(1, _DOUBLE, time.time()) + content
        length = struct.pack("<Q", len(event))
        checks = (struct.pack("<I", masked_crc32c(part)) for part in (length, event))
        with self.path.open("ab") as file:
            file.write(length + next(checks) + event + next(checks))


def _field(number: int, wire: int, value: float | bytes) -> bytes:
    """One field of a protocol buffer."""
    key = _varint(number << 3 | wire)
    if isinstance(value, bytes):
        return key + _varint(len(value)) + value
    if wire == _VARINT:
        return key + _varint(int(value))
    return key + struct.pack("<d" if wire == _DOUBLE else "<f", value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def masked_crc32c(content: bytes) -> int:
    """The checksum of a record's part: CRC-32C, turned so that it differs from its own input's."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """CRC-32C (Castagnoli), as in iSCSI."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_CASTAGNOLI if byte & 1 else 0)
    return byte


_TABLE = tuple(_remainder(byte) for byte in range(256))
