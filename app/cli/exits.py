"""Exit codes that scripts can rely on, and the one place that turns errors into them.

| code | means |
| --- | --- |
| 0 | done |
| 1 | a job, evaluation or batch failed, a data set was rejected, an answer got lost, or `up` cannot start |
| 2 | wrong usage or bad input: what you asked for is refused (4xx), or a file cannot be read |
| 3 | the service is not known, cannot be reached, or failed itself (5xx); `up`: another one runs there |
| 4 | the job or evaluation was cancelled |
| 5 | a run done again from its manifest is the same within tolerance, not bit for bit |
| 6 | a run done again from its manifest is different |
| 7 | it did not end within `--timeout`, or the time that a command gives it; it goes on |
| 8 | too many requests, or a quota (of a day, a month, or of so many at once) is used up: 429; later not |
| 130 | Ctrl-C |
"""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from app.console import new_console
from app.embedded.errors import EmbeddedError
from app.sdk.errors import (
    DatasetRejectedError,
    IntegrityError,
    NotConfiguredError,
    ProbablyDeletedError,
    ProblemError,
    RateLimitedError,
    SecretLostError,
    ServerError,
    ServiceUnreachableError,
    SteadyRankError,
    WaitTimeoutError,
)
from app.sdk.objects.datasets import Problem
from app.sdk.objects.jobs import Job

OK = 0
FAILED = 1
BAD_INPUT = 2
UNAVAILABLE = 3
CANCELLED = 4
WITHIN_TOLERANCE = 5
DIFFERENT = 6
TIMED_OUT = 7
LIMITED = 8
INTERRUPTED = 130


class UsageProblemError(SteadyRankError):
    """The command line, or a file that it names, is wrong."""


class ServiceFailedError(SteadyRankError):
    """Something that a command needs of the service, such as its database, is down or broke."""


class DemoFailedError(SteadyRankError):
    """Something that ought to work did not; the message says what."""


class EndedBadlyError(SteadyRankError):
    """Work that was waited for ended, but did not succeed; `status` says how."""

    def __init__(self, detail: str, *, hint: str, status: str) -> None:
        super().__init__(detail, hint=hint)
        self.status = status


_UNAVAILABLE = (
    NotConfiguredError,
    ServiceUnreachableError,
    ServerError,
    ServiceFailedError,
    EmbeddedError,
)
_FAILED = (DatasetRejectedError, IntegrityError, SecretLostError, ProbablyDeletedError, DemoFailedError)


class ReportingGroup(TyperGroup):
    """A command group that shows every known error as one block and ends with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; nothing but a bug of ours leaves a traceback."""
        try:
            return super().invoke(ctx)
        except (SteadyRankError, EmbeddedError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            show_error(error)
            raise typer.Exit(exit_code_of(error)) from error


def exit_code_of(error: Exception) -> int:
    """The exit code of an error."""
    if isinstance(error, _UNAVAILABLE):
        return UNAVAILABLE
    if isinstance(error, EndedBadlyError):
        return _of_end(error.status)
    if isinstance(error, WaitTimeoutError):
        return TIMED_OUT
    if isinstance(error, RateLimitedError):
        return LIMITED
    return FAILED if isinstance(error, _FAILED) else BAD_INPUT


def exit_code_of_job(job: Job) -> int:
    """The exit code of an ended job."""
    return _of_end(job.status)


def _of_end(status: str) -> int:
    return {"succeeded": OK, "cancelled": CANCELLED}.get(status, FAILED)


def show_error(error: Exception) -> None:
    """Write one block to stderr: what happened, where, and what to do about it."""
    console = new_console(stderr=True, soft_wrap=True)
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        console.print(f"[bold red]Error[/] {escape(named)}{escape(error.strerror or str(error))}")
        return
    detail = str(getattr(error, "detail", "") or getattr(error, "message", "") or error)
    hint = getattr(error, "hint", "")
    console.print(f"[bold red]Error[/] {escape(detail)}")
    if isinstance(error, ProblemError):
        for fault in error.errors:
            if fault.message == detail:
                continue  # one fault, told already
            got = f" (got {fault.got!r})" if fault.got is not None else ""
            console.print(f"  [bold]{escape(fault.pointer or '/')}[/] {escape(fault.message + got)}")
            if fault.hint:
                console.print(f"    [dim]{escape(fault.hint)}[/]")
        if error.used_by:
            console.print(f"  used by {escape(', '.join(error.used_by))}")
    if isinstance(error, DatasetRejectedError):
        for problem in error.dataset.problems:
            show_problem(console, problem)
    if hint:
        console.print(f"  [cyan]Hint[/] {escape(hint)}")
    if isinstance(error, ProblemError):
        where = f", request {error.request_id}" if error.request_id else ""
        console.print(f"  [dim]{error.status} {escape(error.code + where)}[/]")


def show_problem(console: Console, problem: Problem) -> None:
    """Write one problem of a data set: severity, line, what, and what to do."""
    colour = "red" if problem.severity == "error" else "yellow"
    line = f"line {problem.line}: " if problem.line is not None else ""
    often = f" ({problem.count} times)" if problem.count > 1 else ""
    console.print(f"  [{colour}]{problem.severity}[/] {escape(line + problem.message + often)}")
    if problem.hint:
        console.print(f"    [dim]{escape(problem.hint)}[/]")
