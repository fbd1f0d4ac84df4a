"""Texts in requests: what the database can keep, said before anything else is done."""

from __future__ import annotations


def without_nul(given: str | None) -> str | None:
    """The text itself. ValueError when it holds a NUL character, which Postgres keeps in no text."""
    if given is not None and "\0" in given:
        raise ValueError("must not hold a NUL character")
    return given
