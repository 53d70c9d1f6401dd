"""`…/videos/{id}/clip`: an interval of a video as a file."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response

from app.routes.dependencies import (
    ClipExportDep,
    CollectionName,
    CurrentPermit,
    LibraryDep,
    VideoId,
)
from app.routes.files import FileHeaders, file_response, file_responses, video_media_type
from app.services.library.clip_export import ClipExport, VideoClip
from app.services.library.library import LibraryService

router = APIRouter(prefix="/v1/collections/{collection}/videos/{video_id}", tags=["videos"])

CLIP_START_HEADER = "x-clip-start"
CLIP_END_HEADER = "x-clip-end"
_CACHE = "private, max-age=86400, immutable"
_RESPONSES = file_responses(("video/mp4", "video/webm"), 404, 409, 413, 422, 502, 507)
Start = Annotated[
    float,
    Query(ge=0, allow_inf_nan=False, description="seconds from the start of the video"),
]
End = Annotated[
    float,
    Query(
        ge=0,
        allow_inf_nan=False,
        description="seconds from the start of the video; after `start`, by 600 at most",
    ),
]


@router.head("/clip", include_in_schema=False)
@router.get("/clip", response_class=Response, responses=_RESPONSES)
async def get_clip(
    request: Request,
    permit: CurrentPermit,
    library: LibraryDep,
    clip_export: ClipExportDep,
    collection: CollectionName,
    video_id: VideoId,
    start: Start,
    end: End,
) -> Response:
    """The interval from `start` to `end` seconds as an mp4 or webm, copied without loss.

    It begins at the last keyframe at or before `start`: `x-clip-start` says where.
    """
    clip, described = await anyio.to_thread.run_sync(
        _cut, library, clip_export, collection, video_id, start, end
    )
    permit.leave(served=True)  # the clip is cut: another may be while this one is sent
    return file_response(request, clip.content, described)


def _cut(
    library: LibraryService,
    clip_export: ClipExport,
    collection: str,
    video_id: str,
    start: float,
    end: float,
) -> tuple[VideoClip, FileHeaders]:
    video = library.video(collection, video_id)
    clip = clip_export.cut(video, start, end)
    name = f"{PurePath(video.filename).stem} {clip.start_s:.2f}-{clip.end_s:.2f}.{clip.container}"
    return clip, FileHeaders(
        video_media_type(clip.container, None),
        clip.sha256,
        _CACHE,
        name,
        {CLIP_START_HEADER: f"{clip.start_s:.6f}", CLIP_END_HEADER: f"{clip.end_s:.6f}"},
    )
