"""Authentication middleware of the worker: only callers that share its catalog may call it."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.model_api.secret import credentials
from app.worker.error_responses import error_response
from app.worker.errors import NotThisCatalog

_OPEN = frozenset({"/livez", "/readyz"})


class WorkerAuthMiddleware:
    """ASGI layer: a request without the secret is answered 401 before its body is read."""

    def __init__(self, app: ASGIApp, secret: bytes) -> None:
        self._app = app
        self._expected = credentials(secret).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in _OPEN:
            sent = Headers(scope=scope).get("authorization", "")
            if not hmac.compare_digest(sent.encode(), self._expected):
                refusal = NotThisCatalog("This worker serves only callers that share its catalog.")
                await error_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)
