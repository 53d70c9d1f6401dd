"""Encryption: whether a file says that its video is encrypted, in whatever its container is.

Decoders do not know: they show noise, or nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator

from xclip.video.ebml import element, elements
from xclip.video.iso_boxes import boxes, boxes_of
from xclip.video.seekable_file import SeekableFile

_STSD = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_STSD_HEADER = 8  # bytes before its entries
_ENCRYPTED_ENTRIES = frozenset({b"encv", b"drmi"})  # Common Encryption's, and FairPlay's

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK, _TRACK_TYPE, _VIDEO = 0xAE, 0x83, b"\1"
_ENCODINGS, _ENCODING, _ENCRYPTION = 0x6D80, 0x6240, 0x5035
_MOST_ELEMENTS = 1000
_MOST_TRACK_BYTES = 1 << 20
_LONGEST_HEADER = 12  # bytes of an element's id and size

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_HEADER = 30  # bytes before the first object of the header
_ASF_OBJECT = struct.Struct("<16sQ")
_ASF_ENCRYPTION = frozenset(
    bytes.fromhex(guid)
    for guid in (
        "fbb3112223bdd211b4b700a0c955fc6e",  # content encryption
        "14e68a292226174cb935dae07ee9289c",  # extended content encryption
        "338505438169e6499b74ad12cb86d58c",  # advanced content encryption
    )
)

_TS_PACKET = 188
_TS_PACKETS = 1000  # looked at


def is_encrypted(file: SeekableFile) -> bool:
    """Whether the container of `file` says that the video is encrypted; of a damaged one, False."""
    file.seek(0, os.SEEK_SET)
    head = file.read(_TS_PACKET * 2)
    if head.startswith(_EBML):
        return _is_matroska_encrypted(file)
    if head.startswith(_ASF):
        return _is_asf_encrypted(file)
    if head[:1] == head[_TS_PACKET : _TS_PACKET + 1] == b"G":
        return _is_ts_encrypted(file)
    return _is_mp4_encrypted(file)


def _is_mp4_encrypted(file: SeekableFile) -> bool:
    return any(
        kind in _ENCRYPTED_ENTRIES
        for begin, end in boxes_of(file, _STSD)
        for kind, _, _ in boxes(file, begin + _STSD_HEADER, end)
    )


def _is_asf_encrypted(file: SeekableFile) -> bool:
    length = file.seek(0, os.SEEK_END)
    file.seek(16, os.SEEK_SET)
    at, end = _ASF_HEADER, min(length, int.from_bytes(file.read(8), "little"))
    for _ in range(_MOST_ELEMENTS):
        if at + _ASF_OBJECT.size > end:
            return False
        file.seek(at, os.SEEK_SET)
        header = file.read(_ASF_OBJECT.size)
        guid, size = _ASF_OBJECT.unpack(header)
        if guid in _ASF_ENCRYPTION:
            return True
        at += max(size, _ASF_OBJECT.size)
    return False


def _is_ts_encrypted(file: SeekableFile) -> bool:
    """Whether most packets are scrambled."""
    file.seek(0, os.SEEK_SET)
    content = file.read(_TS_PACKET * _TS_PACKETS)
    controls = content[3::_TS_PACKET]
    return sum(each >> 6 > 0 for each in controls) * 2 > len(controls)


def _is_matroska_encrypted(file: SeekableFile) -> bool:
    end = file.seek(0, os.SEEK_END)
    at = 0
    for _ in range(_MOST_ELEMENTS):
        if at >= end:
            return False
        file.seek(at, os.SEEK_SET)
        found = element(file.read(_LONGEST_HEADER), 0)
        if found is None:
            return False
        kind, begin, size = found
        if kind == _SEGMENT:
            at += begin
            continue
        if kind == _CLUSTER:
            return False
        if kind == _TRACKS:
            file.seek(at + begin, os.SEEK_SET)
            return _has_encrypted_track(file.read(min(size, _MOST_TRACK_BYTES)))
        at += begin + size
    return False


def _has_encrypted_track(tracks: bytes) -> bool:
    for kind, track in elements(tracks):
        if kind == _TRACK and (_TRACK_TYPE, _VIDEO) in elements(track):
            encodings = _all(_all([track], _ENCODINGS), _ENCODING)
            if any(True for _ in _all(encodings, _ENCRYPTION)):
                return True
    return False


def _all(contents: Iterable[bytes], wanted: int) -> Iterator[bytes]:
    """The content of each element of this id in any of `contents`."""
    for content in contents:
        for kind, inner in elements(content):
            if kind == wanted:
                yield inner
