"""What of a library lies on the disk, and ways to break it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from app.catalog.records import Segment
from app.settings import Settings
from tests.app.stack import Stack


def files_in(folder: Path) -> list[str]:
    """Every file below a folder, by its path in it."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def tensor_bytes(stack: Stack) -> bytes:
    """All tensor files, one after the other, without zeros."""
    folder = stack.settings.layout.tensors
    return b"".join((folder / name).read_bytes() for name in files_in(folder)).replace(b"\0", b"")


def segments_of(stack: Stack, video: dict[str, str]) -> list[Segment]:
    return stack.catalog.list_segments(video["collection"], video["id"])


def flip(path: Path, offset: int) -> None:
    """Turn one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 4]))


class HasSettings(Protocol):
    """A service, or a library without one."""

    @property
    def settings(self) -> Settings: ...


def flip_tensor(stack: HasSettings, segment: Segment) -> None:
    """Damage the record of one segment."""
    tensor = segment.tensor
    flip(stack.settings.layout.tensors / tensor.file, tensor.offset + tensor.length - 3)


def change_rows(stack: HasSettings, statement: str, *values: object) -> None:
    """Change the catalog past the catalog."""
    with closing(sqlite3.connect(stack.settings.data_dir / "catalog.sqlite", timeout=30)) as raw:
        raw.execute(statement, values)
        raw.commit()


def work(stack: Stack) -> None:
    """Do every job."""
    while stack.puller.run_one():
        pass
