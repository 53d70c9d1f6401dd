"""The event file, read back by the format's own description."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from xclip.training.event_file import EventFile, crc32c, masked_crc32c


def test_the_checksum_is_crc32c() -> None:
    """By the check value of its catalogue, and that of 32 zeros in RFC 3720."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def records(content: bytes) -> list[bytes]:
    """The events of a file, once their checksums have been checked."""
    found = []
    while content:
        (size, check) = struct.unpack("<QI", content[:12])
        assert check == masked_crc32c(content[:8])
        event, content = content[12 : 12 + size], content[12 + size :]
        assert struct.unpack("<I", content[:4])[0] == masked_crc32c(event)
        found.append(event)
        content = content[4:]
    return found


def test_scalars_are_events_of_their_step(tmp_path: Path) -> None:
    """A file that begins with the version, then a summary with each tag and value."""
    file = EventFile(tmp_path / "events")
    assert not file.path.exists()
    file.add(300, {"loss": 0.5, "rate": 2.0})
    version, event = records(file.path.read_bytes())
    assert version.endswith(b"brain.Event:2")
    assert event[0] == 1 << 3 | 1
    loss = b"\x0a\x04loss\x15" + struct.pack("<f", 0.5)
    rate = b"\x0a\x04rate\x15" + struct.pack("<f", 2.0)
    summary = b"\x0a\x0b" + loss + b"\x0a\x0b" + rate
    assert event[9:] == b"\x10\xac\x02" + b"\x2a\x1a" + summary


def test_tensorboard_itself_reads_it(tmp_path: Path) -> None:
    """Where it is installed."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    EventFile(tmp_path).add(3, {"loss": 0.25})
    read = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(one.step, one.value) for one in read.Scalars("loss")] == [(3, 0.25)]
