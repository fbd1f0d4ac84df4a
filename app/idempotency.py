"""`Idempotency-Key` on every POST: a request that is sent twice has its effect once.

A router whose `route_class` is `IdempotentRoute` does it; `get_session` calls `Once.enter`, so that the kept
answer is looked for, and written, in the transaction of the effect. Errors are not kept: what was refused
has changed nothing and may be sent again under the same key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.accounts import answers
from app.accounts.answers import Answer
from app.accounts.middleware import PRINCIPAL
from app.accounts.scopes import Scope, needed
from app.accounts.service import Principal
from app.body_limit import is_streamed
from app.errors import ErrorItem, UploadInterruptedError, ValidationFailed
from app.problems import problem_responses

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

_STATE = "once"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_HOPS = frozenset({"content-length", "x-request-id"})


class Replayed(Exception):  # noqa: N818 - not an error: the effect is there already, and so is its answer
    """Ends a repeated request, undoing what it may have begun; its response is the first one's."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.response = Response(answer.body, answer.status)
        for name, value in answer.headers.items():
            self.response.headers[name] = value
        self.response.headers[REPLAYED] = "true"


class Once:
    """One request that may be a repeat.

    Args:
        request: The request.
        key: Its `Idempotency-Key`.

    """

    def __init__(self, request: Request, key: str) -> None:
        self._project_id = cast("Principal", getattr(request.state, PRINCIPAL)).project_id
        self._id = answers.request_id(getattr(request.state, PRINCIPAL), request.scope["path"], key)
        self._digest = hashlib.sha256(request.scope["query_string"])
        self._identified = False
        self._begun = False
        self._session: Session | None = None

    def identify(self, *parts: bytes) -> None:
        """Say what the body is; until then nothing is compared."""
        for part in parts:
            self._digest.update(b"\0" + hashlib.sha256(part).digest())
        self._identified = True

    def enter(self, session: Session) -> None:
        """The session of the request's effect. Raises Replayed and what `answers.begin` raises."""
        self._session = session
        if self._identified:
            self.begin()

    def is_answered(self, reader: Session) -> bool:
        """Whether an answer is kept under the request's key, whatever its body."""
        return answers.is_kept(reader, self._id)

    def leave(self, response: Response) -> None:
        """Keep the response."""
        if self._session is None or not self._begun:
            raise RuntimeError(f"a POST needs SessionDep, and begin_streamed() if streamed, for {HEADER}")
        headers = {name: value for name, value in response.headers.items() if name not in _HOPS}
        answer = Answer(response.status_code, headers, _without_secret(bytes(response.body)))
        answers.keep(self._session, self._project_id, self._id, self._digest.digest(), answer)

    def begin(self) -> None:
        """Look for an earlier answer. Raises Replayed with it, and what `answers.begin` raises."""
        self._begun = True
        found = answers.begin(cast("Session", self._session), self._id, self._digest.digest())
        if found is not None:
            raise Replayed(found)


class IdempotentRoute(APIRoute):
    """A route that honours `Idempotency-Key` on POST."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, between looking for a kept answer and keeping one."""
        handle = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return handle

        async def handle_once(request: Request) -> Response:
            keys = request.headers.getlist(HEADER)
            if not keys:
                return await handle(request)
            key = keys[0]
            if len(keys) > 1 or not _KEY.fullmatch(key):
                message = "one key of 1 to 255 printable ASCII characters without spaces"
                item = ErrorItem(f"header:{HEADER.lower()}", "not_a_key", message)
                raise ValidationFailed(f"{HEADER} is not valid.", code="invalid_request", errors=[item])
            if needed(request.method, request.scope["path"]) is Scope.READ:
                return await handle(request)  # it changes nothing: asked again, it is answered anew
            once = Once(request, key)
            if not is_streamed(request.scope):
                once.identify(await _whole_body(request))
            setattr(request.state, _STATE, once)
            response = await handle(request)
            if response.status_code < 400 and hasattr(response, "body"):
                await run_in_threadpool(once.leave, response)
            return response

        return handle_once


def _once_of(request: Request) -> Once | None:
    """What is known of a request that may be a repeat; None of one without a key."""
    return cast("Once | None", getattr(request.state, _STATE, None))


def enter(request: Request, session: Session) -> None:
    """Look for an earlier answer to this request, if it may be a repeat; raises Replayed if there is one."""
    once = _once_of(request)
    if once is not None:
        once.enter(session)


def begin_streamed(request: Request, *parts: str) -> None:
    """Say what a streamed body was, such as its digest, and look for an earlier answer as `enter` does.

    Needed of routes that stream what they are sent, before they ask for anything or change anything.
    """
    once = _once_of(request)
    if once is not None:
        once.identify(*(part.encode() for part in parts))
        once.begin()


def is_answered(request: Request, reader: Session) -> bool:
    """Whether this may be the repeat of a request that has been answered."""
    once = _once_of(request)
    return once is not None and once.is_answered(reader)


def add_idempotency(app: FastAPI) -> None:
    """Let repeats be answered."""
    app.add_exception_handler(Replayed, _replay)


async def _replay(_: Request, replayed: Exception) -> Response:
    return cast("Replayed", replayed).response


async def _whole_body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise UploadInterruptedError("The connection ended before the body did; nothing was done.") from error


def _without_secret(body: bytes) -> bytes:
    """The body as it is kept: a secret is shown once and never stored."""
    if b'"secret"' not in body:
        return body
    parsed = json.loads(body)
    if isinstance(parsed, dict) and "secret" in parsed:
        parsed["secret"] = None
    return json.dumps(parsed).encode()


def describe_idempotency(operation: dict[str, Any]) -> None:
    """Show the header, and what it may lead to, on a POST of the OpenAPI page."""
    operation.setdefault("parameters", []).append(
        {
            "name": HEADER,
            "in": "header",
            "required": False,
            "description": "Makes the request safe to repeat: kept 24 hours for this key and path.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }
    )
    for status, described in problem_responses(409, 422).items():
        operation["responses"].setdefault(str(status), described)
    for status, response in operation["responses"].items():
        if str(status).startswith("2"):
            response.setdefault("headers", {})[REPLAYED] = {
                "description": "`true` when this is an earlier answer, shown again.",
                "schema": {"type": "string"},
            }
