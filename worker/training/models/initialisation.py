"""Fresh weights: how the matrices of a model are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worker.training.settings import Initialisation

INIT_STD = 0.02
"""Standard deviation of fresh embeddings (ours): their length starts at 0.02·√D, 0.16 at D = 64."""


@dataclass(frozen=True)
class Initialiser:
    """Draws matrices in place, from a generator on the CPU.

    kind `normal`: embeddings N(0, std²), other matrices Xavier uniform (ours). `truncated_normal`: all of
    them N(0, std²) cut at ±2 std (BERT4Rec's). `xavier`: all of them Xavier normal, tables by their full size
    (RecTools').
    """

    kind: Initialisation = "normal"
    std: float = INIT_STD

    def table(self, parameter: Tensor, generator: torch.Generator) -> None:
        """Draw a table of embeddings, one a row."""
        if self.kind == "normal":
            nn.init.normal_(parameter, std=self.std, generator=generator)
        else:
            self.matrix(parameter, generator)

    def matrix(self, parameter: Tensor, generator: torch.Generator) -> None:
        """Draw a linear map."""
        if self.kind == "normal":
            nn.init.xavier_uniform_(parameter, generator=generator)
        elif self.kind == "xavier":
            nn.init.xavier_normal_(parameter, generator=generator)
        else:
            bound = 2 * self.std
            nn.init.trunc_normal_(parameter, std=self.std, a=-bound, b=bound, generator=generator)
