"""A made-up log whose next item depends on the last ones, for machines that cannot reach PyPI.

Items form circles of related items with a usual order. A user follows the order most of the time, sometimes
jumps within the circle, and sometimes to a popular item anywhere: so order can be learnt, and popularity
alone does badly.
"""

from __future__ import annotations

import random
from itertools import accumulate
from pathlib import Path

USERS = 900
CIRCLES = 40
CIRCLE_SIZE = 20
FOLLOWS = 0.65
JUMPS = 0.2
FIRST_AT = 1_700_000_000
SEED = 20230405


def write_log(path: Path) -> Path:
    """Write the log as csv (user, item, timestamp); the same bytes every time. Returns `path`."""
    draw = random.Random(SEED)  # noqa: S311 - a reproducible log, nothing secret
    items = CIRCLES * CIRCLE_SIZE
    popularity = list(accumulate(1.0 / (rank + 10) for rank in range(items)))
    shuffled = draw.sample(range(items), items)
    lines = ["user,item,timestamp"]
    for user in range(USERS):
        at = FIRST_AT + draw.randrange(10_000_000)
        circle, place = draw.randrange(CIRCLES), draw.randrange(CIRCLE_SIZE)
        for _ in range(draw.randint(20, 80)):
            dice = draw.random()
            if dice < FOLLOWS:
                place = (place + 1) % CIRCLE_SIZE
            elif dice < FOLLOWS + JUMPS:
                place = draw.randrange(CIRCLE_SIZE)
            else:
                popular = draw.choices(shuffled, cum_weights=popularity)[0]
                circle, place = divmod(popular, CIRCLE_SIZE)
            at += draw.randint(30, 3600)
            lines.append(f"u{user + 1},i{circle * CIRCLE_SIZE + place + 1},{at}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
