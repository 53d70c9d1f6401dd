"""Stored files: where the folder store keeps an object, for tests that look at or damage it."""

from __future__ import annotations

from pathlib import Path

from app.storage.media_store import MediaStore, content_key, sprite_keys, thumbnail_key


def content_file(media: MediaStore, sha256: str) -> Path:
    """The file of the bytes with this hash."""
    return media.layout.root / content_key(sha256)


def thumbnail_file(media: MediaStore, video_id: str, index: int) -> Path:
    """The file of a segment's picture."""
    return media.layout.root / thumbnail_key(video_id, index)


def sprite_files(media: MediaStore, video_id: str) -> list[Path]:
    """The files of a video's sprite sheet and of the index of its tiles."""
    return [media.layout.root / key for key in sprite_keys(video_id)]
