"""What training, evaluation and the adversary need of a model: item embeddings in, hidden states out.

Shape letters: B sequences, L padded width of the batch, D embedding width, N positions, V items. Padding
(item 0) stands at the right in memory and no real position ever reads it, so `encode` does not depend on L.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from worker.training.draws import Draws
from worker.training.models.initialisation import Initialiser
from worker.training.models.product import all_products
from worker.training.models.scoring import Scoring


class SequenceModel(nn.Module, ABC):
    """A next-item model with one item table E for its inputs and its scores (tied).

    n_items: V; max_length: most input positions; hidden_size: D; dropout: probability of zeroing.
    scoring: how states and embeddings make scores.
    State: ``item_embedding.weight`` [V + 1, D]; row 0 is padding and stays zero.
    """

    scoring = Scoring()

    def __init__(self, n_items: int, max_length: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.n_items = n_items
        self.max_length = max_length
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.item_embedding = nn.Embedding(n_items + 1, hidden_size, padding_idx=0)

    def embed(self, x_BL: Tensor) -> Tensor:
        """Return e_BLD = E[x]: raw, before the √D scaling, positions and dropout."""
        e_BLD: Tensor = self.item_embedding(x_BL)
        return e_BLD

    @abstractmethod
    def encode(self, e_BLD: Tensor, length_B: Tensor, generator: Draws | None = None) -> Tensor:
        """Return h_BLD; position t has read the inputs 0 … t, padded positions hold no meaning.

        length_B: int64 real inputs of each row, 1 … max_length. In training mode dropout masks are drawn
        from `generator`, on the device of `e_BLD`; None trains without dropout. In eval mode it is not used.
        """

    def encode_last(self, e_BLD: Tensor, length_B: Tensor) -> Tensor:
        """Return h_BD, the state at each row's last input, without dropout: all that scoring a history needs.

        Equal to that of `encode` up to rounding; a model that can skip work for it overrides this.
        """
        rows_B = torch.arange(len(e_BLD), device=e_BLD.device)
        return self.encode(e_BLD, length_B)[rows_B, length_B - 1]

    def score(self, h_ND: Tensor) -> Tensor:
        """Return the scores, [N, V + 1], h · Eᵀ by default; column 0 is padding and must never be ranked."""
        return all_products(self.scoring.states(h_ND), self.scoring.vectors(self.item_embedding.weight))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator, initialiser: Initialiser | None = None) -> None:
        """Draw fresh weights on the CPU from `generator`, in the order of `named_parameters`.

        Matrices as `initialiser` has them (None: its default), the padding row 0, biases 0, norms 1.
        """
        initialiser = initialiser if initialiser is not None else Initialiser()
        for name, parameter in self.named_parameters():
            if "embedding" in name:
                initialiser.table(parameter, generator)
            elif parameter.ndim > 1:
                for matrix in self._matrices(name, parameter):
                    initialiser.matrix(matrix, generator)
            else:
                nn.init.constant_(parameter, 1.0 if "norm" in name and name.endswith("weight") else 0.0)
        self.item_embedding.weight[0].zero_()

    def _matrices(self, name: str, parameter: Tensor) -> Sequence[Tensor]:
        """Return the linear maps that a parameter consists of, each to be drawn by itself."""
        return (parameter,)
