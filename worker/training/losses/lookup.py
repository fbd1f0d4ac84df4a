"""Rows of the item table as a training step reads them: looked up once, with one gradient for all of them.

torch's own lookup fills a fresh dense [V + 1, D] gradient at every call, of which a step has two a pass. Here
the rows are leaves of the graph, however many passes read them, and what gathers at them is added to the
table's gradient at the end.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Lookup(NamedTuple):
    """items: int64 of any shape; rows: their embeddings, [*items.shape, D], a leaf with its own gradient."""

    items: Tensor
    rows: Tensor


def look_up(table_VD: Tensor, items: Tensor) -> Lookup:
    """Copy the rows of `items` out of the table; no graph leads back to it."""
    rows = table_VD.detach().index_select(0, items.flatten())
    return Lookup(items, rows.view(*items.shape, table_VD.shape[1]).requires_grad_())


@torch.no_grad()
def give_back(table_VD: Tensor, lookups: list[Lookup]) -> None:
    """Add the gradients that have gathered at the rows to the table's own; padding, row 0, gets none."""
    if table_VD.grad is None:
        table_VD.grad = torch.zeros_like(table_VD)
    for items, rows in lookups:
        if rows.grad is not None:
            table_VD.grad.index_add_(0, items.flatten(), rows.grad.flatten(0, -2))
    table_VD.grad[0].zero_()
