"""`xclip-search settings`: the one page that lists what can be set."""

from __future__ import annotations

from app.settings import describe_settings
from tests.app.cli.conftest import RunCommand


def test_every_setting_is_listed(piped: RunCommand) -> None:
    """With its default and its meaning, a line each."""
    lines = piped("settings").stdout.splitlines()
    assert [line.split("\t") for line in lines] == [
        [each.variable, each.default, each.description] for each in describe_settings()
    ]


def test_no_other_help_lists_them(command: RunCommand) -> None:
    """It names the command instead."""
    for words in (["--help"], ["serve", "--help"]):
        shown = command(*words).output
        assert "xclip-search settings" in shown
        assert "XCLIP_MAX_QUERIES" not in shown
