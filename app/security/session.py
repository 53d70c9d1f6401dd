"""Session cookies, instead of a key, for what a browser loads by itself: <img> and <video>.

The cookie names a key and an end, signed with a secret of the catalog: nothing is stored here, and
the sessions of a revoked key end with it. The cookie is not a key: it only allows GET of media.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from starlette.requests import cookie_parser

from app.catalog.api_keys import ApiKey
from app.clock import Clock

COOKIE = "xclip_session"
LIFE_S = 12 * 3600
SECRET = "session"  # noqa: S105  the name of the catalog's secret


class Sessions:
    """Writes and reads the cookies."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def cookie(self, key_id: str) -> str:
        """The value that stands for this key for the next twelve hours."""
        said = f"{key_id}.{int(self._clock.now().timestamp()) + LIFE_S}"
        return f"{said}.{self._signature(said)}"

    def owner_of(self, header: str, keys: Mapping[str, ApiKey]) -> ApiKey | None:
        """The key that a Cookie header stands for; None if it stands for none of `keys`."""
        # http.cookies gives up at a neighbour's cookie that it would not write itself, and all
        # services on one machine share their cookies: ports do not part them.
        said, _, signature = cookie_parser(header).get(COOKIE, "").rpartition(".")
        if not hmac.compare_digest(self._signature(said).encode(), signature.encode()):
            return None
        key_id, _, end = said.partition(".")
        now, key = self._clock.now(), keys.get(key_id)
        is_over = int(end) <= now.timestamp()
        return None if key is None or is_over or key.is_expired(now) else key

    def _signature(self, said: str) -> str:
        return hmac.new(self._secret, said.encode(), hashlib.sha256).hexdigest()
