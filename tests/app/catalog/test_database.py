"""The URL of the catalog's database, and the words for one that cannot be opened here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from app.catalog import database
from app.catalog.errors import DatabaseUrlInvalid


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("foo", "not the URL of a database"),
        ("", "not the URL of a database"),
        ("postgresql://u:secret@h:port/x", "not the URL of a database"),
        ("postgresql://u:secret@h:99999/x", "99999 is not a port"),
        ("mysql://u:secret@h/x", "mysql is not supported"),
        ("postgres://u:secret@h/x", "postgres is not supported.*postgresql"),
        ("postgresql+none://u:secret@h/x", r"postgresql\+none is not supported"),
        ("postgresql+asyncpg://u:secret@h/x", r"postgresql\+asyncpg is not supported"),
        ("sqlite+aiosqlite:///x", r"sqlite\+aiosqlite is not supported"),
        ("sqlite:///file:x?mode=memory&uri=true", "must name a file"),
        ("sqlite:///~nobody-here/x", "no home folder"),
    ],
)
def test_a_url_that_cannot_be_opened_is_refused_in_words(url: str, sentence: str) -> None:
    """What is wrong and what it must begin with, without the password."""
    with pytest.raises(DatabaseUrlInvalid, match=sentence) as refusal:
        database.open_engine(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.skipif(
    importlib.util.find_spec("psycopg") is not None, reason="the driver is installed here"
)
def test_a_driver_that_is_not_installed_is_named_with_its_extra() -> None:
    """The line says what to install."""
    with pytest.raises(DatabaseUrlInvalid, match=r"psycopg is not installed.*\[postgresql\]"):
        database.open_engine("postgresql+psycopg://h/x")


def test_the_file_of_an_sqlite_url_is_told(tmp_path: Path) -> None:
    """And no other database has one."""
    assert database.sqlite_file(f"sqlite:///{tmp_path / 'a.sqlite'}") == tmp_path / "a.sqlite"
    assert database.sqlite_file("postgresql+psycopg://h/x") is None


def test_a_tilde_in_the_url_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell has read a setting, and a folder called ~ would be made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert database.sqlite_file("sqlite:///~/a.sqlite") == tmp_path / "a.sqlite"
