"""`/v1/session`: a cookie for what a browser loads without asking the page, pictures and videos."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.security.authentication import Doors
from app.security.principal import ANYBODY, Caller
from app.security.session import COOKIE, LIFE_S

router = APIRouter(prefix="/v1/session", tags=["system"])


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _doors(request: Request) -> Doors:
    doors: Doors = request.state.doors
    return doors


@router.post("", status_code=204)
async def begin_session(
    request: Request,
    response: Response,
    caller: Annotated[Caller, Depends(_caller)],
    doors: Annotated[Doors, Depends(_doors)],
) -> None:
    """Set a cookie that shows contents and thumbnails for twelve hours, and does nothing else."""
    if caller == ANYBODY:  # there are no keys, so no cookie is needed
        return
    response.set_cookie(
        COOKIE,
        doors.sessions.cookie(caller.id),
        max_age=LIFE_S,
        path="/v1/collections",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


@router.delete("", status_code=204)
async def end_session(response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(COOKIE, path="/v1/collections", httponly=True, samesite="strict")
