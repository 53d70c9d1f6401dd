"""A client of the REST API, blocking and asynchronous; answers are the models of `app.schemas`.

    with Client("http://127.0.0.1:8000") as client:
        client.wait(client.upload(Path("match.mp4")).job.id)
        for moment in client.search(text="a red circle moving left").results:
            print(moment.filename, moment.start, moment.end, moment.confidence)

docs/client.md says the rest.
"""

from __future__ import annotations

from app.client.clients import AsyncClient, Client
from app.client.errors import ApiError, ServiceAway, StillWaiting
from app.client.unfinished import Unfinished
from app.client.uploads import Uploaded

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ServiceAway",
    "StillWaiting",
    "Unfinished",
    "Uploaded",
]
