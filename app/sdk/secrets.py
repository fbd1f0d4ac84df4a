"""Secrets that the service shows once: an answer without one is an error, never an object to go on with."""

from __future__ import annotations

from app.sdk.errors import SecretLostError
from app.sdk.objects.fields import JSON


def shown_once(body: JSON, what: str, *, remedy: str) -> JSON:
    """The answer to a POST that makes a secret, if the secret is in it.

    The service keeps no secret: when the first answer was lost on its way and the request sent again, the
    repeat is answered with `null`.

    Args:
        body: The answer.
        what: What was made, for a person.
        remedy: What to do now; `{id}` in it stands for the id.

    Raises:
        SecretLostError: It is not.

    """
    if body.get("secret"):
        return body
    made = str(body.get("id") or "")
    raise SecretLostError(
        f"{what} {made} was made, but the answer that shows the secret, which is shown once, was lost.",
        hint=remedy.format(id=made),
        id=made,
    )
