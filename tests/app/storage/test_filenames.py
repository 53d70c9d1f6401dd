"""Names of files and keys of objects: what any text becomes, or is refused as."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.storage.filenames import MAX_LABEL_LENGTH, file_label
from app.storage.object_store import check_key, check_prefix

PARTS = st.from_regex(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("clip.mp4", "clip.mp4"),
        ("/etc/passwd", "passwd"),
        ("C:\\Videos\\clip.mp4", "clip.mp4"),
        ("a/b\\c.mp4", "c.mp4"),
        ("../..", ".."),
        ("", "unnamed"),
        ("/", "unnamed"),
        (" \t\r\n", "unnamed"),
        ("a\r\nset-cookie: b", "aset-cookie: b"),
        ("one\u2028two\u2029three", "onetwothree"),
        ("\u202egnp.mp4", "gnp.mp4"),
        ("a\x00b\x1b[31m", "ab[31m"),
        ("Urlaub in Österreich 🎬.mp4", "Urlaub in Österreich 🎬.mp4"),
        ("\ud800a", "a"),
        ("می\u200cخواهم.mp4", "می\u200cخواهم.mp4"),
        ("👩\u200d👧.mp4", "👩\u200d👧.mp4"),
        ("\u200d \u200c", "unnamed"),
        ("ü" * 255, "ü" * 255),
        ("ü" * 256, "ü" * 255),
    ],
)
def test_a_label_is_the_last_part_made_fit_to_show(name: str, label: str) -> None:
    """Without folders of any system, and no letter that steers a line; joiners stay."""
    assert file_label(name) == label


@given(st.text(max_size=300))
@example("\u2028")
@example("\x85")
def test_any_name_becomes_a_label(name: str) -> None:
    """One line of 1 to 255 letters that could be encoded, and that is its own label."""
    label = file_label(name)
    assert 1 <= len(label) <= MAX_LABEL_LENGTH
    assert label.splitlines() == [label]
    assert not {"/", "\\"} & {*label}
    label.encode()
    assert file_label(label.strip()) == label.strip()


@given(st.lists(PARTS, min_size=1, max_size=5))
def test_a_key_is_a_path_that_stays_below_its_root(parts: list[str]) -> None:
    """Of parts that begin with a letter, a digit or an underscore, so none goes up."""
    key = "/".join(parts)
    assert check_key(key) == key
    assert check_prefix(f"{key}/") == f"{key}/"
    assert PurePosixPath(key).parts == tuple(parts)
    assert ".." not in PurePosixPath(key).parts


@pytest.mark.parametrize(
    "key",
    [
        *(
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "a/../b",
            ".a",
            "-a",
            "a b",
            "a\n",
            "a\0",
        ),
        *("a\0", "ü", "a\\b", "a:b", "a%2e", "x" * 201),
    ],
)
def test_what_could_lead_elsewhere_is_no_key(key: str) -> None:
    """Also not with a newline at its end, which `$` would overlook."""
    with pytest.raises(ValueError, match="no key"):
        check_key(key)


@pytest.mark.parametrize("prefix", ["a", "/", "//", "a//", "../", "a/b", "a/\n"])
def test_a_prefix_ends_in_a_slash(prefix: str) -> None:
    """And is empty for everything."""
    assert check_prefix("") == ""
    with pytest.raises(ValueError, match="no key"):
        check_prefix(prefix)
