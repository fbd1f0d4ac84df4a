"""What makes an arm's figures hard to believe, though nothing went wrong: rows of a report's `warnings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_KNOWN = 0.5
"""Share of the items that an earlier model should know."""


def warm_start_warnings(
    arms: Sequence[str], facts: Mapping[str, Any], *, same_training: bool
) -> list[dict[str, Any]]:
    """Return rows {code, arm, message} for each arm about the model whose weights training started from.

    facts: of `WarmStart.facts`. same_training: whether that model is known to have been trained from fresh
    weights on the training part of this very split, so that it has met no target. No message names an arm or
    the model: it is the same for all arms, and for the same weights by another name.
    """
    found = []
    if not same_training:
        found.append(
            (
                "warm_started",
                "training started from an earlier model that may have met these validation and test targets "
                "in its own training (it was not trained from fresh weights on the same split of the same "
                "data): figures of all arms may be too good, and only those of one job compare",
            )
        )
    known, items = facts["items_known"], facts["items_known"] + facts["items_new"]
    if known < _KNOWN * items:
        found.append(
            (
                "few_items_known",
                f"the earlier model that training started from knows {known:,} of {items:,} items; all "
                "others started from fresh vectors",
            )
        )
    return [{"code": code, "arm": arm, "message": message} for code, message in found for arm in arms]
