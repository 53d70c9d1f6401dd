"""`Prefer: wait=N` header (RFC 7240): how many seconds a client is ready to wait."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Depends, Header
from starlette.requests import Request

LONGEST_WAIT_S: Final = 60.0

_Described = Annotated[
    str | None,
    Header(description="`wait=N`: answer once the job has ended, at the latest after N seconds"),
]


async def _preferences(request: Request, prefer: _Described = None) -> str | None:
    """All of them: a header that comes twice is one list."""
    return prefer and ", ".join(request.headers.getlist("prefer"))


Prefer = Annotated[str | None, Depends(_preferences)]

# preferences are parted by commas, and these from their parameters by semicolons, where no quoted
# string holds them
_PREFERENCE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+')
_WAIT = re.compile(r"\s*wait\s*(?:=([^;]*))?(?:;.*)?", re.IGNORECASE | re.DOTALL)
_SECONDS = re.compile(r'[0-9]+|"[0-9]+"')


def prefer_wait(header: str | None) -> float | None:
    """The seconds of the first `wait` in a Prefer header, 60 at most; None if none can be read."""
    for preference in _PREFERENCE.findall(header or ""):
        if wait := _WAIT.fullmatch(preference):
            value = (wait[1] or "").strip()
            return (
                min(LONGEST_WAIT_S, float(value.strip('"'))) if _SECONDS.fullmatch(value) else None
            )
    return None


def wait_applied(seconds: float) -> dict[str, str]:
    """The header that tells for how long the client was kept waiting at most."""
    return {"preference-applied": f"wait={seconds:g}"}
