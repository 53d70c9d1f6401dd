"""Files of resumable uploads: one writer, and no byte counted that might be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.storage.partial_uploads import PartialFiles, PartialLocked, PartialMissing


@pytest.fixture
def files(tmp_path: Path) -> PartialFiles:
    found = PartialFiles(tmp_path)
    found.prepare()
    found.create("upl_a")
    return found


def test_a_file_is_as_long_as_what_was_written(files: PartialFiles):
    """Each writer goes on where the last one stopped."""
    for part in (b"abc", b"", b"de"):
        with files.locked("upl_a") as file:
            file.write(part)
            file.sync()
    assert files.size_bytes("upl_a") == 5
    assert files.path("upl_a").read_bytes() == b"abcde"


def test_there_is_one_writer_at_a_time(files: PartialFiles):
    """The second one is refused at once; looking on is free."""
    with files.locked("upl_a") as file:
        file.write(b"ab")
        with pytest.raises(PartialLocked), files.locked("upl_a"):
            pass
        assert files.size_bytes("upl_a") == 2
    with files.locked("upl_a"):
        pass


def test_what_a_dead_writer_left_unchecked_does_not_count(files: PartialFiles):
    """Bytes under a checksum count once it was right; a writer that died leaves those before."""
    with files.locked("upl_a") as file:
        file.write(b"sure")
        file.begin_unchecked()
        file.write(b"perhaps")
    with files.locked("upl_a") as file:
        assert file.size_bytes == 4
        file.begin_unchecked()
        file.write(b"right")
        file.end_unchecked()
    with files.locked("upl_a") as file:
        assert file.size_bytes == 9
    assert files.path("upl_a").read_bytes() == b"sureright"


def test_a_removed_file_is_gone_with_its_mark(files: PartialFiles, tmp_path: Path):
    """Nothing of it stays, and nobody opens it again."""
    with files.locked("upl_a") as file:
        file.begin_unchecked()
        files.remove("upl_a")
    assert list((tmp_path / "uploads").iterdir()) == []
    assert files.ids() == []
    with pytest.raises(PartialMissing), files.locked("upl_a"):
        pass
    with pytest.raises(PartialMissing):
        files.size_bytes("upl_a")


@pytest.mark.parametrize("name", ["", "..", "upl_../x", "upl_a/b", "upl_a\n", "vid_a", "upl_A"])
def test_files_are_named_by_upload_ids_only(files: PartialFiles, name: str):
    """Whatever is no id never becomes a path."""
    with pytest.raises(ValueError, match="id"):
        files.path(name)
