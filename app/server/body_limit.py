"""Request body limit: small by default, larger where a route says so.

FastAPI's own limit answers in plain text and outside the layer that gives requests their id.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.content_length import content_length
from app.route_table import JSON_BODY_BYTES, RoutePolicy

FORM_OVERHEAD_BYTES = 1 << 20  # boundaries, part headers and fields around an uploaded file


@dataclass(slots=True)
class BodyAllowance:
    """The limit of one request, at `request.state.body`; a route may raise it before reading."""

    max_bytes: int


class BodyLimit:
    """ASGI layer: reading past the allowance, or a declared length past it, is a 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        policy: RoutePolicy | None = state.get("route_policy")
        allowance = BodyAllowance(policy.body_bytes if policy else JSON_BODY_BYTES)
        state["body"] = allowance
        declared = content_length(Headers(scope=scope))
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            # Checked before the first byte is read, so a client that waits gets no 100 Continue.
            if declared > allowance.max_bytes:
                raise _too_large(allowance)
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > allowance.max_bytes:
                    raise _too_large(allowance)
            return message

        await self._app(scope, counted_receive, send)


def _too_large(allowance: BodyAllowance) -> HTTPException:
    return HTTPException(413, f"The body is larger than the {allowance.max_bytes} bytes allowed.")
