"""Turns at the database: as many as there are threads, so that who holds a lock can always go on.

A route leaves its thread between its function and its commit (FastAPI validates an answer in a thread of its
own, and an answer is kept in another), with its transaction open. If the threads were all taken by requests
that wait in Postgres for what this one has locked, it would never come to its commit. Therefore whoever may
wait for a lock, or hold one, has a turn first, and keeps it until the commit: of the holders one at least is
not waiting in a thread, and there is a thread for it. What runs in a thread without a turn waits for no lock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

THREADS = 40
"""At most so many; anyio's own number."""


class Turn:
    """One request's turn: taken at most once, and given back when the request has committed."""

    def __init__(self, turns: CapacityLimiter) -> None:
        self._turns = turns
        self._taken = False

    async def take(self) -> None:
        """Wait for the turn."""
        await self._turns.acquire_on_behalf_of(self)
        self._taken = True

    def give_back(self) -> None:
        """Let another request have it, if it was taken."""
        if self._taken:
            self._turns.release_on_behalf_of(self)


async def get_turn(request: Request) -> AsyncIterator[Turn]:
    """A turn that is not taken yet: a request that receives a long body takes it when that is there."""
    turn = Turn(request.app.state.turns)
    try:
        yield turn
    finally:
        turn.give_back()


# scope="function": it ends after the session's commit, which depends on it, and before the response leaves.
TurnDep = Annotated[Turn, Depends(get_turn, scope="function")]


async def take_turn(turn: TurnDep) -> None:
    """The request's turn, taken."""
    await turn.take()
