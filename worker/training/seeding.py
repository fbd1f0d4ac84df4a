"""Named, independent streams of randomness, all derived from one seed.

Each purpose has a stream of its own, so that switching one off (the perturbed passes' dropout) moves no
other.
"""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that is a function of `seed` and `names` alone, the same on every machine."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator_for(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator for the stream called `names`."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))
