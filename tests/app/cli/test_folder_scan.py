"""What is taken of a folder, and what is left out and why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.cli import folder_scan
from app.cli.folder_scan import HIDDEN, LINKED, NO_FILE, NO_STREAM, NOT_READ, OTHER, FolderScan
from xclip.video.formats import SUFFIXES, SUFFIXES_NOT_READ

PACKETS = (b"\x47" + bytes(187)) * 3


def tree(top: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)


def test_system_folders_and_hidden_files_are_left_out_and_counted(tmp_path: Path) -> None:
    """Also where they hold videos; a folder counts once."""
    top = tmp_path / "top"
    tree(top, "a.mp4", "b/c.MKV", "@eaDir/a.mp4", "b/#recycle/x.mp4", ".Trash-1000/y.mp4")
    tree(top, "._a.mp4", "$RECYCLE.BIN/z.mp4", "__MACOSX/a.mp4", "b/.hidden.mov", "~snapshot/a.mp4")
    scan = FolderScan()
    assert [file.place for file in scan.files([top])] == ["top/a.mp4", "top/b/c.MKV"]
    assert scan.skipped == {HIDDEN: 8}


def test_formats_that_are_not_read_are_told_from_other_files(tmp_path: Path) -> None:
    """A raw stream and a Y4M file are videos, a text is none."""
    tree(tmp_path, "a.h264", "b.y4m", "c.m2v", "d.txt", "e.mp4.part", "f.gif")
    scan = FolderScan()
    assert [file.path.name for file in scan.files([tmp_path])] == ["f.gif"]
    assert scan.skipped == {NOT_READ: 3, OTHER: 2}


@pytest.mark.parametrize(
    ("content", "is_taken"),
    [
        (PACKETS, True),
        (b"\0\0\0\0" + (b"\x47" + bytes(191)) * 2 + b"\x47", True),  # m2ts: time before a packet
        ((b"\x47" + bytes(203)) * 2, True),  # with error correction after it
        (b"Get this: export const answer: number = 42;\n" * 20, False),
        (b"", False),
        (b"\x47", False),
    ],
    ids=["ts", "m2ts", "fec", "TypeScript", "empty", "a-byte"],
)
def test_a_transport_stream_is_told_by_its_packets(
    tmp_path: Path, content: bytes, is_taken: bool
) -> None:
    """TypeScript files have the suffix of broadcast video, but not its rhythm."""
    tree(tmp_path, "a.ts", content=content)
    scan = FolderScan()
    assert bool(list(scan.files([tmp_path]))) is is_taken
    assert scan.skipped == ({} if is_taken else {NO_STREAM: 1})


def test_linked_folders_are_not_followed_and_linked_files_are(tmp_path: Path) -> None:
    """A link may lead in a circle, so it is counted; a file comes once, from where it lies."""
    top = tmp_path / "top"
    tree(top, "a.mp4")
    tree(tmp_path, "elsewhere/b.mp4")
    (top / "folder").symlink_to(tmp_path / "elsewhere")
    (top / "circle").symlink_to(top)
    (top / "c.mp4").symlink_to(tmp_path / "elsewhere" / "b.mp4")
    (top / "d.mp4").symlink_to(top / "a.mp4")
    tree(top, "north/e.mp4")
    (top / "0.mp4").symlink_to(top / "north" / "e.mp4")
    scan = FolderScan()
    places = [file.place for file in scan.files([top])]
    assert places == ["top/a.mp4", "top/north/e.mp4", "top/c.mp4"]
    assert scan.skipped == {LINKED: 2}


def test_what_is_named_like_a_video_and_is_no_file_says_so(tmp_path: Path) -> None:
    """A link to nothing, one to itself, and a pipe, which nobody may open."""
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    scan = FolderScan()
    assert not list(scan.files([tmp_path]))
    assert scan.skipped == {NO_FILE: 3}


def test_a_named_file_is_sent_whatever_it_is_called(tmp_path: Path) -> None:
    """It has no place, and nothing is left out."""
    tree(tmp_path, ".hidden.bin")
    scan = FolderScan()
    (found,) = scan.files([tmp_path / ".hidden.bin"])
    assert (found.path.name, found.place) == (".hidden.bin", None)


def test_a_place_begins_with_the_folders_name_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ingest .` knows where it is; a name that is no UTF-8 is text all the same."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "a.mp4")
    (found,) = FolderScan().files([Path()])
    assert found.place == f"{tmp_path.name}/a.mp4"
    assert folder_scan._text(Path(os.fsdecode(b"caf\xe9.mp4"))) == "caf\ufffd.mp4"


def test_a_suffix_is_read_or_not() -> None:
    """No suffix stands in both lists, and each is lower case with its dot."""
    assert not SUFFIXES & SUFFIXES_NOT_READ
    assert {".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"} <= SUFFIXES
    for each in SUFFIXES | SUFFIXES_NOT_READ:
        assert each.startswith(".")
        assert each == each.lower()
