"""`/v1/removals`: how much of what was deleted is still on disk."""

from __future__ import annotations

from fastapi import APIRouter

from app.routes.dependencies import LibraryDep
from xclip_search import schemas

router = APIRouter(prefix="/v1/removals", tags=["system"])


@router.get("")
def get_removals(library: LibraryDep) -> schemas.RemovalsAnswer:
    """What deletions have left to do; nothing pending means that all of it is off the disk."""
    pending = library.pending_removals()
    return schemas.RemovalsAnswer(pending=pending.count, oldest=pending.oldest)
