"""Download errors: what refuses or ends a download.

FetchError
├── UrlIngestOff       url_ingest_off         the service fetches nothing
├── InvalidUrl         invalid_url            the text is no URL of a file
├── UrlNotAllowed      url_not_allowed        the rules do not let it be fetched
├── UrlUnreachable     url_unreachable        its server does not hand the file over
├── UrlTooSlow         url_too_slow           it does, but not in time
└── TooManyDownloads   too_many_downloads     others are being fetched already

The messages go to the caller and never name an address that a host was found to have.
"""

from __future__ import annotations

from app.errors import ServiceError


class FetchError(ServiceError):
    """Root of the package's errors; the message is a sentence for the caller."""

    code = "fetch_error"


class UrlIngestOff(FetchError):
    """The operator has not switched fetching on."""

    code = "url_ingest_off"
    status = 403


class InvalidUrl(FetchError):
    """The text is not the URL of a file."""

    code = "invalid_url"
    status = 422


class UrlNotAllowed(FetchError):
    """Scheme, host, port or address is not among what may be fetched from."""

    code = "url_not_allowed"
    status = 403


class UrlUnreachable(FetchError):
    """The server at the URL cannot be reached or does not answer with the file."""

    code = "url_unreachable"
    status = 502


class UrlTooSlow(FetchError):
    """The server at the URL takes longer than it may."""

    code = "url_too_slow"
    status = 504


class TooManyDownloads(FetchError):
    """As many downloads as there may be are going on."""

    code = "too_many_downloads"
    status = 503
    retry_after_s = 5.0
