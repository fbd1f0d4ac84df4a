"""Webhook endpoints over HTTP; all of it needs the scope `admin`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Response

from app.deps import PageDep, PrincipalDep, SessionDep, SettingsDep
from app.examples import listed, shown
from app.idempotency import IdempotentRoute
from app.pagination import ListOf, list_of
from app.problems import problem_responses
from app.webhooks import service
from app.webhooks.events import WebhookEvent
from app.webhooks.schemas import (
    CREATE,
    CREATED,
    DELIVERY,
    ENDPOINT,
    ENDPOINT_ID,
    DeliveryObject,
    DeliveryStatus,
    EndpointChange,
    EndpointCreate,
    EndpointCreated,
    EndpointDeleted,
    EndpointObject,
)

router = APIRouter(prefix="/webhook_endpoints", tags=["webhooks"], route_class=IdempotentRoute)


@router.post("", status_code=201, responses={**shown(CREATED, 201), **problem_responses(409, 413, 422)})
def create_webhook_endpoint(
    body: Annotated[EndpointCreate, Body(openapi_examples={"endpoint": {"value": CREATE}})],
    *,
    response: Response,
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
) -> EndpointCreated:
    """Register an address for events; its `secret` is shown in this answer and never again."""
    endpoint, secret = service.create(session, settings, principal.project_id, body)
    response.headers["Location"] = f"/v1/webhook_endpoints/{endpoint.id}"
    response.headers["Cache-Control"] = "no-store"
    return EndpointCreated.with_secret(endpoint, secret)


@router.get("", responses={**shown(listed(ENDPOINT)), **problem_responses(422)})
def list_webhook_endpoints(
    principal: PrincipalDep, session: SessionDep, page: PageDep
) -> ListOf[EndpointObject]:
    """List the project's endpoints, newest first."""
    rows, has_more = service.list_page(session, principal.project_id, page)
    return list_of(rows, has_more, EndpointObject.of)


@router.get("/{webhook_endpoint_id}", responses={**shown(ENDPOINT), **problem_responses(404)})
def get_webhook_endpoint(
    webhook_endpoint_id: str, principal: PrincipalDep, session: SessionDep
) -> EndpointObject:
    """Show one endpoint, without its secret."""
    return EndpointObject.of(service.get(session, principal.project_id, webhook_endpoint_id))


@router.patch("/{webhook_endpoint_id}", responses={**shown(ENDPOINT), **problem_responses(404, 413, 422)})
def update_webhook_endpoint(
    webhook_endpoint_id: str,
    body: Annotated[EndpointChange, Body(openapi_examples={"switch on": {"value": {"enabled": True}}})],
    *,
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
) -> EndpointObject:
    """Change an endpoint's address, events or description, or switch it off or on."""
    return EndpointObject.of(
        service.change(session, settings, principal.project_id, webhook_endpoint_id, body)
    )


@router.delete(
    "/{webhook_endpoint_id}",
    responses={
        **shown({"id": ENDPOINT_ID, "object": "webhook_endpoint", "deleted": True, "freed_bytes": 0}),
        **problem_responses(404),
    },
)
def delete_webhook_endpoint(
    webhook_endpoint_id: str, principal: PrincipalDep, session: SessionDep
) -> EndpointDeleted:
    """Delete an endpoint and its log; what was not sent yet is not sent."""
    service.delete(session, principal.project_id, webhook_endpoint_id)
    return EndpointDeleted(id=webhook_endpoint_id)


@router.post(
    "/{webhook_endpoint_id}/test",
    status_code=201,
    responses={**shown(DELIVERY, 201), **problem_responses(404, 409)},
)
def test_webhook_endpoint(
    webhook_endpoint_id: str, response: Response, principal: PrincipalDep, session: SessionDep
) -> DeliveryObject:
    """Send a `webhook.test` event, once; the delivery shows what came of it."""
    delivery = DeliveryObject.of(service.send_test(session, principal.project_id, webhook_endpoint_id))
    path = f"/v1/webhook_endpoints/{webhook_endpoint_id}/deliveries/{delivery.id}"
    response.headers["Location"] = path
    return delivery


@router.post(
    "/{webhook_endpoint_id}/rotate",
    responses={
        **shown({**CREATED, "previous_secret_until": "2025-11-24T15:00:00Z"}),
        **problem_responses(404),
    },
)
def rotate_webhook_secret(
    webhook_endpoint_id: str, response: Response, principal: PrincipalDep, session: SessionDep
) -> EndpointCreated:
    """Make a new secret, shown once; for 24 hours the one before signs too."""
    endpoint, secret = service.rotate(session, principal.project_id, webhook_endpoint_id)
    response.headers["Cache-Control"] = "no-store"
    return EndpointCreated.with_secret(endpoint, secret)


@router.get(
    "/{webhook_endpoint_id}/deliveries",
    responses={**shown(listed(DELIVERY)), **problem_responses(404, 422)},
)
def list_webhook_deliveries(
    webhook_endpoint_id: str,
    *,
    principal: PrincipalDep,
    session: SessionDep,
    page: PageDep,
    status: Annotated[DeliveryStatus | None, Query(description="Only those in this status.")] = None,
    type: Annotated[
        WebhookEvent | Literal["webhook.test"] | None, Query(description="Only those of this event.")
    ] = None,
) -> ListOf[DeliveryObject]:
    """List what was sent to an endpoint, or is to be, newest first, with every attempt."""
    rows, has_more = service.deliveries_page(
        session, principal.project_id, webhook_endpoint_id, page, status=status, type=type
    )
    return list_of(rows, has_more, DeliveryObject.of)


@router.get(
    "/{webhook_endpoint_id}/deliveries/{delivery_id}",
    responses={**shown(DELIVERY), **problem_responses(404)},
)
def get_webhook_delivery(
    webhook_endpoint_id: str, delivery_id: str, principal: PrincipalDep, session: SessionDep
) -> DeliveryObject:
    """Show one delivery."""
    return DeliveryObject.of(
        service.get_delivery(session, principal.project_id, webhook_endpoint_id, delivery_id)
    )


@router.post(
    "/{webhook_endpoint_id}/deliveries/{delivery_id}/redeliver",
    responses={**shown(DELIVERY), **problem_responses(404, 409)},
)
def redeliver_webhook(
    webhook_endpoint_id: str, delivery_id: str, principal: PrincipalDep, session: SessionDep
) -> DeliveryObject:
    """Send a delivery again, now, under the same webhook-id."""
    return DeliveryObject.of(
        service.redeliver(session, principal.project_id, webhook_endpoint_id, delivery_id)
    )
