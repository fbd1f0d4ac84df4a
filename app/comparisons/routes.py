"""Comparisons over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from app.comparisons.schemas import EXAMPLE, Comparison
from app.comparisons.wording import markdown
from app.deps import BlobsDep, PrincipalDep, SessionDep
from app.negotiation import MARKDOWN, wants_markdown
from app.problems import problem_responses

router = APIRouter(prefix="/compare", tags=["evaluations"])


@router.get(
    "",
    response_model=Comparison,
    responses={
        200: {
            "description": "The comparison",
            "content": {
                "application/json": {"example": EXAMPLE},
                MARKDOWN: {"schema": {"type": "string"}, "example": "# Against standard of movielens\n"},
            },
        },
        **problem_responses(404, 409, 422),
    },
)
def compare(
    request: Request,
    response: Response,
    *,
    principal: PrincipalDep,
    session: SessionDep,
    blobs: BlobsDep,
    jobs: Annotated[str, Query(max_length=4000, description="Ids of jobs, with commas; every arm.")] = "",
    models: Annotated[
        str, Query(max_length=4000, description="Models, by id or reference, as their jobs measured them.")
    ] = "",
    evaluations: Annotated[str, Query(max_length=4000, description="Ids of evaluations.")] = "",
    arm: Annotated[str | None, Query(max_length=32, description="Of jobs, only this arm.")] = None,
    baseline: Annotated[
        str | None,
        Query(
            max_length=200,
            description="`id`, `id:arm` or a model's reference (`name@production`) of what the others are "
            "compared with; by default the first, and of a job its arm `standard`, or its first.",
        ),
    ] = None,
    allow_mixed: Annotated[
        bool, Query(description="Compare all the same what was not measured alike; not paired then.")
    ] = False,
    format: Annotated[
        Literal["json", "md"] | None,
        Query(description="By default as `Accept` asks for; JSON if it does not."),
    ] = None,
) -> Comparison | Response:
    """Compare jobs, models or evaluations user by user: differences with bootstrap intervals."""
    from app.comparisons import service  # noqa: PLC0415 - numpy only where something is compared

    asked = service.Asked(
        jobs=_ids(jobs),
        models=_ids(models),
        evaluations=_ids(evaluations),
        arm=arm,
        baseline=baseline,
        allow_mixed=allow_mixed,
    )
    found = service.compare(session, blobs, principal.project_id, asked)
    if wants_markdown(request, format):
        return Response(markdown(found), media_type=f"{MARKDOWN}; charset=utf-8", headers={"Vary": "Accept"})
    response.headers["Vary"] = "Accept"
    return Comparison.of(found)


def _ids(text: str) -> list[str]:
    return [one for one in (part.strip() for part in text.split(",")) if one]
