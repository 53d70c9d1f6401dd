"""Shell completion: the scripts that shells load, and what is suggested."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def completed(line: str, **environ: str) -> list[str]:
    """What bash would suggest for the last word of a line."""
    words = line.split(" ")
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XCLIP_")},
        "_XCLIP_SEARCH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        **environ,
    }
    program = "from app.cli.main import build_cli; build_cli()(prog_name='xclip-search')"
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_and_options_are_suggested() -> None:
    """By how they begin."""
    assert completed("xclip-search se") == ["serve", "settings", "search"]
    assert "--pictures" in completed("xclip-search search --pic")


@pytest.mark.usefixtures("collection")
def test_collections_are_suggested_by_the_service(running_service: str, collection: str) -> None:
    """And where none answers, nothing is said."""
    port = running_service.rsplit(":", 1)[1]
    line = f"xclip-search search --collection {collection[:12]}"
    assert collection in completed(line, XCLIP_PORT=port)
    assert completed(line, XCLIP_PORT="9") == []
