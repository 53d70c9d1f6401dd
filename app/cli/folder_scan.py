"""Folder scan: which files of a folder are videos to send, and what is left out and why."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xclip.video.formats import SUFFIXES, SUFFIXES_NOT_READ, TRANSPORT_STREAM_SUFFIXES

# Folders that systems, network storage and archives make beside what people put there. Names that
# begin with a dot are hidden and left out as well: .Trash, .git, and the ._ files of macOS.
_OF_THE_SYSTEM = frozenset(
    {"@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information"}
    | {"lost+found", "__macosx", "@recycle", "@recently-snapshot", "@tmp", "~snapshot"}
    | {"network trash folder", "temporary items", "recycler", "recycled"}
)
HIDDEN = "hidden or the system's own"
LINKED = "a linked folder, which is not followed"
NO_FILE = "named like a video, but no file: a broken link, a pipe or a device"
NOT_READ = "of a video format that is not read here"
NO_STREAM = "named like an MPEG transport stream, but none"
UNREADABLE = "a folder that cannot be read"
OTHER = "not named like a video"

_PACKET = 188  # bytes of a transport stream's packet; m2ts puts four before each
_SYNC = 0x47


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to send, and where it lies, as a path that begins with the folder that was named.

    place : None for a file that was named itself
    """

    path: Path
    place: str | None


@dataclass(slots=True)
class FolderScan:
    """Looks through files and folders; counts what it leaves out by why, in `skipped`."""

    skipped: Counter[str] = field(default_factory=Counter)

    def files(self, paths: Iterable[Path]) -> Iterator[FoundFile]:
        """The files to send: those named, and the videos in the folders named, each file once.

        Raises FileNotFoundError if a path does not exist.
        """
        seen: set[Path] = set()
        for path in paths:
            if not path.exists():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            found = self._in_folder(path) if path.is_dir() else [FoundFile(path, None)]
            for file in found:
                if file.path.resolve() not in seen:
                    seen.add(file.path.resolve())
                    yield file

    def _in_folder(self, top: Path) -> Iterator[FoundFile]:
        name = top.resolve().name
        links: list[FoundFile] = []  # come last: a video has the place where it lies
        for folder, below, names in os.walk(top, onerror=self._unreadable):
            here = Path(folder)
            below[:] = sorted(each for each in below if self._is_entered(here / each))
            for each in sorted(names):
                file = here / each
                why = why_skipped(file)
                if why is not None:
                    self.skipped[why] += 1
                    continue
                found = FoundFile(file, _text(Path(name) / file.relative_to(top)))
                if file.is_symlink():
                    links.append(found)
                else:
                    yield found
        yield from links

    def _is_entered(self, folder: Path) -> bool:
        why = HIDDEN if _is_hidden(folder.name) else LINKED if folder.is_symlink() else None
        if why is not None:
            self.skipped[why] += 1
        return why is None

    def _unreadable(self, _: OSError) -> None:
        self.skipped[UNREADABLE] += 1


def why_skipped(file: Path) -> str | None:
    """Why a file in a folder is not sent; None for one that is."""
    suffix = file.suffix.lower()
    if _is_hidden(file.name):
        return HIDDEN
    if suffix in SUFFIXES_NOT_READ:
        return NOT_READ
    if suffix not in SUFFIXES:
        return OTHER
    if not file.is_file():
        return NO_FILE
    if suffix in TRANSPORT_STREAM_SUFFIXES and not _is_transport_stream(file):
        return NO_STREAM
    return None


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _OF_THE_SYSTEM


def _is_transport_stream(file: Path) -> bool:
    """Whether packets of a transport stream begin where they should; TypeScript is called .ts too.

    An unreadable file is taken for one: its upload will say why it fails.
    """
    try:
        with file.open("rb") as reader:
            head = reader.read(3 * _PACKET)
    except OSError:
        return True
    return any(
        len(head) > start + step and head[start] == head[start + step] == _SYNC
        for start, step in ((0, _PACKET), (4, _PACKET + 4), (0, _PACKET + 16))
    )


def _text(path: Path) -> str:
    """The path as text; bytes that are no UTF-8 are replaced."""
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")
