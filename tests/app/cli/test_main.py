"""What holds for every command."""

from __future__ import annotations

import io

from app.cli.main import accept_any_text


def test_names_that_the_terminal_cannot_write_end_no_command() -> None:
    """A Latin-1 terminal gets an escape for what it lacks, and the rest as it is."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="latin-1")
    accept_any_text(stream)
    stream.write("caf\u00e9 \u65e5.mp4")
    stream.flush()
    assert written.getvalue() == b"caf\xe9 \\u65e5.mp4"
