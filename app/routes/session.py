"""`/v1/session`: a session cookie for images and videos that a browser loads itself."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.routes.dependencies import Caller, CurrentAuthenticator
from app.security.principal import ANONYMOUS
from app.security.session import COOKIE, LIFE_S

router = APIRouter(prefix="/v1/session", tags=["system"])


@router.post("", status_code=204)
async def begin_session(
    request: Request,
    response: Response,
    caller: Caller,
    authenticator: CurrentAuthenticator,
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
