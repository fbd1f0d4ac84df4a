"""How a hidden state and an item embedding make a score: by product, or by direction.

The product is SASRec's. RecTools offers the cosine beside it, which takes both lengths away; taking away the
item's alone, so that the state still says how sure it is, is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from worker.training.settings import ItemNormalisation


@dataclass(frozen=True)
class Scoring:
    """score(h, i) = states(h) · vectors(E[i]); losses, level 1 and evaluation all work on these two.

    normalisation: whose length is scaled to 1, `none`, `items` or both (`cosine`); temperature: what the
    scores are divided by. The padding row stays zero.
    """

    normalisation: ItemNormalisation = "none"
    temperature: float = 1.0

    def states(self, h: Tensor) -> Tensor:
        """Return the hidden states [..., D] as scores take them."""
        if self.normalisation == "cosine":
            h = functional.normalize(_wide(h), dim=-1)
        return h if self.temperature == 1.0 else _wide(h) / self.temperature

    def vectors(self, e: Tensor) -> Tensor:
        """Return item embeddings [..., D] as scores take them; a zero stays zero."""
        return e if self.normalisation == "none" else functional.normalize(e, dim=-1)


def _wide(h: Tensor) -> Tensor:
    # Eight bits of a bfloat16 are too few to divide by a small temperature.
    return h.float() if h.dtype is torch.bfloat16 else h
