"""The key check, before anything else of a request is looked at.

FastAPI reads a JSON body before it runs dependencies, so a dependency would check the key too late; this
plain ASGI middleware stands in front of every `/v1` path, those that do not exist included.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.accounts import service
from app.accounts.scopes import Scope as KeyScope
from app.accounts.scopes import allowed, needed
from app.db.session import Database
from app.errors import Forbidden, SteadyRankError, Unauthorized
from app.problems import problem_response

PRINCIPAL = "principal"
EVERYTHING = KeyScope.OPERATOR
_PROTECTED = "/v1/"
_METRICS = "/metrics/"


class ApiKeyMiddleware:
    """Puts the caller's Principal into the request's state, or answers 401, or 403 when scopes are too few.

    Args:
        app: What is protected.
        database: Where the keys are.
        require_keys: False makes every caller the default project.
        metrics_public: False protects `/metrics` too.

    """

    def __init__(
        self, app: ASGIApp, *, database: Database, require_keys: bool, metrics_public: bool = False
    ) -> None:
        self._app = app
        self._database = database
        self._require_keys = require_keys
        self._protected = (_PROTECTED,) if metrics_public else (_PROTECTED, _METRICS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and (scope["path"] + "/").startswith(self._protected):
            try:
                secret = _bearer(Headers(scope=scope)) if self._require_keys else None
                principal = await run_in_threadpool(self._principal, secret)
                wanted = needed(scope["method"], scope["path"])
                if not allowed(principal.scopes, wanted):
                    raise Forbidden(wanted)
            except SteadyRankError as error:
                await problem_response(scope, error)(scope, receive, send)
                return
            scope.setdefault("state", {})[PRINCIPAL] = principal
        await self._app(scope, receive, send)

    def _principal(self, secret: str | None) -> service.Principal:
        if secret is None:
            with self._database.unit_of_work() as session:
                return service.Principal(service.project_id(session), scopes=frozenset({EVERYTHING}))
        with self._database.reading() as reader:
            principal = service.authenticate(reader, secret)
        if principal.use_to_note:
            with self._database.unit_of_work() as session:
                service.note_use(session, principal)
        return principal


def _bearer(headers: Headers) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthorized("This path needs an API key.")
    return secret.strip()
