"""`/v1/collections`: named indexes, each with one model and one segmentation."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.routes.deletion_responses import deleted_answer, deleted_responses
from app.routes.dependencies import CollectionName, Cursor, Limit, ServicesOf
from app.routes.error_responses import problem_responses
from app.routes.responses import collection_answer, page_answer
from xclip_search import schemas

router = APIRouter(prefix="/v1/collections", tags=["collections"])


@router.get("", responses=problem_responses(422))
def list_collections(
    services: ServicesOf, cursor: Cursor = None, limit: Limit = 50
) -> schemas.Page[schemas.CollectionAnswer]:
    """Collections by name."""
    return page_answer(services.library.collections(cursor, limit), collection_answer)


@router.put(
    "/{collection}",
    responses={201: {"model": schemas.CollectionAnswer}, **problem_responses(409, 413, 422)},
)
def put_collection(
    services: ServicesOf,
    collection: CollectionName,
    response: Response,
    body: schemas.CollectionPut | None = None,
) -> schemas.CollectionAnswer:
    """Create a collection (201), or find the one that is as asked (200)."""
    asked = body or schemas.CollectionPut()
    view, created = services.library.put_collection(
        collection, asked.window_s, asked.stride_s, asked.metadata
    )
    response.status_code = 201 if created else 200
    return collection_answer(view)


@router.get("/{collection}", responses=problem_responses(404, 422))
def get_collection(services: ServicesOf, collection: CollectionName) -> schemas.CollectionAnswer:
    """One collection and how much is in it."""
    return collection_answer(services.library.collection(collection))


@router.patch("/{collection}", responses=problem_responses(404, 413, 422))
def patch_collection(
    services: ServicesOf, collection: CollectionName, body: schemas.MetadataPatch
) -> schemas.CollectionAnswer:
    """Replace the metadata; model and segmentation are fixed at creation."""
    return collection_answer(services.library.describe_collection(collection, body.metadata))


@router.delete(
    "/{collection}",
    status_code=204,
    response_model=None,
    responses=deleted_responses(404, 409, 422),
)
def delete_collection(services: ServicesOf, collection: CollectionName) -> Response:
    """Delete a collection with all its videos; answered like the deletion of a video."""
    return deleted_answer(services.library.delete_collection(collection))
