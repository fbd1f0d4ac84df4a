"""Ids that look like personal data: found by their shape, shown only with most of their letters hidden."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import polars as pl

from worker.training.doctor.findings import EXAMPLES, Finding, Fix, counted, percent
from worker.training.doctor.log import Log

_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
SHAPES: Mapping[str, str] = {
    "email": r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$",
    "ip_address": rf"^(?:{_OCTET}\.){{3}}{_OCTET}$|^[0-9A-Fa-f]{{1,4}}(?::[0-9A-Fa-f]{{0,4}}){{3,7}}$",
    # Bare digits may be anything: a number counts as a phone's only if it is written as one.
    "phone": r"^\+\d[\d ().-]{6,18}\d$|^\(\d{2,5}\) ?\d[\d .-]{4,12}\d$|^\d{3}[ .-]\d{3}[ .-]\d{4}$",
    "card": r"^[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}$",
}
_NAMES = {"email": "e-mail addresses", "ip_address": "IP addresses", "phone": "phone numbers"}
_CARD_CERTAINTY = 0.5
"""A tenth of all numbers pass a card's check digit by chance: so many of the long ones must."""
_HIDDEN = re.compile(r"[^\W_]")


def kinds_of(ids: pl.Series) -> dict[str, pl.Series]:
    """For each kind that occurs, which of some distinct ids are of it."""
    found = {}
    for kind, shape in SHAPES.items():
        matching = ids.str.contains(shape)
        if kind == "card" and matching.any():
            candidates = ids.filter(matching).to_list()
            valid = [_passes_luhn(text) for text in candidates]
            if sum(valid) < _CARD_CERTAINTY * len(valid):
                continue
            matching = matching.scatter(matching.arg_true(), valid)
        if matching.any():
            found[kind] = matching
    return found


def masked(text: str) -> str:
    """The text with all but its shape and its first letter hidden: j***.***@*******.***."""
    return text[:1] + _HIDDEN.sub("*", text[1:])


def masked_if_personal(text: str) -> str:
    """The text, hidden if any kind of personal data has its shape."""
    return masked(text) if any(re.search(shape, text.strip()) for shape in SHAPES.values()) else text


def find_personal_data(log: Log) -> list[Finding]:
    """Likely personal data among the ids of users and of items."""
    found = []
    for role, ids in (("user", log.sequences.user_ids), ("item", log.sequences.item_ids)):
        series = pl.Series(ids, dtype=pl.String)
        for kind, matching in kinds_of(series).items():
            flags = matching.to_numpy()
            count = int(flags.sum())
            owners = log.user_of if role == "user" else log.sequences.items - 1
            found.append(
                Finding(
                    f"personal_data_{kind}",
                    "warning",
                    f"{counted(count, f'{role}s')} ({percent(count / len(ids))}) "
                    f"{'has an id' if count == 1 else 'have ids'} that look like "
                    f"{_NAMES.get(kind, 'numbers of payment cards')}. Whoever downloads the data or asks for "
                    "batches of recommendations is shown them.",
                    count,
                    "users" if role == "user" else "items",
                    count / len(ids),
                    rows=log.first_rows(flags[owners]),
                    examples=[masked(text) for text in series.filter(matching).head(EXAMPLES)],
                    facts={"column": role, "kind": kind},
                    fix=Fix(
                        "transform",
                        "hash_ids",
                        "Replace the ids of users by salted SHA-256 pseudonyms; the salt is not kept.",
                    )
                    if role == "user"
                    else None,
                )
            )
    return found


def _passes_luhn(text: str) -> bool:
    digits = np.array([int(letter) for letter in text if letter.isdigit()][::-1])
    doubled = digits[1::2] * 2
    return bool(
        (digits[::2].sum() + (doubled - 9 * (doubled > 9)).sum()) % 10 == 0 and 13 <= len(digits) <= 19
    )
