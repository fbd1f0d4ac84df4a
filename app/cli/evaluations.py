"""`steadyrank evaluations …` and `steadyrank compare …`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.markup import escape

from app.cli.exits import EndedBadlyError, UsageProblemError
from app.cli.output import (
    AsJson,
    IdempotencyKey,
    Limit,
    connect,
    newest,
    print_fields,
    print_freed,
    print_json,
    print_rows,
    status_text,
    time_text,
)
from app.cli.settings_file import read_assignments, split_names
from app.console import new_console
from app.sdk.evaluations import Evaluation

app = typer.Typer(no_args_is_help=True, help="Measure stored models on data sets, clean and under attack.")
EvaluationId = Annotated[str, typer.Argument(metavar="EVALUATION", help="Its id (eval_…).")]


@app.command()
def run(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A model's id (mdl_…), or NAME@VERSION, NAME@ALIAS.")],
    dataset: Annotated[str, typer.Argument(help="A data set's id (ds_…).")],
    name: Annotated[str | None, typer.Option(help="What you call it.")] = None,
    split: Annotated[str | None, typer.Option(help="leave_one_out or temporal.")] = None,
    exclude_seen: Annotated[bool | None, typer.Option(help="Leave a user's earlier items out.")] = None,
    attack_positions: Annotated[
        str | None, typer.Option(help="With commas: end, start, random, highest_cascade.")
    ] = None,
    attack_counts: Annotated[str | None, typer.Option(help="With commas: how many items.")] = None,
    attack_replacements: Annotated[
        str | None, typer.Option(help="With commas: uniform, popularity, nearest, gradient.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another setting, e.g. k_core=5; may be repeated."),
    ] = None,
    idempotency_key: IdempotencyKey = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Wait no longer; it goes on all the same.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the end, and show the report.")] = True,
    as_json: AsJson = False,
) -> None:
    """Measure a model on a data set; what is left out is as in the model's job."""
    settings: dict[str, Any] = {
        "split": split,
        "exclude_seen": exclude_seen,
        "attack_positions": split_names(attack_positions),
        "attack_counts": _numbers(attack_counts),
        "attack_replacements": split_names(attack_replacements),
    }
    given = read_assignments(assignments or ())
    given |= {key: value for key, value in settings.items() if value is not None}
    if odd := given.keys() & {"model", "dataset", "name", "idempotency_key"}:
        hint = "MODEL, DATASET, --name and --idempotency-key say it."
        raise UsageProblemError(f"--set {min(odd)}: is no setting", hint=hint)
    with connect(ctx) as client:
        found = client.evaluations.create(model, dataset, name=name, idempotency_key=idempotency_key, **given)
        if wait:
            typer.echo(found.id, err=True)  # at once: whatever ends this command, the evaluation goes on
            found = client.evaluations.wait(found, timeout=timeout)
            if found.status != "succeeded":
                error = found.error or {"message": f"The evaluation is {found.status}.", "hint": None}
                hint = str(error.get("hint") or "")
                raise EndedBadlyError(str(error["message"]), hint=hint, status=found.status)
        if as_json:
            print_json(client.evaluations.report(found) if wait else found.raw)
        elif wait:
            sys.stdout.write(client.evaluations.report_markdown(found))
        else:
            _show(found)


