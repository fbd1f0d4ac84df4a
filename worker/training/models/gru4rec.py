"""GRU4Rec in the user-sequence form that the SASRec literature compares with.

Source: Hidasi, Karatzoglou, Baltrunas and Tikk, "Session-based Recommendations with Recurrent Neural
Networks", ICLR 2016. Where this form departs from that paper: a sequence is a user's history rather than a
session, and starts from a zero state in every batch (no session-parallel mini-batches that carry states
over); inputs are dense item embeddings rather than one-hot vectors; scores come from the same item table
(tied); the loss and its negatives are those of every other model here (the paper: BPR or TOP1 on the other
items of the mini-batch); Adam rather than Adagrad; stacked layers do not read the input anew.

Ours: inputs are scaled by √D, as SASRec's are, so that fresh embeddings (N(0, 0.02²)) move the gates; a
linear layer between the last state, which lies in (−1, 1), and the scores; no positions. Ours, on request:
layer norms and residuals around the layers (`pre_norm`), as in a pre-norm Transformer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from worker.training.draws import Draws
from worker.training.models.base import SequenceModel
from worker.training.models.dropout import dropout
from worker.training.models.recurrence import gated_recurrence
from worker.training.models.sasrec import NORM_EPSILON


class GRU4Rec(SequenceModel):
    """Recurrent sequential recommender.

    The forward pass of one sequence (σ the logistic function, ⊙ the element-wise product)::

        x_t = E[item_t] · √D                                  item_embedding.weight
        for each layer i (names begin ``layers.{i}.``), with s_0 = 0:
            ir, iz, in = split3(weight_ih_l0 x_t + bias_ih_l0)            [3D, D], [3D]
            hr, hz, hn = split3(weight_hh_l0 s_{t−1} + bias_hh_l0)        [3D, D], [3D]
            r = σ(ir + hr);  z = σ(iz + hz);  n = tanh(in + r ⊙ hn)
            s_t = (1 − z) ⊙ n + z ⊙ s_{t−1};  x_t = s_t
        h_t = output.weight x_t + output.bias                 [D, D], [D]
        score of item i = h_t · E[i]

    With ``pre_norm`` a layer reads norm(x_t), its x_t is added to what it gives, and so is a last norm before
    ``output``: ``norms.{i}.{weight,bias}`` and ``final_norm.{weight,bias}``, ``norm`` as in `SASRec`.

    Dropout in training: on the scaled embeddings and after every layer.
    """

    def __init__(
        self,
        n_items: int,
        max_length: int,
        hidden_size: int,
        *,
        layers: int,
        dropout: float,
        embedding_dropout: float | None = None,
        pre_norm: bool = False,
    ) -> None:
        super().__init__(n_items, max_length, hidden_size, dropout)
        self.embedding_dropout = dropout if embedding_dropout is None else embedding_dropout
        self.pre_norm = pre_norm
        self.layers = nn.ModuleList(nn.GRU(hidden_size, hidden_size, batch_first=True) for _ in range(layers))
        self.output = nn.Linear(hidden_size, hidden_size)
        if pre_norm:
            self.norms = nn.ModuleList(nn.LayerNorm(hidden_size, eps=NORM_EPSILON) for _ in range(layers))
            self.final_norm = nn.LayerNorm(hidden_size, eps=NORM_EPSILON)

    def encode(self, e_BLD: Tensor, length_B: Tensor, generator: Draws | None = None) -> Tensor:
        """See `SequenceModel.encode`; a recurrent model has no use for `length_B`."""
        if not self.training:
            generator = None
        x_BLD = dropout(e_BLD * math.sqrt(self.hidden_size), self.embedding_dropout, generator)
        if self.pre_norm:
            for layer, norm in zip(self.layers, self.norms, strict=True):
                x_BLD = x_BLD + dropout(gated_recurrence(layer, norm(x_BLD)), self.dropout, generator)
            x_BLD = self.final_norm(x_BLD)
        else:
            for layer in self.layers:
                x_BLD = dropout(gated_recurrence(layer, x_BLD), self.dropout, generator)
        h_BLD: Tensor = self.output(x_BLD)
        return h_BLD

    def _matrices(self, name: str, parameter: Tensor) -> Sequence[Tensor]:
        # The three gates share one tensor.
        return parameter.chunk(3) if name.startswith("layers.") else (parameter,)
