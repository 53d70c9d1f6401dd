"""What schemathesis cannot know by itself: uploads are plain bytes, other headers are welcome."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.transport import SerializationContext


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """HTTP lets every client send headers of its own, so no request is wrong for one."""
    return "x-schemathesis-unknown-property" not in (case.headers or {})


@schemathesis.serializer("application/offset+octet-stream")
def piece(_context: SerializationContext, value: Any) -> bytes:
    """The body as it is sent."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
