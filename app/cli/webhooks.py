"""`steadyrank webhooks …`: where events are sent, and what came of it. Needs an admin's key."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from app.cli.exits import UsageProblemError
from app.cli.output import AsJson, Limit, connect, newest, print_fields, print_json, print_rows, time_text
from app.sdk.webhook_endpoints import WebhookDelivery, WebhookEndpoint

app = typer.Typer(no_args_is_help=True, help="Say where events are sent, and look at what came of it.")
EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="An endpoint's id (whk_…).")]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="A delivery's id (dlv_…).")]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", help="Such as job.succeeded; may be repeated. All when left out."),
]
Description = Annotated[str | None, typer.Option(help="What it is for.")]


@app.command()
def create(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(help="Where to send: https://host/path.")],
    event: Events = None,
    description: Description = None,
    as_json: AsJson = False,
) -> None:
    """Register an address. The secret that signs is printed once, alone on stdout."""
    with connect(ctx) as client:
        made = client.webhook_endpoints.create(url, events=event or ("*",), description=description)
    _show_secret(made, as_json)


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List endpoints, newest first."""
    with connect(ctx) as client:
        found = newest(client.webhook_endpoints.list, limit=limit)
    if as_json:
        print_json([endpoint.raw for endpoint in found])
        return
    print_rows(
        ("id", "url", "events", "on", "created"),
        (
            (row.id, escape(row.url), escape(",".join(row.events)), _on(row), time_text(row.created_at))
            for row in found
        ),
        empty="No webhook endpoints yet: steadyrank webhooks create URL makes one.",
    )


@app.command()
def show(ctx: typer.Context, endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Show one endpoint."""
    with connect(ctx) as client:
        found = client.webhook_endpoints.get(endpoint)
    _show(found, as_json)


@app.command()
def update(
    ctx: typer.Context,
    endpoint: EndpointId,
    url: Annotated[str | None, typer.Option(help="Where to send from now on.")] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", help="Events to send; may be repeated.")
    ] = None,
    description: Description = None,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Send, or keep what is due.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change an endpoint, or switch it off or on."""
    given: dict[str, Any] = {"url": url, "events": event, "description": description, "enabled": enabled}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise UsageProblemError(
            "There is nothing to change.", hint="Give --url, --event, --description, --on or --off."
        )
    with connect(ctx) as client:
        found = client.webhook_endpoints.update(endpoint, **changes)
    _show(found, as_json)


@app.command()
def delete(ctx: typer.Context, endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Delete an endpoint and its log; what was not sent yet is not sent."""
    with connect(ctx) as client:
        done = client.webhook_endpoints.delete(endpoint)
    if as_json:
        print_json(done)
    else:
        typer.echo(f"{endpoint} is deleted")


@app.command()
def rotate(ctx: typer.Context, endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Make a new secret, printed once, alone on stdout; for 24 hours the one before signs too."""
    with connect(ctx) as client:
        made = client.webhook_endpoints.rotate(endpoint)
    _show_secret(made, as_json)


@app.command("test")
def send_test(ctx: typer.Context, endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Send a webhook.test, once; `steadyrank webhooks deliveries` shows what came of it."""
    with connect(ctx) as client:
        queued = client.webhook_endpoints.test(endpoint)
    _show_queued(queued, as_json)


@app.command()
def deliveries(
    ctx: typer.Context,
    endpoint: EndpointId,
    status: Annotated[str | None, typer.Option(help="Only pending, succeeded or failed ones.")] = None,
    event: Annotated[str | None, typer.Option("--event", help="Only those of this event.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List what was sent to an endpoint, or waits, newest first."""
    with connect(ctx) as client:
        listing = client.webhook_endpoints.deliveries
        found = newest(listing, endpoint, limit=limit, status=status, type=event)
    if as_json:
        print_json([delivery.raw for delivery in found])
        return
    print_rows(
        ("id", "event", "status", "attempts", "last answer", "next attempt", "created"),
        (
            (
                row.id,
                row.type,
                row.status,
                str(row.attempts[-1].n if row.attempts else 0),
                _last(row),
                time_text(row.next_attempt_at),
                time_text(row.created_at),
            )
            for row in found
        ),
        empty="Nothing was sent to it so far.",
    )


@app.command()
def delivery(ctx: typer.Context, endpoint: EndpointId, delivery: DeliveryId, as_json: AsJson = False) -> None:
    """Show one delivery: what was sent, and every answer."""
    with connect(ctx) as client:
        found = client.webhook_endpoints.delivery(delivery, endpoint=endpoint)
    if as_json:
        print_json(found.raw)
        return
    print_fields(
        (
            ("id", found.id),
            ("event", escape(f"{found.type}, webhook-id {found.webhook_id}")),
            ("status", found.status),
            ("body", escape(json.dumps(found.body, ensure_ascii=False))),
            ("next attempt", time_text(found.next_attempt_at)),
        )
    )
    print_rows(
        ("attempt", "at", "ms", "status", "answer"),
        (
            (
                str(one.n),
                time_text(one.at),
                str(one.milliseconds),
                str(one.status_code or ""),
                escape(one.error or one.response),
            )
            for one in found.attempts
        ),
        empty="It was not sent yet.",
    )


@app.command()
def redeliver(
    ctx: typer.Context, endpoint: EndpointId, delivery: DeliveryId, as_json: AsJson = False
) -> None:
    """Send a delivery again, now, under the same webhook-id."""
    with connect(ctx) as client:
        queued = client.webhook_endpoints.redeliver(delivery, endpoint=endpoint)
    _show_queued(queued, as_json)


def _show(endpoint: WebhookEndpoint, as_json: bool) -> None:
    if as_json:
        print_json(endpoint.raw)
        return
    print_fields(
        (
            ("id", endpoint.id),
            ("url", escape(endpoint.url)),
            ("events", escape(",".join(endpoint.events))),
            ("description", escape(endpoint.description or "")),
            ("on", _on(endpoint)),
            ("failing since", time_text(endpoint.failing_since)),
            ("old secret until", time_text(endpoint.previous_secret_until)),
            ("created", time_text(endpoint.created_at)),
        )
    )


def _show_secret(endpoint: WebhookEndpoint, as_json: bool) -> None:
    if as_json:
        print_json(endpoint.raw)
        return
    typer.echo(f"{endpoint.id}; its secret is shown once:", err=True)
    typer.echo(endpoint.secret)


def _show_queued(delivery: WebhookDelivery, as_json: bool) -> None:
    if as_json:
        print_json(delivery.raw)
    else:
        typer.echo(f"{delivery.id} ({delivery.type}) is {delivery.status}")


def _on(endpoint: WebhookEndpoint) -> str:
    if endpoint.enabled:
        return "yes"
    return f"no ({endpoint.disabled_reason})" if endpoint.disabled_reason else "no"


def _last(delivery: WebhookDelivery) -> str:
    if not delivery.attempts:
        return ""
    last = delivery.attempts[-1]
    return str(last.status_code) if last.status_code is not None else escape(last.error or "")
