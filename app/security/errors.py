"""Authentication and authorization errors: each with its status and a stable `code`.

SecurityError
├── Unauthenticated        401, the caller is not known
│   ├── KeyMissing             key_missing
│   └── KeyInvalid             key_invalid
├── Forbidden              403, the caller may not do this
│   ├── ScopeMissing           scope_missing
│   ├── KeysRequired           keys_required
│   ├── NoPolicy               no_policy
│   └── CrossSite              cross_site
├── HostNotAllowed         421 host_not_allowed
└── TooManyRequests        429, the caller may try again later
    ├── RateLimited            rate_limited
    ├── TooManyConcurrent      too_many_concurrent
    └── TooManyWrongKeys       too_many_wrong_keys
"""

from __future__ import annotations

from types import MappingProxyType

from app.errors import ServiceError


class SecurityError(ServiceError):
    """Root of the reasons for which a request is refused before it is served."""

    code = "refused"


class Unauthenticated(SecurityError):
    """The route needs a key, and none that is in force was sent."""

    status = 401
    headers = MappingProxyType({"www-authenticate": "Bearer"})


class KeyMissing(Unauthenticated):
    """No key was sent."""

    code = "key_missing"


class KeyInvalid(Unauthenticated):
    """What was sent is not a key that is in force."""

    code = "key_invalid"
    headers = MappingProxyType({"www-authenticate": 'Bearer error="invalid_token"'})


class Forbidden(SecurityError):
    """The caller may not do this, whether it is known or not."""

    status = 403


class ScopeMissing(Forbidden):
    """The key may not do this."""

    code = "scope_missing"


class KeysRequired(Forbidden):
    """Other machines reach the service, but it has no keys any more."""

    code = "keys_required"


class NoPolicy(Forbidden):
    """The route table has no row for the route."""

    code = "no_policy"


class CrossSite(Forbidden):
    """A page of another site is behind the request."""

    code = "cross_site"


class HostNotAllowed(SecurityError):
    """The request was addressed to a name that a service without keys does not answer to."""

    code = "host_not_allowed"
    status = 421


class TooManyRequests(SecurityError):
    """The caller may try again after `retry_after_s` seconds."""

    status = 429

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, retry_after_s)


class RateLimited(TooManyRequests):
    """The key has sent all the requests it may send in a minute."""

    code = "rate_limited"


class TooManyConcurrent(TooManyRequests):
    """The limit of the key's concurrent requests is reached."""

    code = "too_many_concurrent"


class TooManyWrongKeys(TooManyRequests):
    """Too many wrong keys came from the client's address."""

    code = "too_many_wrong_keys"