@app.command("list")
def list_(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only those of this model's id.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only those on this data set.")] = None,
    status: Annotated[str | None, typer.Option(help="Only those with this status.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List evaluations, newest first."""
    with connect(ctx) as client:
        found = newest(client.evaluations.list, limit=limit, model=model, dataset=dataset, status=status)
    if as_json:
        print_json([row.raw for row in found])
        return
    print_rows(
        ("id", "status", "model", "dataset", "NDCG@10", "created"),
        (
            (
                row.id,
                status_text(row.status),
                escape(_model_of(row)),
                row.dataset,
                f"{row.metrics['ndcg@10']:.4f}" if row.metrics else "",
                time_text(row.created_at),
            )
            for row in found
        ),
        empty="No evaluations yet: steadyrank evaluations run MODEL DATASET makes one.",
    )


@app.command()
def show(ctx: typer.Context, evaluation: EvaluationId, as_json: AsJson = False) -> None:
    """Show one: how far it is, or what it found."""
    with connect(ctx) as client:
        found = client.evaluations.get(evaluation)
    if as_json:
        print_json(found.raw)
    else:
        _show(found)


@app.command()
def report(ctx: typer.Context, evaluation: EvaluationId, as_json: AsJson = False) -> None:
    """Print the report of one that succeeded."""
    with connect(ctx) as client:
        if as_json:
            print_json(client.evaluations.report(evaluation))
        else:
            sys.stdout.write(client.evaluations.report_markdown(evaluation))


@app.command()
def cancel(ctx: typer.Context, evaluation: EvaluationId, as_json: AsJson = False) -> None:
    """Cancel one that has not ended."""
    with connect(ctx) as client:
        found = client.evaluations.cancel(evaluation)
    if as_json:
        print_json(found.raw)
    else:
        _show(found)


@app.command()
def delete(ctx: typer.Context, evaluation: EvaluationId, as_json: AsJson = False) -> None:
    """Delete one, also one that runs."""
    with connect(ctx) as client:
        answer = client.evaluations.delete(evaluation)
    print_freed(answer, evaluation, as_json)


def compare(
    ctx: typer.Context,
    things: Annotated[
        list[str], typer.Argument(help="2 to 10 jobs, models or evaluations; the first is the baseline.")
    ],
    arm: Annotated[str | None, typer.Option(help="Of jobs, only this arm.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="ID, ID:ARM or NAME@ALIAS of what others are set against.")
    ] = None,
    allow_mixed: Annotated[
        bool, typer.Option(help="Also what was not measured alike; not paired then.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare jobs, models or evaluations user by user, with intervals."""
    ids = [one for one in things if "@" not in one]  # a model's name may begin like an id
    jobs = [one for one in ids if one.startswith("job_")]
    evaluations = [one for one in ids if one.startswith("eval_")]
    models = [one for one in things if one not in {*jobs, *evaluations}]
    with connect(ctx) as client:
        found = client.compare(
            jobs=jobs,
            models=models,
            evaluations=evaluations,
            arm=arm,
            # The service takes jobs first; here it is the first that was named.
            baseline=baseline or (things[0] if things[0] != [*jobs, *models, *evaluations][0] else None),
            allow_mixed=allow_mixed,
        )
    if as_json:
        print_json(found.raw)
        return
    print_rows(
        ("", "arm", "figure", "baseline", "here", "difference", "95 % interval", "users"),
        (
            (
                escape(other.name),
                other.arm,
                metric,
                f"{one.baseline:.4f}",
                f"{one.value:.4f}",
                f"[bold]{one.difference:+.4f}[/]" if one.significant else f"{one.difference:+.4f}",
                f"{one.low:+.4f} to {one.high:+.4f}",
                str(one.n),
            )
            for other in found.others
            for metric, one in other.metrics.items()
        ),
        empty="Nothing that both were measured by.",
    )
    new_console(soft_wrap=True).print(escape(found.verdict))


def _show(found: Evaluation) -> None:
    print_fields(
        [
            ("id", found.id),
            ("status", status_text(found.status)),
            ("progress", f"{found.progress:.0%}" if found.status == "running" else ""),
            ("model", escape(_model_of(found))),
            ("dataset", found.dataset),
            ("NDCG@10", f"{found.metrics['ndcg@10']:.4f}" if found.metrics else ""),
            *(("warning", escape(str(warning["message"]))) for warning in found.warnings),
            ("error", escape(str(found.error["message"])) if found.error else ""),
        ]
    )


def _model_of(found: Evaluation) -> str:
    facts = found.model_facts
    return f"{facts['name']}@{facts['version']}" if "name" in facts else found.model


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageProblemError(
            f"--attack-counts {text!r}: not whole numbers with commas",
            hint="For example: --attack-counts 1,2",
        ) from None
