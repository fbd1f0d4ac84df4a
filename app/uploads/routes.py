"""Uploads in parts over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app.datasets import service as datasets
from app.datasets.schemas import EXAMPLE as DATASET
from app.datasets.schemas import DatasetObject
from app.db.models.upload import Upload, UploadPart
from app.deps import BlobsDep, DatabaseDep, PageDep, PrincipalDep, SessionDep, SettingsDep
from app.examples import listed, shown
from app.idempotency import IdempotentRoute
from app.pagination import ListOf, list_of
from app.problems import problem_responses
from app.turns import TurnDep
from app.uploads import completing, schemas, service
from app.uploads.receiving import received_part
from app.uploads.schemas import PartObject, Sha256, UploadComplete, UploadCreate, UploadDeleted, UploadObject

router = APIRouter(prefix="/uploads", tags=["uploads"], route_class=IdempotentRoute)

_ID = schemas.EXAMPLE["id"]
_PART_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary"},
                "example": "user_id,item_id,timestamp\n1,31,874965758\n",
            }
        },
    },
    "parameters": [
        {
            "name": "Content-Digest",
            "in": "header",
            "required": False,
            "description": "SHA-256 of the part (RFC 9530); what arrives is checked against it.",
            "schema": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
            "example": "sha-256=:LCa0a2j/xo/5m0U8HTBBNBNCLXBkg7+g+YpeiGJm564=:",
        }
    ],
}
CreateBody = Annotated[UploadCreate, Body(openapi_examples={"upload": {"value": schemas.CREATE}})]
CompleteBody = Annotated[
    UploadComplete | None, Body(openapi_examples={"digest": {"value": schemas.COMPLETE}})
]


@router.post(
    "",
    status_code=201,
    responses={
        **shown(
            {**schemas.EXAMPLE, "parts": [], "received_bytes": 0, "missing": [1, 2, 3]},
            201,
        ),
        **problem_responses(413, 422, 503),
    },
)
def open_upload(
    body: CreateBody,
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
    response: Response,
) -> UploadObject:
    """Open an upload in parts, for a file that is too large, or a line too shaky, for one request.

    Every part has `part_bytes` bytes, the last one what is left. It is forgotten a day after its last part.
    """
    upload = service.open_upload(session, settings, principal.project_id, body)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    return UploadObject.of(upload, [], settings.upload_expiry_seconds)


@router.get(
    "",
    responses={
        **shown(listed(schemas.EXAMPLE)),
        **problem_responses(422),
    },
)
def list_uploads(
    *,
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
    page: PageDep,
    status: Annotated[Literal["open", "completed"] | None, Query(description="Only those.")] = None,
    sha256: Annotated[Sha256 | None, Query(description="Only those of the file with this SHA-256.")] = None,
) -> ListOf[UploadObject]:
    """List the project's uploads in parts, newest first: what is left of one whose sender has died, say."""
    rows, has_more = service.list_page(session, principal.project_id, page, status=status, sha256=sha256)

    def present(row: tuple[Upload, Any]) -> UploadObject:
        return UploadObject.of(*row, settings.upload_expiry_seconds)

    return list_of(rows, has_more, present)


@router.get("/{upload_id}", responses={**shown(schemas.EXAMPLE), **problem_responses(404)})
def get_upload(
    upload_id: str, principal: PrincipalDep, session: SessionDep, settings: SettingsDep
) -> UploadObject:
    """Show an upload: its parts with their digests, and the numbers of those that are missing."""
    upload, parts = service.get(session, principal.project_id, upload_id)
    return UploadObject.of(upload, parts, settings.upload_expiry_seconds)


@router.put(
    "/{upload_id}/parts/{n}",
    responses={**shown(schemas.PART), **problem_responses(400, 404, 409, 413, 422, 503)},
    openapi_extra=_PART_BODY,
)
async def put_upload_part(
    *,
    request: Request,
    upload_id: str,
    n: Annotated[int, Path(ge=1, le=2**31 - 1, description="The part's number, from 1.")],
    principal: PrincipalDep,
    database: DatabaseDep,
    blobs: BlobsDep,
    settings: SettingsDep,
    turn: TurnDep,
) -> PartObject:
    """Send one part, the bytes as the body; in any order, several at once, and again if in doubt.

    The same part again changes nothing; other bytes replace it, as long as the upload is not complete.
    """
    project_id = principal.project_id

    def before() -> int:
        with database.unit_of_work() as session:
            return service.most_bytes(session, settings, project_id, upload_id, n)

    # No transaction is open while bytes arrive: a slow client holds no connection.
    most_bytes = await run_in_threadpool(before)
    async with received_part(request, blobs, settings, n=n, most_bytes=most_bytes) as received:

        def store() -> UploadPart:
            with database.unit_of_work() as session:
                return service.store_part(
                    session, blobs, settings, project_id, upload_id=upload_id, n=n, received=received
                )

        await turn.take()
        part = await run_in_threadpool(store)
    return PartObject.of(part)


@router.post(
    "/{upload_id}/complete",
    status_code=201,
    responses={
        **shown({**DATASET, "status": "validating"}, 201),
        200: {
            "model": DatasetObject,
            "description": "It was complete already; this is its data set",
            "content": {"application/json": {"example": DATASET}},
        },
        **problem_responses(404, 409, 413, 422, 503),
    },
)
def complete_upload(
    *,
    upload_id: str,
    response: Response,
    principal: PrincipalDep,
    session: SessionDep,
    blobs: BlobsDep,
    settings: SettingsDep,
    body: CompleteBody = None,
) -> DatasetObject:
    """Make a data set of the parts, `validating`; asked again, answers with the same one.

    All bytes are checked once more, which takes some seconds for each GB; nothing is copied.
    """
    sha256 = body.sha256 if body is not None else None
    dataset, new = completing.complete(
        session, blobs, settings, principal.project_id, upload_id=upload_id, sha256=sha256
    )
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/datasets/{dataset.id}"
    return datasets.shown(session, [dataset])[0]


@router.delete(
    "/{upload_id}",
    responses={
        **shown({"id": _ID, "object": "upload", "deleted": True, "freed_bytes": 8388608}),
        **problem_responses(404, 409),
    },
)
def abandon_upload(
    upload_id: str, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep
) -> UploadDeleted:
    """Abandon an upload that is not complete and free the bytes of its parts."""
    freed = service.abandon(session, blobs, principal.project_id, upload_id)
    return UploadDeleted(id=upload_id, freed_bytes=freed)
