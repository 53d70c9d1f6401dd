"""EBML elements (RFC 8794): the parts of a matroska or webm file."""

from __future__ import annotations

from collections.abc import Iterator


def element(content: bytes, at: int) -> tuple[int, int, int] | None:
    """Id of the element at a place, where its content begins, and its size."""
    if at >= len(content) or not content[at]:
        return None
    id_length = 9 - content[at].bit_length()
    size_at = at + id_length
    if id_length > 4 or size_at >= len(content) or not content[size_at]:
        return None
    length = 9 - content[size_at].bit_length()
    begin = size_at + length
    size = int.from_bytes(content[size_at:begin]) & ((1 << 7 * length) - 1)
    return int.from_bytes(content[at:size_at]), begin, size


def elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Id and content of each element, as far as they are whole."""
    at = 0
    while (found := element(content, at)) is not None:
        kind, begin, size = found
        yield kind, content[begin : begin + size]
        at = begin + size


def written(kind: int, content: bytes) -> bytes:
    """An element, its size as short as it can be."""
    length = 1
    while len(content) >= (1 << 7 * length) - 1:  # all ones stand for an unknown size
        length += 1
    size = len(content) | 1 << 7 * length
    return kind.to_bytes((kind.bit_length() + 7) // 8) + size.to_bytes(length) + content


def number(value: int) -> bytes:
    """An unsigned number, as short as it can be."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8))
