"""`…/videos/{id}/embeddings`: the stored embeddings of a video, for other programs."""

from __future__ import annotations

import base64

from fastapi import APIRouter

from app.catalog.records import StoredSegment
from app.routes.dependencies import CollectionName, LibraryDep, VideoId
from app.routes.error_responses import problem_responses
from xclip_search import schemas

router = APIRouter(prefix="/v1/collections/{collection}/videos", tags=["videos"])


@router.get("/{video_id}/embeddings", responses=problem_responses(404, 422))
def get_video_embeddings(
    library: LibraryDep, collection: CollectionName, video_id: VideoId
) -> schemas.VideoEmbeddings:
    """A video's segments in order of time, each with its vector; none before its job succeeded."""
    video = library.video(collection, video_id)
    stored = library.stored_segments(video)
    view = library.collection(collection)
    return schemas.VideoEmbeddings(
        video_id=video.id, model=view.collection.model, items=[_item(each) for each in stored]
    )


def _item(stored: StoredSegment) -> schemas.SegmentEmbedding:
    segment, vector = stored.segment, stored.vector
    return schemas.SegmentEmbedding(
        segment_id=segment.id,
        index=segment.position,
        start=segment.start_s,
        end=segment.end_s,
        embedding=None if vector is None else base64.b64encode(vector).decode(),
    )
