"""The one data file that all libraries of a run read: users and items numbered from 1, parts marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from worker.training.data.sequences import Sequences
from worker.training.data.split import leave_one_out


def write_data(sequences: Sequences, path: Path) -> None:
    """Write `user item part`, tab-separated, user by user, oldest first; part 0 train, 1 validation, 2 test.

    Users with fewer than three interactions, who only train, are left out: the libraries differ on them.
    """
    users = leave_one_out(sequences).eval_users
    rows = []
    for number, user in enumerate(users, start=1):
        items = sequences.of(int(user))
        part = np.zeros(len(items), dtype=np.int64)
        part[-2:] = 1, 2
        rows.append(np.column_stack([np.full(len(items), number), items, part]))
    table = np.concatenate(rows)
    # Numbered anew: an item that only left-out users have would be a hole.
    table[:, 1] = np.unique(table[:, 1], return_inverse=True)[1] + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, table, fmt="%d", delimiter="\t", header="user\titem\tpart", comments="")
