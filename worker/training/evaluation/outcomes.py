"""What each test user met, kept for comparisons after the run: one safetensors file.

numpy and safetensors only: the service reads it. `users` holds a hash of each user's id in the order of the
split's test users, so that two files can be seen to be about the same users without naming them;
`<arm>/<seed>/<figure>` holds float32[E], NaN where a user takes no part.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

Float32 = npt.NDArray[np.float32]
UInt64 = npt.NDArray[np.uint64]
Figures = Mapping[tuple[str, int], Mapping[str, Float32]]

OUTCOMES_FILE = "outcomes.safetensors"
_USERS = "users"


class OutcomesUnreadableError(Exception):
    """The bytes are not what `pack_outcomes` writes."""


@dataclass(frozen=True)
class Outcomes:
    """users: uint64[E]; figures: by (arm, seed), then by figure, float32[E]."""

    users: UInt64
    figures: dict[tuple[str, int], dict[str, Float32]]


def pack_outcomes(user_ids: Iterable[str], figures: Figures) -> bytes:
    """Write the file. user_ids: of the test users, in order; figures: by (arm, seed), then by name."""
    digests = b"".join(hashlib.sha256(user.encode()).digest()[:8] for user in user_ids)
    arrays: dict[str, npt.NDArray[np.generic]] = {_USERS: np.frombuffer(digests, dtype="<u8")}
    for (arm, seed), by_name in figures.items():
        for name, values in by_name.items():
            arrays[f"{arm}/{seed}/{name}"] = np.ascontiguousarray(values, dtype=np.float32)
    return save(arrays)


def read_outcomes(data: bytes) -> Outcomes:
    """Read it back. Raises OutcomesUnreadableError."""
    try:
        arrays = load(data)
        users = arrays.pop(_USERS)
        figures: defaultdict[tuple[str, int], dict[str, Float32]] = defaultdict(dict)
        for key, values in arrays.items():
            arm, seed, name = key.split("/", 2)
            figures[arm, int(seed)][name] = values
    except (SafetensorError, KeyError, ValueError) as error:
        raise OutcomesUnreadableError(f"these are no outcomes: {error}") from error
    if any(len(values) != len(users) for by_name in figures.values() for values in by_name.values()):
        raise OutcomesUnreadableError("these are no outcomes: users and figures differ in number")
    # The file itself keeps no order.
    return Outcomes(users, {key: dict(sorted(figures[key].items())) for key in sorted(figures)})
