"""REST client, blocking and asynchronous: what it returns are the models of `schemas`.

    from xclip_search import Client

    with Client("http://127.0.0.1:8000") as client:
        client.wait(client.upload("match.mp4").job.id)
        for moment in client.search("a red circle moving left").results:
            print(moment.filename, moment.start, moment.end, moment.confidence)

It needs httpx, pydantic and NumPy, and nothing of the server. docs/client.md says the rest.
"""

from __future__ import annotations

from xclip_search.clients import AsyncClient, Client
from xclip_search.errors import ApiError, ServiceAway, StillWaiting
from xclip_search.searches import SearchQuery
from xclip_search.unfinished import Unfinished
from xclip_search.uploads import Uploaded
from xclip_search.vectors import SegmentVector, VideoVectors

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "SearchQuery",
    "SegmentVector",
    "ServiceAway",
    "StillWaiting",
    "Unfinished",
    "Uploaded",
    "VideoVectors",
]
