"""`steadyrank capabilities` and `steadyrank health`: what a service can do, and whether it can just now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import typer
from rich.markup import escape

from app.cli.output import AsJson, connect, print_fields, print_json, print_rows, size_text
from app.sdk.errors import ServiceUnavailableError
from app.sdk.objects.capabilities import Choice


def capabilities(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show models, arms, attacks, limits and workers; `--json` has every training setting as JSON Schema."""
    with connect(ctx) as client:
        found = client.capabilities()
    if as_json:
        print_json(found.raw)
        return
    queues = sorted({worker.queue for worker in found.workers})
    print_fields(
        [
            ("models", _names(found.models)),
            ("arms", _names(found.arms)),
            ("presets", _names(found.presets)),
            ("losses", escape(", ".join(found.losses))),
            ("formats", escape(", ".join(found.formats))),
            *((f"attack {name}", escape(", ".join(values))) for name, values in found.attacks.items()),
            ("devices", escape(", ".join(found.devices))),
            (
                "workers",
                escape(", ".join(queues) or "none alive"),
            ),
        ]
    )
    limits = ((name, _limit(name, value)) for name, value in found.limits.items())
    print_rows(("limit", "value"), limits, empty="")


def health(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Say whether the service and all that it needs are up; exit code 3 and what is down, if not."""
    try:
        with connect(ctx) as client:
            found = client.health()
    except ServiceUnavailableError as down:
        _show_health({"status": "not ready", **down.extra}, down.extra.get("checks", {}), as_json)
        raise
    _show_health(found, found["checks"], as_json)


def _show_health(found: Mapping[str, object], checks: Mapping[str, object], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_fields((name, escape(str(outcome))) for name, outcome in checks.items())


def _names(choices: Iterable[Choice]) -> str:
    return escape(", ".join(dict.fromkeys(choice.name for choice in choices)))


def _limit(name: str, value: float) -> str:
    return (
        size_text(int(value))
        if name.endswith("bytes")
        else f"{value:,.0f}"
        if value == int(value)
        else f"{value:,}"
    )
