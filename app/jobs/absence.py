"""When leases ran out because nobody could renew them, and not because a worker is dead."""

from __future__ import annotations


class Absence:
    """Whether the reaper was away for so long that leases may have run out meanwhile.

    The machine slept, or the database was away: then the workers are as alive as the reaper, and have a whole
    lease of time to say so. Times are in seconds, of the wall's clock, which goes on while a machine sleeps.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._seen_at: float | None = None
        self._spares_until = 0.0

    def seen(self, at: float) -> None:
        """The look that began then went well."""
        self._seen_at = at

    def spares(self, now: float) -> bool:
        """Whether a look that begins now leaves alone whose lease ran out."""
        if self._seen_at is not None and now - self._seen_at > self._lease_seconds / 2:
            self._spares_until = now + self._lease_seconds
        return now < self._spares_until
