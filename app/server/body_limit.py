"""Request body limit: small by default, larger where a route says so.

FastAPI's own limit answers in plain text and outside the layer that gives requests their id.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.content_length import content_length
from app.problems import ProblemDetails, problem_response
from app.route_table import JSON_BODY_BYTES, RoutePolicy

_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})  # their handlers read no body
FORM_OVERHEAD_BYTES = 1 << 20  # boundaries, part headers and fields around an uploaded file


@dataclass(slots=True)
class BodyAllowance:
    """The limit of one request, at `request.state.body`; a route may raise it before reading."""

    max_bytes: int


class BodyLimit:
    """ASGI layer: reading past the allowance, or a declared length past it, is a 413.

    A handler of a method without a body receives only to learn whether its client has gone, while
    its answer is under way. There a declared length is refused before the handler, and what comes
    undeclared past the allowance is dropped: a refusal would cut the answer off.
    """

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
        bodiless = scope["method"] in _BODILESS
        if bodiless and declared > allowance.max_bytes:
            await _refuse(allowance, scope, receive, send)
            return
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            # Checked before the first byte is read, so a client that waits gets no 100 Continue.
            if declared > allowance.max_bytes:
                raise HTTPException(413, _too_large(allowance))
            message = await receive()
            received += len(message.get("body", b""))
            if received <= allowance.max_bytes or message["type"] != "http.request":
                return message
            if not bodiless:
                raise HTTPException(413, _too_large(allowance))
            return {**message, "body": b""}

        await self._app(scope, counted_receive, send)


async def _refuse(allowance: BodyAllowance, scope: Scope, receive: Receive, send: Send) -> None:
    problem = ProblemDetails(413, "payload_too_large", _too_large(allowance))
    answer = problem_response(problem, scope["state"]["request_id"])
    answer.headers["connection"] = "close"  # rather than receive what is not read
    await answer(scope, receive, send)


def _too_large(allowance: BodyAllowance) -> str:
    return f"The body is larger than the {allowance.max_bytes} bytes allowed."
