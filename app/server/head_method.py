"""HEAD requests (RFC 9110, 9.3.2): served as GET, with the same headers and no body.

A route that has a HEAD handler of its own, such as a file that need not be read, keeps it.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _HeadersSent(ClientDisconnect):
    """Ends a handler that goes on writing a body: for it, its client has gone."""


class HeadMethod:
    """ASGI layer: the application sees GET and its body is dropped, however long it is.

    `request.state.served_as` holds the method that the route of the request has a handler for.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or _has_own_handler(scope):
            await self._app(scope, receive, send)
            return
        ended = False

        async def send_headers(message: Message) -> None:
            nonlocal ended
            if message["type"] != "http.response.body":
                await send(message)
                return
            if not ended:
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            if message.get("more_body", False):
                raise _HeadersSent

        # The server and the log still see HEAD, so the application gets a scope of its own.
        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, send_headers)
        except _HeadersSent:
            pass
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]


def _has_own_handler(scope: Scope) -> bool:
    return bool(scope["state"].get("served_as") != "GET")
