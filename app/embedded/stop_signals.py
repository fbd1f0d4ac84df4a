"""Which signals end what we run in the foreground."""

from __future__ import annotations

import signal

_ALWAYS = (signal.SIGTERM,)
_UNLESS_IGNORED = (signal.SIGINT, signal.SIGHUP)


def heeded_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM, and of SIGINT and SIGHUP those that we were not started to ignore.

    `nohup` has a program ignore SIGHUP, and a script has what it starts with `&` ignore SIGINT: a handler of
    ours would undo that. SIGTERM always stops us.
    """
    asked = (number for number in _UNLESS_IGNORED if signal.getsignal(number) is not signal.SIG_IGN)
    return (*_ALWAYS, *asked)
