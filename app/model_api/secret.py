"""The worker's own door: only who shares the catalog may ask for work.

API and worker keep a secret in the catalog and nowhere else, so no configuration can get it wrong,
and the worker's port may be one that strangers reach.
"""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SECRET = "worker"  # noqa: S105  the name of the catalog's secret
_OPEN = frozenset({"/livez"})


def credentials(secret: bytes) -> str:
    """What the Authorization header of a request to the worker says."""
    return f"Bearer {secret.hex()}"


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
                message = "This worker serves only who shares its catalog; the caller does not."
                body = {"code": "not_this_catalog", "message": message}
                await JSONResponse(body, 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)
