"""Why a door stays shut: each reason with a stable `code` and a sentence for the caller.

SecurityError
├── Unauthenticated                nobody knows who asks
│   ├── KeyMissing             key_missing
│   └── KeyInvalid             key_invalid
├── Forbidden              it may not be, whoever asks or as long as that one does
│   ├── ScopeMissing           scope_missing
│   ├── KeysRequired           keys_required
│   ├── NoPolicy               no_policy
│   └── CrossSite              cross_site
├── HostNotAllowed         host_not_allowed
└── TooManyRequests                later it may be
    ├── RateLimited            rate_limited
    ├── TooManyConcurrent      too_many_concurrent
    └── TooManyWrongKeys       too_many_wrong_keys
"""

from __future__ import annotations

from typing import ClassVar


class SecurityError(Exception):
    """Root of the refusals at the doors."""

    code: ClassVar[str] = "refused"


class Unauthenticated(SecurityError):
    """The route needs a key; `challenge` is what WWW-Authenticate says."""

    challenge: ClassVar[str] = "Bearer"


class KeyMissing(Unauthenticated):
    """No key was sent."""

    code = "key_missing"


class KeyInvalid(Unauthenticated):
    """What was sent as a key is none that is in force."""

    code = "key_invalid"
    challenge = 'Bearer error="invalid_token"'


class Forbidden(SecurityError):
    """The request is understood and not served."""


class ScopeMissing(Forbidden):
    """The key may not do this."""

    code = "scope_missing"


class KeysRequired(Forbidden):
    """Other machines reach the service, but it has no keys any more."""

    code = "keys_required"


class NoPolicy(Forbidden):
    """The table of who may do what does not speak of the route."""

    code = "no_policy"


class CrossSite(Forbidden):
    """A page of another site is behind the request."""

    code = "cross_site"


class HostNotAllowed(SecurityError):
    """The request was addressed to a name that a service without keys does not answer to."""

    code = "host_not_allowed"


class TooManyRequests(SecurityError):
    """Not now; `wait_s` seconds from now it may be."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class RateLimited(TooManyRequests):
    """The key has sent all the requests it may send in a minute."""

    code = "rate_limited"


class TooManyConcurrent(TooManyRequests):
    """As many requests of the key as may be are being served."""

    code = "too_many_concurrent"


class TooManyWrongKeys(TooManyRequests):
    """Wrong keys keep coming from the client's address."""

    code = "too_many_wrong_keys"
