"""What schemathesis cannot know by itself: pieces of a resumable upload are plain bytes."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.transport import SerializationContext


@schemathesis.serializer("application/offset+octet-stream")
def piece(_context: SerializationContext, value: Any) -> bytes:
    """The body as it is sent."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
