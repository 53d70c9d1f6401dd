"""docs/limits.md against the settings: an operator reads the numbers that hold."""

from __future__ import annotations

import re
from pathlib import Path

from app.route_table import JSON_BODY_BYTES, LABELS_BODY_BYTES
from app.server.admission import BODIES_BYTES, LIGHT_THREADS, TRANSFER_WAIT_S
from app.server.concurrency import BURST_S, CALM_S, MAX_WAITING
from app.server.limits import LINGER_BYTES, LINGER_S, MAX_HEAD_BYTES, MAX_HEAD_LINES, MAX_PIPELINED
from app.settings import Settings, describe_settings
from app.worker.model_scheduler import MAX_TURNS
from app.worker.server import CLIPS_AT_ONCE

PAGE = (Path(__file__).parents[3] / "docs" / "limits.md").read_text()
ROWS = dict(
    reversed(found)
    for found in re.findall(r"^\|[^|]+\| ([^|]+) \| `(XCLIP_\w+)` \|", PAGE, re.MULTILINE)
)
_LIMITING = re.compile(
    r"max_|min_|.*_timeout_s$|.*_per_(s|minute)$|.*_memory_bytes$|.*_concurrent_|lease_s$"
    r"|keep_alive_s$|shutdown_grace_s$|threads$|recall_candidates$"
)


def test_every_limit_among_the_settings_is_on_the_page_with_its_default() -> None:
    """No setting that bounds something is left out, none is made up, no number is an old one."""
    defaults = {setting.variable: setting.default for setting in describe_settings()}
    limiting = {f"XCLIP_{name.upper()}" for name in Settings.model_fields if _LIMITING.match(name)}
    assert set(ROWS) == limiting
    assert {variable: defaults[variable] for variable in ROWS} == ROWS


def test_the_fixed_numbers_are_those_of_the_code() -> None:
    """What cannot be set is told as well."""
    told = (
        f"{LINGER_S:g}, and {LINGER_BYTES >> 20} MiB",
        f"an upload or a clip waits for its turn | {TRANSFER_WAIT_S:g}",
        f"{MAX_HEAD_BYTES >> 10} KiB, {MAX_HEAD_LINES} lines",
        f"{JSON_BODY_BYTES >> 20} MiB, labels {LABELS_BODY_BYTES >> 20} MiB",
        f"together | {BODIES_BYTES >> 20} MiB",
        f"on one connection | {MAX_PIPELINED} ",
        f"threads for everything else | {LIGHT_THREADS} ",
        f"decoders of clips in a worker | {CLIPS_AT_ONCE} ",
        f"calls waiting for the model | {MAX_TURNS} ",
        f"holds {MAX_WAITING}",
        f"longer than {BURST_S:g} s",
        f"for {CALM_S:g} s,",
    )
    assert [number for number in told if number not in PAGE] == []
