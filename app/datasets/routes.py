"""Data sets over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app.accounts import quotas
from app.conditions import NOT_MODIFIED, conditional
from app.datasets import service
from app.datasets.markdown import as_markdown
from app.datasets.receiving import ReceivedFile, received_file
from app.datasets.schemas import EXAMPLE, DatasetDeleted, DatasetObject, DatasetReport, UploadOptions
from app.datasets.version_schemas import FINDING_EXAMPLE
from app.db.models.dataset import Dataset
from app.deps import BlobsDep, DatabaseDep, LateSessionDep, PageDep, PrincipalDep, SessionDep, SettingsDep
from app.examples import listed, shown
from app.idempotency import IdempotentRoute, begin_streamed, is_answered
from app.negotiation import JSON, MARKDOWN, wants_markdown
from app.pagination import ListOf, list_of
from app.problems import problem_responses
from app.storage.serving import BLOB_RESPONSES, serve_blob
from app.turns import TurnDep

router = APIRouter(prefix="/datasets", tags=["datasets"], route_class=IdempotentRoute)

# In a form a field is left out or is text, never null.
_FIELDS = {
    name: {**field["anyOf"][0], "description": field["description"]}
    for name, field in UploadOptions.model_json_schema()["properties"].items()
    if name != "filename"
}
_UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary"},
                "example": "user_id,item_id,timestamp\n1,31,874965758\n1,7,874965954\n1,50,874965954\n",
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": {"type": "string", "format": "binary"}, **_FIELDS},
                },
                "example": {"file": "the bytes of log.csv", "name": "clicks of May", "format": "csv"},
            },
        },
    }
}


@router.post(
    "",
    status_code=201,
    responses={
        **shown({**EXAMPLE, "status": "validating"}, 201),
        **problem_responses(400, 413, 422, 503),
    },
    openapi_extra=_UPLOAD_BODY,
)
async def upload_dataset(
    *,
    request: Request,
    response: Response,
    options: Annotated[UploadOptions, Query()],
    principal: PrincipalDep,
    turn: TurnDep,
    session: LateSessionDep,
    database: DatabaseDep,
    blobs: BlobsDep,
    settings: SettingsDep,
) -> DatasetObject:
    """Upload a log of interactions, as the raw body or as a multipart form with one file.

    csv, tsv, jsonl, parquet, `.inter`, MovieLens `::`, sequence text and pairs; plain, gzip or zstd.
    The answer is `validating`; poll the data set until it is `ready` or `rejected` with `problems[]`.
    """
    project_id = principal.project_id
    declared = request.headers.get("content-length", "")

    def expect_room() -> None:
        with database.unit_of_work() as reader:
            # What a repeat stored the first time is no reason to refuse it.
            if not is_answered(request, reader):
                size = int(declared) if declared.isdigit() else 1
                quotas.expect_room(reader, settings, project_id, size)

    def create(file: ReceivedFile) -> Dataset:
        begin_streamed(request, file.writer.sha256, file.options.model_dump_json())
        quotas.require_room(session, settings, project_id, file.size)
        return service.create(session, project_id, file.writer, file.options)

    await run_in_threadpool(expect_room)
    async with received_file(request, blobs, settings, options) as file:
        await turn.take()
        dataset = await run_in_threadpool(create, file)
    response.headers["Location"] = f"/v1/datasets/{dataset.id}"
    return DatasetObject.of(dataset)


@router.get(
    "",
    responses={
        **shown(listed(EXAMPLE)),
        **problem_responses(422),
    },
)
def list_datasets(principal: PrincipalDep, session: SessionDep, page: PageDep) -> ListOf[DatasetObject]:
    """List the project's data sets, newest first."""
    rows, has_more = service.list_page(session, principal.project_id, page)
    return list_of(service.shown(session, rows), has_more, lambda dataset: dataset)


@router.get(
    "/{dataset_id}",
    response_model=DatasetObject,
    responses={**shown(EXAMPLE), **NOT_MODIFIED, **problem_responses(404)},
)
def get_dataset(dataset_id: str, request: Request, principal: PrincipalDep, session: SessionDep) -> Response:
    """Show one data set; while it is `validating`, `Retry-After` says when to ask again."""
    dataset = service.get(session, principal.project_id, dataset_id)
    headers = {"Retry-After": "1"} if dataset.status == "validating" else None
    body = service.shown(session, [dataset])[0].model_dump_json()
    return conditional(request, Response(body, media_type=JSON, headers=headers))


@router.get(
    "/{dataset_id}/report",
    response_model=DatasetReport,
    responses={
        **shown(
            {
                "object": "dataset_report",
                "dataset": EXAMPLE["id"],
                **{field: EXAMPLE[field] for field in ("status", "format", "columns", "stats")},
                "options": {},
                "errors": 0,
                "warnings": 1,
                "problems": [
                    {
                        "code": "no_header",
                        "message": "the file has no header; took column_1 as user, column_2 as item",
                        "pointer": "/columns",
                        "hint": "If that is wrong, name the columns: user_column=column_2 and so on.",
                        "severity": "warning",
                        "line": None,
                        "lines": [],
                        "count": 1,
                    }
                ],
                "findings": [FINDING_EXAMPLE],
            },
            others={MARKDOWN: {"schema": {"type": "string"}, "example": "# Data set log.csv\n"}},
        ),
        **problem_responses(404, 422),
    },
)
def get_dataset_report(
    dataset_id: str,
    request: Request,
    response: Response,
    *,
    principal: PrincipalDep,
    session: SessionDep,
    format: Annotated[
        Literal["json", "md"] | None,
        Query(description="By default as `Accept` asks for; JSON if it does not."),
    ] = None,
) -> Any:
    """Show what reading the data set found, and what the doctor says of it: with line numbers and fixes."""
    report = DatasetReport.of(service.get(session, principal.project_id, dataset_id))
    response.headers["Vary"] = "Accept"
    if wants_markdown(request, format):
        return Response(as_markdown(report), media_type=MARKDOWN, headers={"Vary": "Accept"})
    return report


@router.get(
    "/{dataset_id}/content",
    response_class=Response,
    responses={**BLOB_RESPONSES, **problem_responses(404, 409, 416)},
)
@router.head("/{dataset_id}/content", include_in_schema=False)
def get_dataset_content(
    dataset_id: str, request: Request, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep
) -> Response:
    """Download the file as it was uploaded; resumable by Range, ETag is its SHA-256."""
    dataset, stored = service.get_stored(session, principal.project_id, dataset_id)
    return serve_blob(request, blobs, stored, filename=dataset.filename)


@router.delete(
    "/{dataset_id}",
    responses={
        **shown({"id": EXAMPLE["id"], "object": "dataset", "deleted": True, "freed_bytes": 2583011}),
        **problem_responses(404, 409),
    },
)
def delete_dataset(
    dataset_id: str, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep
) -> DatasetDeleted:
    """Delete a data set and free its bytes; refused while what has not ended still needs it."""
    freed = service.delete(session, blobs, principal.project_id, dataset_id)
    return DatasetDeleted(id=dataset_id, freed_bytes=freed)
