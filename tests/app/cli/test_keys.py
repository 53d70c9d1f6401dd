"""`xclip-search keys` on the data folder, beside a service or without one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.catalog import Catalog
from app.clock import SystemClock
from app.security.api_keys import owner_of
from app.settings import Settings

from .conftest import RunCommand


@pytest.fixture
def data(tmp_path: Path, command: RunCommand, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder that the commands work on; `command` has cleared the environment."""
    monkeypatch.setenv("XCLIP_DATA_DIR", str(tmp_path))
    return tmp_path


def test_a_key_is_printed_once_listed_and_revoked(data: Path, command: RunCommand) -> None:
    """Standard output is the key and nothing else, so that a script may take it."""
    made = command(
        "keys", "create", "cam 1", "--scope", "write", "--requests-per-minute", 60,
        "--concurrent", 4, "--expires-days", 30,
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    with Catalog.open(Settings(data_dir=data).catalog_url) as catalog:
        (key,) = catalog.keys_in_force()
        assert owner_of(text.encode(), {key.id: key}, SystemClock().now()) == key
    assert (key.name, key.scope, key.requests_per_minute, key.concurrent_requests) == (
        "cam 1", "write", 60, 4,
    )  # fmt: skip
    assert key.id in made.stderr
    assert "every request needs a key" in made.stderr

    listed = command("keys", "list").output
    for shown in (key.id, "cam 1", "write", "60", "until"):
        assert shown in listed
    assert text not in listed
    revoked = command("keys", "revoke", key.id)
    assert (revoked.exit_code, "It was the last one" in revoked.stderr) == (0, True)
    assert "revoked" in command("keys", "list").output


def test_a_key_that_is_not_there_is_one_clear_line(data: Path, command: RunCommand) -> None:
    """No traceback, and a status."""
    command("keys", "create", "ops", "--scope", "admin")
    answer = command("keys", "revoke", "key_none")
    assert (answer.exit_code, "(key_not_found)" in answer.stderr) == (1, True)
    assert command("keys", "create", "x", "--scope", "root").exit_code == 2


def test_keys_in_a_pipe_are_whole_values(
    data: Path, command: RunCommand, piped: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row a line, tabs between the values, no heads, and nothing broken at the 80th column."""
    name = "a camera with a name that is longer than a terminal is wide, in the north of the yard"
    made = command("keys", "create", name, "--scope", "read", "--requests-per-minute", 60)
    assert made.exit_code == 0, made.output
    monkeypatch.setenv("COLUMNS", "80")
    key_id, *values = piped("keys", "list").stdout.removesuffix("\n").split("\t")
    assert key_id in made.stderr
    assert values[:5] == [name, "read", "60", "", "in force"]


@pytest.mark.parametrize(
    "words", ["keys list", "keys revoke key_1", "verify", "gc --dry-run", "backup OUT", "adopt",
              "recall default"],
)  # fmt: skip
@pytest.mark.parametrize("by_url", [False, True])
def test_what_only_reads_makes_no_library(
    data: Path, command: RunCommand, words: str, by_url: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt folder or URL is a sentence with status 1, and stays as empty as it was."""
    if by_url:
        monkeypatch.setenv("XCLIP_DATABASE_URL", f"sqlite:///{data / 'elsewhere.sqlite'}")
    result = command(*(word.replace("OUT", str(data / "out")) for word in words.split()))
    assert result.exit_code == 1
    assert "there is no catalog" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(data.iterdir()) == []


def test_a_catalog_that_is_none_is_a_sentence(data: Path, command: RunCommand) -> None:
    """An empty file stays empty; a file of another kind is not read."""
    file = data / "catalog.sqlite"
    for content, why in ((b"", "is empty"), (b"no database " * 999, "cannot be read")):
        file.write_bytes(content)
        for words in ("keys list", "recall default"):
            result = command(*words.split())
            assert (result.exit_code, why in result.stderr) == (1, True), result.output
        assert file.read_bytes() == content


def test_the_table_of_keys_keeps_its_headings_whole_at_80_columns(
    data: Path, command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A narrow terminal shows every heading on one line, and each id to be copied."""
    command("keys", "create", "a camera with a long name", "--scope", "admin", "--expires-days", 3)
    for columns, headings in (
        (80, ["id", "name", "scope", "a minute", "at once", "state"]),
        (120, ["id", "name", "scope", "a minute", "at once", "state", "made"]),
    ):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = command("keys", "list").output.splitlines()
        assert re.split(r"\s{2,}", lines[0].strip()) == headings
        assert lines[1].startswith("key_")
        assert max(map(len, lines)) <= columns
