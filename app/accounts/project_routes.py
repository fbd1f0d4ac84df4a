"""Projects over HTTP; all of it needs the scope `operator`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from app.accounts import projects
from app.accounts.project_schemas import (
    CREATE,
    CREATED,
    EXAMPLE,
    PROJECT_ID,
    ProjectChange,
    ProjectCreate,
    ProjectCreated,
    ProjectDeleted,
    ProjectObject,
)
from app.accounts.schemas import ApiKeyObject
from app.deps import PageDep, PrincipalDep, SessionDep, SettingsDep
from app.examples import listed, shown
from app.idempotency import IdempotentRoute
from app.pagination import ListOf, list_of
from app.problems import problem_responses

router = APIRouter(prefix="/projects", tags=["projects"], route_class=IdempotentRoute)


@router.post("", status_code=201, responses={**shown(CREATED, 201), **problem_responses(409, 413, 422)})
def create_project(
    body: Annotated[ProjectCreate, Body(openapi_examples={"project": {"value": CREATE}})],
    response: Response,
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
) -> ProjectCreated:
    """Make a project and its first key, whose `secret` is shown in this answer and never again."""
    project, key, secret = projects.create(session, body)
    response.headers["Location"] = f"/v1/projects/{project.id}"
    response.headers["Cache-Control"] = "no-store"
    return ProjectCreated.of(project, settings, api_key=ApiKeyObject.of(key), secret=secret)


@router.get("", responses={**shown(listed(EXAMPLE)), **problem_responses(422)})
def list_projects(
    principal: PrincipalDep, session: SessionDep, settings: SettingsDep, page: PageDep
) -> ListOf[ProjectObject]:
    """List all projects of this installation, newest first."""
    rows, has_more = projects.page_of(session, page)
    return list_of(rows, has_more, lambda row: ProjectObject.of(row, settings))


@router.get("/{project_id}", responses={**shown(EXAMPLE), **problem_responses(404)})
def get_project(
    project_id: str, principal: PrincipalDep, session: SessionDep, settings: SettingsDep
) -> ProjectObject:
    """Show one project with its limits."""
    return ProjectObject.of(projects.get(session, project_id), settings)


@router.patch("/{project_id}", responses={**shown(EXAMPLE), **problem_responses(404, 409, 413, 422)})
def change_project(
    project_id: str,
    body: Annotated[
        ProjectChange, Body(openapi_examples={"a limit": {"value": {"limits": {"jobs_at_once": 4}}}})
    ],
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
) -> ProjectObject:
    """Change a project's name, limits and retention; what is left out stays, null is as the settings say."""
    return ProjectObject.of(projects.change(session, project_id, body), settings)


@router.delete(
    "/{project_id}",
    responses={
        **shown(
            {"id": PROJECT_ID, "object": "project", "deleted": True, "deleted_keys": 1, "freed_bytes": 0}
        ),
        **problem_responses(404, 409),
    },
)
def delete_project(project_id: str, principal: PrincipalDep, session: SessionDep) -> ProjectDeleted:
    """Delete a project with its keys; 409 says what is in it, if anything is."""
    return ProjectDeleted(id=project_id, deleted_keys=projects.delete(session, principal, project_id))
