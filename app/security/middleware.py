"""Authentication middleware: passes a request on or refuses it, before its body is read."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.catalog.errors import DATABASE_ERRORS
from app.content_length import content_length
from app.problems import ProblemDetails, catalog_problem, problem_of, problem_response
from app.security.access_table import Policy
from app.security.authentication import Authenticator
from app.security.errors import SecurityError

_SMALL_BODY_BYTES = 64 << 10  # what the server has received already, or may as well receive


class AuthMiddleware:
    """Asks the application's `authenticator`; stores the caller at `request.state`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._policy: Policy | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no route for another protocol, and no policy
            await send({"type": "websocket.close", "code": 1008})
            return
        if self._policy is None:  # the routes are complete once the first request comes
            self._policy = Policy(scope["app"].routes)
        entrance = self._policy.entrance(scope["method"], scope["path"])
        authenticator: Authenticator = scope["state"]["authenticator"]
        headers = Headers(scope=scope)
        client = scope.get("client")
        address = client[0] if client else "unknown"
        try:
            caller = await authenticator.admit(entrance, scope["method"], headers, address)
        except SecurityError as refusal:
            await _refuse(problem_of(refusal), headers, scope, receive, send)
            return
        except DATABASE_ERRORS:
            await _refuse(catalog_problem(), headers, scope, receive, send)
            return
        if entrance is None and (allowed := self._policy.allowed(scope["path"])):
            await _refuse(_not_allowed(allowed), headers, scope, receive, send)
            return
        scope["state"]["caller"] = caller
        if entrance is not None and entrance.policy is not None:
            scope["state"]["route_policy"] = entrance.policy
            scope["state"]["served_as"] = entrance.method
        answer = _Answer(send)
        try:
            with authenticator.serving(caller), authenticator.revocation.while_in_force(caller):
                await self._app(scope, receive, answer.send)
        except SecurityError as refusal:
            if answer.began:
                await answer.cut()
                return
            await _refuse(problem_of(refusal), headers, scope, receive, send)


class _Answer:
    """What has been sent of an answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_parts = False  # each of which is whole, so that it may end after any
        self.began = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.began = True
            self._has_parts = (
                Headers(raw=message["headers"])
                .get("content-type", "")
                .startswith("text/event-stream")
            )
        await self._send(message)

    async def cut(self) -> None:
        """End it early. Of anything but a stream of events that is an error: the server closes the
        connection, so that no client takes a part for the whole."""
        if self._has_parts:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _not_allowed(methods: Sequence[str]) -> ProblemDetails:
    """Said here because the router names only the methods of the first of several routes."""
    allow = ", ".join(methods)
    detail = f"Only {allow} can be used here."
    return ProblemDetails(405, "method_not_allowed", detail, headers={"allow": allow})


async def _refuse(
    problem: ProblemDetails, headers: Headers, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer at once, and do not receive a large body that will not be read."""
    answer = problem_response(problem, scope["state"]["request_id"])
    is_small = content_length(headers) <= _SMALL_BODY_BYTES
    if not is_small or "transfer-encoding" in headers:
        answer.headers["connection"] = "close"
    await answer(scope, receive, send)
