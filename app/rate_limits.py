"""How many requests a key may make: token buckets in the broker, and the headers that tell of them.

A bucket holds a minute's requests and fills up evenly, so that a burst passes and a flood does not. A broker
that is away lets everything pass: a limit is not worth an outage.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.accounts.middleware import PRINCIPAL
from app.accounts.scopes import SAFE_METHODS, needed
from app.accounts.scopes import Scope as KeyScope
from app.accounts.service import Principal
from app.limit_errors import RateLimited
from app.problems import problem_response

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
_PATIENCE_SECONDS = 0.25
_AWAY_SECONDS = 5.0

# The broker's clock, so that several API processes agree; the bucket is forgotten once it is full again.
_TAKE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local most, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = tonumber(kept[1]) or most
left = math.min(most, left + math.max(0, now - (tonumber(kept[2]) or now)) * rate)
local taken = 0
if left >= 1 then left = left - 1; taken = 1 end
redis.call('HSET', KEYS[1], 'left', string.format('%.6f', left), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(most / rate * 1000))
return {taken, string.format('%.6f', left)}
"""


@dataclass(frozen=True)
class Taken:
    """Whether there was a token, and how many are left (a fraction counts towards the next)."""

    granted: bool
    left: float


class Buckets:
    """Token buckets in Redis or Valkey.

    Args:
        url: The broker's address, in redis-py's form.

    """

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=_PATIENCE_SECONDS,
            socket_connect_timeout=_PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._take = self._redis.register_script(_TAKE)
        self._away_until = 0.0

    async def take(self, name: str, per_minute: int) -> Taken | None:
        """Take a token; None while the broker cannot be asked, which is logged and tried again later."""
        if time.monotonic() < self._away_until:
            return None
        try:
            rate = per_minute / WINDOW_SECONDS
            taken, left = await self._take(keys=[f"steadyrank:rate:{name}"], args=[per_minute, rate])
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + _AWAY_SECONDS
            logger.warning("requests are not counted: the broker cannot be asked (%s)", type(error).__name__)
            return None
        return Taken(bool(taken), float(left))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


class RateLimitMiddleware:
    """Counts requests by key and kind (`read`, `write`); stands behind the key check.

    Args:
        app: What is protected.
        buckets: Where is counted.
        per_minute: Most requests of each kind; 0 counts nothing.

    """

    def __init__(self, app: ASGIApp, *, buckets: Buckets, per_minute: Mapping[str, int]) -> None:
        self._app = app
        self._buckets = buckets
        self._per_minute = per_minute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        caller: Any = scope.get("state", {}).get(PRINCIPAL)
        if scope["type"] != "http" or not isinstance(caller, Principal):
            await self._app(scope, receive, send)
            return
        reads = scope["method"] in SAFE_METHODS or needed(scope["method"], scope["path"]) is KeyScope.READ
        kind = "read" if reads else "write"
        most = self._per_minute[kind]
        name = f"{kind}:{caller.key_id or caller.project_id}"
        taken = await self._buckets.take(name, most) if most else None
        if taken is None:
            await self._app(scope, receive, send)
            return
        headers = _headers(kind, most, taken)

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        if taken.granted:
            await self._app(scope, receive, send_with_limits)
            return
        wait = math.ceil((1 - taken.left) * WINDOW_SECONDS / most)
        error = RateLimited(
            f"This key may make {most} {kind} requests a minute.",
            headers={"Retry-After": str(max(1, wait))},
            extra={"limit": most, "window_seconds": WINDOW_SECONDS},
        )
        await problem_response(scope, error)(scope, receive, send_with_limits)


def _headers(kind: str, most: int, taken: Taken) -> list[tuple[bytes, bytes]]:
    """`RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-10 has them."""
    full_in = math.ceil((most - taken.left) * WINDOW_SECONDS / most)
    return [
        (b"ratelimit-policy", f'"{kind}";q={most};w={WINDOW_SECONDS}'.encode()),
        (b"ratelimit", f'"{kind}";r={int(taken.left)};t={full_in}'.encode()),
    ]
