"""`/v1/collections`: named indexes, each with one model and one segmentation."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.routes.deletion_responses import deleted_answer, deleted_responses
from app.routes.dependencies import CollectionName, Cursor, LibraryDep, Limit
from app.routes.error_responses import problem_responses
from app.routes.json_bodies import JsonRoute
from app.routes.responses import collection_answer, page_answer
from xclip_search import schemas

router = APIRouter(prefix="/v1/collections", tags=["collections"], route_class=JsonRoute)


@router.get("", responses=problem_responses(422))
def list_collections(
    library: LibraryDep, cursor: Cursor = None, limit: Limit = 50
) -> schemas.Page[schemas.CollectionAnswer]:
    """Collections by name."""
    return page_answer(library.collections(cursor, limit), collection_answer)


@router.put(
    "/{collection}",
    responses={201: {"model": schemas.CollectionAnswer}, **problem_responses(409, 413, 422)},
)
def put_collection(
    library: LibraryDep,
    collection: CollectionName,
    response: Response,
    body: schemas.CollectionPut | None = None,
) -> schemas.CollectionAnswer:
    """Create a collection (201), or find the one with these properties (200)."""
    wanted = body or schemas.CollectionPut()
    view, created = library.put_collection(
        collection, wanted.window_s, wanted.stride_s, wanted.metadata
    )
    response.status_code = 201 if created else 200
    return collection_answer(view)


@router.get("/{collection}", responses=problem_responses(404, 422))
def get_collection(library: LibraryDep, collection: CollectionName) -> schemas.CollectionAnswer:
    """One collection and how much is in it."""
    return collection_answer(library.collection(collection))


@router.patch("/{collection}", responses=problem_responses(404, 413, 422))
def patch_collection(
    library: LibraryDep, collection: CollectionName, body: schemas.MetadataPatch
) -> schemas.CollectionAnswer:
    """Replace the metadata; model and segmentation are fixed at creation."""
    return collection_answer(library.describe_collection(collection, body.metadata))


@router.delete(
    "/{collection}",
    status_code=204,
    response_model=None,
    responses=deleted_responses(404, 409, 422),
)
def delete_collection(library: LibraryDep, collection: CollectionName) -> Response:
    """Delete a collection with all its videos; answered like the deletion of a video."""
    return deleted_answer(library.delete_collection(collection))
