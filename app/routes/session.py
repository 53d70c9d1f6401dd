"""`/v1/session`: a session cookie for images and videos that a browser loads itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.security.authentication import Authenticator
from app.security.principal import ANONYMOUS, Principal
from app.security.session import COOKIE, LIFE_S

router = APIRouter(prefix="/v1/session", tags=["system"])


async def _caller(request: Request) -> Principal:
    caller: Principal = request.state.caller
    return caller


async def _authenticator(request: Request) -> Authenticator:
    authenticator: Authenticator = request.state.authenticator
    return authenticator


@router.post("", status_code=204)
async def begin_session(
    request: Request,
    response: Response,
    caller: Annotated[Principal, Depends(_caller)],
    authenticator: Annotated[Authenticator, Depends(_authenticator)],
) -> None:
    """Set a cookie that shows contents and thumbnails for twelve hours, and does nothing else."""
    if caller == ANONYMOUS:  # there are no keys, so no cookie is needed
        return
    response.set_cookie(
        COOKIE,
        authenticator.sessions.cookie(caller.id),
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
