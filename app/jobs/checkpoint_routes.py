"""The states that are kept of jobs, over HTTP."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.deps import BlobsDep, PageDep, PrincipalDep, SessionDep
from app.examples import listed, shown
from app.jobs import examples, service
from app.jobs.record_schemas import CheckpointObject
from app.pagination import ListOf, list_of
from app.problems import problem_responses
from app.storage.serving import BLOB_RESPONSES, serve_blob

_jobs = APIRouter(prefix="/jobs", tags=["jobs"])
_checkpoints = APIRouter(prefix="/checkpoints", tags=["checkpoints"])


@_jobs.get(
    "/{job_id}/checkpoints", responses={**shown(listed(examples.CHECKPOINT)), **problem_responses(404, 422)}
)
def list_job_checkpoints(
    job_id: str, principal: PrincipalDep, session: SessionDep, page: PageDep
) -> ListOf[CheckpointObject]:
    """List the states that are kept of a job, newest first."""
    rows, has_more = service.checkpoints(session, principal.project_id, job_id, page)
    return list_of(rows, has_more, CheckpointObject.of)


@_checkpoints.get("/{checkpoint_id}", responses={**shown(examples.CHECKPOINT), **problem_responses(404)})
def get_checkpoint(checkpoint_id: str, principal: PrincipalDep, session: SessionDep) -> CheckpointObject:
    """Show one checkpoint."""
    return CheckpointObject.of(service.checkpoint(session, principal.project_id, checkpoint_id))


@_checkpoints.get(
    "/{checkpoint_id}/content",
    response_class=Response,
    responses={
        **BLOB_RESPONSES,
        **problem_responses(404, 416),
    },
)
@_checkpoints.head("/{checkpoint_id}/content", include_in_schema=False)
def get_checkpoint_content(
    checkpoint_id: str, request: Request, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep
) -> Response:
    """Download a checkpoint, a safetensors file; resumable by Range, ETag is its SHA-256."""
    found = service.checkpoint(session, principal.project_id, checkpoint_id)
    name = f"{found.kind}-{found.arm}-{found.seed}-{found.step}.safetensors"
    return serve_blob(request, blobs, found.blob_id, filename=name)


routers = (_jobs, _checkpoints)
