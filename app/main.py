"""The web application: lifespan, middleware, error handlers, routers, in that order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute

import app.db.tables  # noqa: F401 - foreign keys by name need every table
from app import capabilities, health
from app.accounts import project_routes, usage_routes
from app.accounts import routes as api_keys
from app.accounts.middleware import ApiKeyMiddleware
from app.body_limit import BodyLimitMiddleware
from app.comparisons import routes as comparisons
from app.config import Settings, get_settings
from app.cors import CorsMiddleware
from app.dashboard import routes as dashboard
from app.datasets import routes as datasets
from app.datasets import version_routes as dataset_versions
from app.db.session import Database
from app.evaluations import routes as evaluations
from app.idempotency import add_idempotency
from app.jobs import routes as jobs
from app.log_lines import configure_logging
from app.metrics import Metrics
from app.metrics import router as metrics_router
from app.models import routes as models
from app.observability import RequestContextMiddleware
from app.openapi import describe_openapi
from app.problems import add_problem_handlers
from app.query_parameters import RefuseUnknown
from app.queue import CeleryQueue, make_celery
from app.rate_limits import Buckets, RateLimitMiddleware
from app.request_targets import RequestTargetMiddleware
from app.storage.database import DatabaseBlobStore
from app.turns import THREADS
from app.unexpected import UnexpectedErrorMiddleware
from app.uploads import routes as uploads
from app.webhooks import routes as webhooks

DESCRIPTION = """\
Training as a service for sequential recommenders whose rankings stay steady when a click is wrong.

Upload a log of interactions, train on it in several arms, and compare how far the rankings move when items of
a history are replaced. Every `/v1` path needs `Authorization: Bearer sr_…`. Every error is
`application/problem+json`. Every response has `X-Request-Id`."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application over a database and a broker; `uvicorn --factory app.main:create_app` serves it.

    Without settings it is the application of a server process: they come from the environment, and the
    process's log lines go out as they say.
    """
    if settings is None:
        settings = get_settings()
        configure_logging(settings)
    celery = make_celery(settings)
    queue = CeleryQueue(celery)
    database = Database(settings.database, sender=queue, pool_size=settings.database_pool_size)

    # A route may hold one connection and need a second one (a blob's): with fewer of them at a time than
    # connections some route can always go on, and no burst of requests locks itself up.
    threads = min(THREADS, database.capacity - 1)
    buckets = Buckets(settings.broker.replace("redis+socket://", "unix://", 1))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = threads
        yield
        await buckets.close()
        celery.close()
        database.dispose()

    application = FastAPI(
        title="SteadyRank",
        version=version("steadyrank"),
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    application.state.settings = settings
    application.state.database = database
    application.state.queue = queue
    application.state.metrics = metrics = Metrics(database)
    application.state.turns = CapacityLimiter(threads)
    application.state.blobs = DatabaseBlobStore(database.engine)

    # The last one added is the outermost.
    application.add_middleware(
        BodyLimitMiddleware,
        max_bytes=settings.max_json_bytes,
        seconds=settings.json_body_seconds,
        streamed={"/v1/datasets", "/v1/uploads/{}/parts/{}"},
    )
    per_minute = settings.requests_per_minute
    if any(per_minute.values()):
        application.add_middleware(RateLimitMiddleware, buckets=buckets, per_minute=per_minute)
    application.add_middleware(
        ApiKeyMiddleware,
        database=database,
        require_keys=settings.require_keys,
        metrics_public=settings.metrics_public,
    )
    application.add_middleware(UnexpectedErrorMiddleware)
    if settings.cors_origins:
        application.add_middleware(CorsMiddleware, origins=settings.cors_origins)
    application.add_middleware(RequestTargetMiddleware)
    application.add_middleware(RequestContextMiddleware, observe=metrics.observe)
    add_problem_handlers(application)
    add_idempotency(application)
    describe_openapi(application)

    application.include_router(health.router)
    application.include_router(metrics_router)
    application.include_router(dashboard.router)
    # One level, and what is polled first: FastAPI tries routes in turn, and again at each level of nesting.
    refuse_unknown = Depends(RefuseUnknown())
    for part in (
        *jobs.routers,
        datasets.router,
        dataset_versions.router,
        uploads.router,
        project_routes.router,
        usage_routes.router,
        api_keys.router,
        models.router,
        capabilities.router,
        webhooks.router,
        evaluations.router,
        comparisons.router,
    ):
        application.include_router(part, prefix="/v1", dependencies=[refuse_unknown])
    return application


def _operation_id(route: APIRoute) -> str:
    """Stable and readable in generated clients: the name of the route function."""
    return route.name
