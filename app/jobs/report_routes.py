"""Reports, manifests and figures over HTTP; what a browser draws is served so that it can run nothing."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from app.conditions import NOT_MODIFIED, conditional
from app.db.models.job_file import JobFile
from app.deps import BlobsDep, PageDep, PrincipalDep, SessionDep
from app.examples import JOB_ID, SHA256, listed, shown
from app.jobs import examples, reports
from app.negotiation import HTML, JSON, MARKDOWN, preferred
from app.pagination import ListOf, list_of, page_by_name
from app.problems import problem_responses
from app.storage.serving import BLOB_RESPONSES, serve_blob

ReportFormat = Literal["json", "html", "md"]

SVG = "image/svg+xml"
_FORMATS: dict[str, ReportFormat] = {JSON: "json", HTML: "html", MARKDOWN: "md"}
_MEDIA_TYPES: dict[str, str] = {
    "json": JSON,
    "html": f"{HTML}; charset=utf-8",
    "md": f"{MARKDOWN}; charset=utf-8",
}
_INERT = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox"
}
_IN_PART: dict[int | str, dict[str, Any]] = {206: BLOB_RESPONSES[206], **NOT_MODIFIED}

router = APIRouter(prefix="/jobs", tags=["jobs"])


class FigureObject(BaseModel):
    """A figure of a job's report; its SVG is at `/v1/jobs/{job_id}/figures/{id}.svg`."""

    id: str
    object: Literal["figure"] = "figure"
    job: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, name: str, row: JobFile) -> Self:
        """The object of one stored figure."""
        return cls(id=name, job=row.job_id, bytes=row.bytes, sha256=row.sha256)


_OBJECT = {"type": "object", "description": "Its fields are on the page about reports."}
_FIGURE = {
    "id": "pareto",
    "object": "figure",
    "job": JOB_ID,
    "bytes": 32426,
    "sha256": SHA256,
}
_MANIFEST = {
    "format": "steadyrank-manifest",
    "schema_version": 1,
    "data": {"content_sha256": SHA256, "users": 943},
    "seeds": [0],
    "models": [{"arm": "cascade", "seed": 0, "files": {"weights.safetensors": SHA256}}],
}


@router.get(
    "/{job_id}/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report",
            "content": {
                JSON: {"schema": _OBJECT, "example": examples.REPORT},
                HTML: {"schema": {"type": "string"}, "example": '<!DOCTYPE html>\n<html lang="en">…'},
                MARKDOWN: {"schema": {"type": "string"}, "example": "# Report\n\n| arm | NDCG@10 |\n"},
            },
        },
        **_IN_PART,
        **problem_responses(404, 409, 416, 422),
    },
)
@router.head("/{job_id}/report", include_in_schema=False)
def get_job_report(
    job_id: str,
    request: Request,
    *,
    principal: PrincipalDep,
    session: SessionDep,
    blobs: BlobsDep,
    format: Annotated[
        ReportFormat | None, Query(description="By default as `Accept` asks for; JSON if it does not.")
    ] = None,
) -> Response:
    """Compare the arms of a succeeded job: clean, under attack, beside baselines; JSON, HTML or Markdown."""
    wanted = format or _FORMATS[preferred(request, tuple(_FORMATS))]
    media_type = _MEDIA_TYPES[wanted]
    found = reports.document(session, principal.project_id, job_id, reports.REPORTS[wanted])
    if found is None:
        content = reports.older_report(session, principal.project_id, job_id, wanted)
        response = conditional(request, Response(content, media_type=media_type))
    else:
        response = serve_blob(request, blobs, found.blob_id, content_type=media_type)
    response.headers["Vary"] = "Accept"
    if wanted == "html":
        response.headers.update(_INERT)
    return response


@router.get(
    "/{job_id}/manifest",
    response_class=Response,
    responses={
        200: {"content": {JSON: {"schema": _OBJECT, "example": _MANIFEST}}},
        **_IN_PART,
        **problem_responses(404, 409, 416),
    },
)
@router.head("/{job_id}/manifest", include_in_schema=False)
def get_job_manifest(
    job_id: str, request: Request, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep
) -> Response:
    """Show what a job was made of and made, by hash; `steadyrank train --from-manifest` does it again."""
    found = reports.manifest(session, principal.project_id, job_id)
    return serve_blob(request, blobs, found.blob_id, content_type=JSON)


@router.get("/{job_id}/figures", responses={**shown(listed(_FIGURE)), **problem_responses(404, 409)})
def list_job_figures(
    job_id: str, principal: PrincipalDep, session: SessionDep, page: PageDep
) -> ListOf[FigureObject]:
    """List the figures of a succeeded job's report, by name."""
    rows = reports.figures(session, principal.project_id, job_id)
    found, has_more = page_by_name(rows, lambda row: row[0], page)
    return list_of(found, has_more, lambda row: FigureObject.of(*row))


@router.get(
    "/{job_id}/figures/{name}.svg",
    response_class=Response,
    responses={
        200: {
            "description": "The drawing",
            "content": {
                SVG: {"schema": {"type": "string"}, "example": '<svg xmlns="http://www.w3.org/2000/svg"/>'}
            },
        },
        **_IN_PART,
        **problem_responses(404, 409, 416),
    },
)
@router.head("/{job_id}/figures/{name}.svg", include_in_schema=False)
def get_job_figure(
    job_id: str,
    name: str,
    request: Request,
    *,
    principal: PrincipalDep,
    session: SessionDep,
    blobs: BlobsDep,
) -> Response:
    """Show one figure as SVG: light or dark as the reader's screen is, without scripts."""
    found = reports.figure(session, principal.project_id, job_id, name)
    response = serve_blob(request, blobs, found.blob_id, content_type=SVG)
    response.headers.update(_INERT)
    return response
