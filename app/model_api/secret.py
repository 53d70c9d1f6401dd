"""Shared secret of API and worker: its name in the catalog, and how a request shows it.

API and worker keep it in the catalog and nowhere else, so no configuration can get it wrong, and
the worker's port may be reachable by others.
"""

from __future__ import annotations

SECRET = "worker"  # noqa: S105  the name of the catalog's secret


def credentials(secret: bytes) -> str:
    """The Authorization header of a request to the worker."""
    return f"Bearer {secret.hex()}"
