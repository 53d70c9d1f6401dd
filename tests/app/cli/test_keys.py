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
