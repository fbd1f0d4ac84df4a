"""What a succeeded job leaves to be read: report, page, manifest, figures."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models.job import Job
from app.db.models.job_file import JobFile
from app.errors import NotFoundError
from app.jobs import queries
from app.state_errors import JobStateError

REPORTS = {"json": "report.json", "html": "report.html", "md": "report.md"}
MANIFEST = "manifest.json"
_FIGURES, _SVG = "figures/", ".svg"


def document(session: Session, project_id: str, job_id: str, path: str) -> JobFile | None:
    """One document of a succeeded job; None when the job is older than documents are.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: It has not succeeded (`report_not_ready`).

    """
    _succeeded(session, project_id, job_id)
    return session.get(JobFile, (job_id, path))


def manifest(session: Session, project_id: str, job_id: str) -> JobFile:
    """The job's manifest. Raises as `document` does, and NotFoundError (`manifest_not_found`)."""
    found = document(session, project_id, job_id, MANIFEST)
    if found is None:
        raise _older("manifest", job_id)
    return found


def figures(session: Session, project_id: str, job_id: str) -> Sequence[tuple[str, JobFile]]:
    """The job's figures, by name. Raises as `document` does."""
    _succeeded(session, project_id, job_id)
    statement = select(JobFile).where(JobFile.job_id == job_id, JobFile.path.startswith(_FIGURES))
    rows = session.execute(statement.order_by(JobFile.path)).scalars()
    return [(row.path.removeprefix(_FIGURES).removesuffix(_SVG), row) for row in rows]


def figure(session: Session, project_id: str, job_id: str, name: str) -> JobFile:
    """One of them. Raises as `document` does, and NotFoundError (`figure_not_found`)."""
    found = document(session, project_id, job_id, f"{_FIGURES}{name}{_SVG}")
    if found is None:
        raise NotFoundError(
            f"Job {job_id} has no figure {name!r}.",
            code="figure_not_found",
            hint=f"GET /v1/jobs/{job_id}/figures lists those that there are.",
            pointer="path:name",
        )
    return found


def older_report(session: Session, project_id: str, job_id: str, wanted: str) -> bytes:
    """The report of a job from before documents were kept: JSON with its arms in order, or Markdown.

    Raises NotFoundError (`page_not_found`) for HTML, of which there is none.
    """
    job = _succeeded(session, project_id, job_id)
    if wanted == "html":
        raise _older("page", job_id)
    if wanted == "md":
        return (job.report_markdown or "").encode()
    report = dict(job.report or {})
    arms = report.get("arms", {})
    # The database keeps no order of keys; the arms have one.
    order = [arm for arm in job.spec.get("arms", ()) if arm in arms]
    report["arms"] = {arm: arms[arm] for arm in dict.fromkeys((*order, *arms))}
    return json.dumps(report, ensure_ascii=False).encode()


def _succeeded(session: Session, project_id: str, job_id: str) -> Job:
    job = queries.find(session, project_id, job_id)
    if job is None:
        raise NotFoundError.of("job", job_id)
    if job.status != "succeeded":
        raise JobStateError(
            f"Job {job_id} is {job.status} and has no report.",
            code="report_not_ready",
            hint="A report is there once the job has succeeded.",
            extra={"job_status": job.status},
        )
    return job


def _older(kind: str, job_id: str) -> NotFoundError:
    return NotFoundError(
        f"Job {job_id} was run by a version that kept no {kind}.",
        code=f"{kind}_not_found",
        hint=f"GET /v1/jobs/{job_id}/report has its figures as JSON and Markdown.",
        pointer="path:job_id",
    )
