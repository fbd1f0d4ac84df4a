"""The consoles that commands write to: what users named is written as they named it."""

from __future__ import annotations

from rich.console import Console


def new_console(*, stderr: bool = False, soft_wrap: bool = False, width: int | None = None) -> Console:
    """A console that colours by markup alone: no emoji for `:x:` in an id, no guesses at what a number is."""
    return Console(stderr=stderr, soft_wrap=soft_wrap, width=width, highlight=False, emoji=False)
