"""`steadyrank models promote`, `aliases`, `alias`, `delete-alias`: names for one version of a model."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.markup import escape

from app.cli.exits import UsageProblemError
from app.cli.output import AsJson, connect, print_json, print_rows, time_text
from app.console import new_console
from app.sdk.answers.models import AliasValidation, Condition
from app.sdk.objects.fields import read_time


def promote(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name under which the model is registered.")],
    version: Annotated[int, typer.Argument(min=1, help="The version that is to have the alias.")],
    alias: Annotated[str, typer.Argument(help="Such as production.")],
    promote_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC:RULE:VALUE[:FIELD=…,…]",
            help="Only if this holds, e.g. test.ndcg@10:at_least_of_current:0.98, or of another attack "
            "attacked.kept:at_least:0.6:position=start,count=2,replacement=popularity. Can be repeated.",
        ),
    ] = None,
    keep_gates: Annotated[bool, typer.Option(help="Have later moves meet the conditions, too.")] = False,
    allow_mixed_protocol: Annotated[
        bool, typer.Option("--allow-mixed-protocol", help="Also by figures that were not measured alike.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Move all the same; needs an admin's key.")] = False,
    validate: Annotated[bool, typer.Option("--validate", help="Check only; nothing moves.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let an alias of a name point at a version, if that meets every condition."""
    conditions = [_condition(text) for text in promote_if or ()]
    with connect(ctx) as client:
        if validate:
            checked = client.models.check_alias(
                name,
                alias,
                version,
                promote_if=conditions,
                keep_gates=keep_gates,
                allow_mixed_protocol=allow_mixed_protocol,
                force=force,
            )
            _say_checks(checked, as_json)
            return
        moved = client.models.set_alias(
            name,
            alias,
            version,
            promote_if=conditions,
            keep_gates=keep_gates,
            allow_mixed_protocol=allow_mixed_protocol,
            force=force,
        )
    if as_json:
        print_json(moved.raw)
    else:
        new_console(soft_wrap=True).print(
            f"{escape(moved.name)}@{moved.alias} is version {moved.version}, {moved.model}"
        )


def aliases(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name under which the models are registered.")],
    as_json: AsJson = False,
) -> None:
    """List the aliases of a name."""
    with connect(ctx) as client:
        found = client.models.aliases(name)
    if as_json:
        print_json([alias.raw for alias in found])
        return
    print_rows(
        ("alias", "version", "model", "gates", "moved"),
        (
            (row.alias, str(row.version), row.model, str(len(row.gates)), time_text(row.moved_at))
            for row in found
        ),
        empty="No aliases yet: steadyrank models promote NAME VERSION ALIAS makes one.",
    )


def alias(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name under which the models are registered.")],
    alias: Annotated[str, typer.Argument(help="Such as production.")],
    as_json: AsJson = False,
) -> None:
    """Show where an alias points, its gates, and where it pointed before."""
    with connect(ctx) as client:
        found = client.models.alias(name, alias)
    if as_json:
        print_json(found.raw)
        return
    console = new_console(soft_wrap=True)
    console.print(f"{escape(found.name)}@{escape(found.alias)} is version {found.version}, {found.model}")
    for gate in found.gates:
        told = ", ".join(f"{key} {value}" for key, value in gate.items() if value is not None)
        console.print(f"  gate: {escape(told)}")
    print_rows(
        ("moved", "from", "to", "model", "forced"),
        (
            (
                time_text(read_time(move["at"])),
                "" if move["from_version"] is None else str(move["from_version"]),
                str(move["to_version"] or "deleted"),
                str(move["to_model"] or ""),
                "yes" if move["forced"] else "",
            )
            for move in found.history
        ),
        empty="",
    )


def delete_alias(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name under which the models are registered.")],
    alias: Annotated[str, typer.Argument(help="Such as production.")],
    as_json: AsJson = False,
) -> None:
    """Take an alias away; its history is kept. One with kept gates needs an admin's key."""
    with connect(ctx) as client:
        answer = client.models.delete_alias(name, alias)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{name}@{alias} is deleted")


def _condition(text: str) -> Condition:
    metric, _, rest = text.partition(":")
    rule, _, rest = rest.partition(":")
    value, _, of_attack = rest.partition(":")
    try:
        if metric and rule:
            # A rule that there is none of is refused by the service, which says what there is.
            return cast("Condition", {"metric": metric, rule: float(value), **_attack(of_attack)})
    except ValueError:
        pass
    raise UsageProblemError(
        f"--promote-if {text!r}: not of the form METRIC:RULE:VALUE[:FIELD=…,…]",
        hint="For example: --promote-if test.ndcg@10:at_least:0.05, or attacked.kept:at_least:0.6:count=2",
    )


def _attack(text: str) -> dict[str, object]:
    """Which attack a condition is of. ValueError where it does not say so in `field=value` with commas."""
    found: dict[str, object] = {}
    for part in text.split(",") if text else ():
        field, _, value = part.partition("=")
        if field not in {"position", "count", "replacement"} or not value:
            raise ValueError(part)
        found[field] = int(value) if field == "count" else value
    return found


def _say_checks(checked: AliasValidation, as_json: bool) -> None:
    if as_json:
        print_json(checked)
        return
    console = new_console(soft_wrap=True)
    for one in checked["checks"]:
        console.print(f"  {escape(one['message'])}")
    console.print(f"{escape(checked['name'])}@{checked['version']} would be let through.")
