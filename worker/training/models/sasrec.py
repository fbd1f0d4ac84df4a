"""SASRec: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.

From the paper: learned positions, causal self-attention, a point-wise feed-forward network, residual
connections, layer normalisation, dropout, one item table for inputs and scores.

From the authors' published code, where it goes beyond the paper or departs from it: item embeddings are
scaled by √D; the attention's queries alone are normalised and the residual adds the *normalised* queries
(likewise in the feed-forward network; the paper has x + Dropout(g(LayerNorm(x)))); dropout falls on the
attention weights; a last layer norm; no output projection after the heads.

Ours: positions are counted from the end, so that the last input always has the same position vector; fresh
embeddings are N(0, 0.02²).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.training.draws import Draws
from worker.training.models.attention import causal_attention
from worker.training.models.base import SequenceModel
from worker.training.models.dropout import dropout

NORM_EPSILON = 1e-8
"""Added to the variance in every layer norm, as in the authors' code."""


class SASRec(SequenceModel):
    """Self-attentive sequential recommender.

    The forward pass of one sequence of n inputs, with L = max_length, d = D / heads, M = multiplier, 1 in the
    paper (``linear(x) = x Wᵀ + b``; ``norm(x) = (x − mean) / √(var + 1e-8) · weight + bias``, var the biased
    variance over D), of `SASRecBlock`s (`blocks.py` has others)::

        x = E[items] · √D + P[L − n … L − 1]                  item_embedding.weight, position_embedding.weight
        for each block i (names below begin ``blocks.{i}.``):
            q = norm(x)                                        attention_norm.{weight,bias}
            Q, K, V = query(q), key(x), value(x)               query|key|value.{weight,bias}, each [D, D], [D]
            per head: A = softmax(Q Kᵀ / √d) over keys s ≤ t;  heads are consecutive slices of d columns
            x = q + concat(A V)
            z = norm(x)                                        feed_forward_norm.{weight,bias}
            x = z + contract(relu(expand(z)))                  expand [M·D, D], [M·D]; contract [D, M·D], [D]
        h = norm(x)                                            final_norm.{weight,bias}
        score of item i = h · E[i]                             (`Scoring` has others)

    Dropout in training: after the positions were added, on A, after the relu, after ``contract``.
    """

    def __init__(
        self, n_items: int, max_length: int, hidden_size: int, blocks: Iterable[nn.Module], *, dropout: float
    ) -> None:
        """`blocks`: `SASRecBlock`s as below, or those of `blocks.py`; `dropout`: of the embeddings."""
        super().__init__(n_items, max_length, hidden_size, dropout)
        self.position_embedding = nn.Embedding(max_length, hidden_size)
        self.blocks = nn.ModuleList(blocks)
        self.final_norm = nn.LayerNorm(hidden_size, eps=NORM_EPSILON)

    def encode(self, e_BLD: Tensor, length_B: Tensor, generator: Draws | None = None) -> Tensor:
        """See `SequenceModel.encode`."""
        if not self.training:
            generator = None
        x_BLD = dropout(self._placed(e_BLD, length_B), self.dropout, generator)
        for block in self.blocks:
            x_BLD = block(x_BLD, generator)
        h_BLD: Tensor = self.final_norm(x_BLD)
        return h_BLD

    def encode_last(self, e_BLD: Tensor, length_B: Tensor) -> Tensor:
        """See `SequenceModel.encode_last`: the last block computes one position a row."""
        x_BLD = self._placed(e_BLD, length_B)
        *blocks, last = self.blocks
        for block in blocks:
            x_BLD = block(x_BLD, None)
        h_BD: Tensor = self.final_norm(last(x_BLD, None, last_of=length_B))
        return h_BD

    def _placed(self, e_BLD: Tensor, length_B: Tensor) -> Tensor:
        """Scale the embeddings and add the position vectors, counted from each row's end."""
        at_L = torch.arange(e_BLD.shape[1], device=e_BLD.device)
        # Padding runs past the table's end; any valid row will do for it.
        position_BL = (self.max_length - length_B[:, None] + at_L).clamp_(max=self.max_length - 1)
        placed_BLD: Tensor = e_BLD * math.sqrt(self.hidden_size) + self.position_embedding(position_BL)
        return placed_BLD


class SASRecBlock(nn.Module):
    """One layer of causal self-attention and its point-wise feed-forward network."""

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        *,
        dropout: float,
        attention_dropout: float,
        multiplier: int,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.attention_norm = nn.LayerNorm(hidden_size, eps=NORM_EPSILON)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.feed_forward_norm = nn.LayerNorm(hidden_size, eps=NORM_EPSILON)
        self.expand = nn.Linear(hidden_size, multiplier * hidden_size)
        self.contract = nn.Linear(multiplier * hidden_size, hidden_size)

    def forward(self, x_BLD: Tensor, generator: Draws | None, last_of: Tensor | None = None) -> Tensor:
        """Return the block's output, [B, L, D]; given row lengths `last_of`, at the last inputs, [B, D]."""
        if last_of is not None:
            return self._last_position(x_BLD, last_of)
        q_BLD = self.attention_norm(x_BLD)
        query_BHLd = self._split(self.query(q_BLD))
        key_BHLd, value_BHLd = self._split(self.key(x_BLD)), self._split(self.value(x_BLD))
        a_BHLd = causal_attention(query_BHLd, key_BHLd, value_BHLd, self.attention_dropout, generator)
        x_BLD = q_BLD + a_BHLd.transpose(1, 2).flatten(2)
        z_BLD = self.feed_forward_norm(x_BLD)
        inner_BLD = dropout(functional.relu(self.expand(z_BLD)), self.dropout, generator)
        out_BLD: Tensor = z_BLD + dropout(self.contract(inner_BLD), self.dropout, generator)
        return out_BLD

    def _last_position(self, x_BLD: Tensor, length_B: Tensor) -> Tensor:
        # One query a row, which may read all of the row's real keys; without dropout.
        rows_B = torch.arange(len(x_BLD), device=x_BLD.device)
        q_B1D = self.attention_norm(x_BLD[rows_B, length_B - 1])[:, None]
        q_BH1d = self._split(self.query(q_B1D))
        k_BHLd, v_BHLd = self._split(self.key(x_BLD)), self._split(self.value(x_BLD))
        real_B11L = (torch.arange(x_BLD.shape[1], device=x_BLD.device) < length_B[:, None])[:, None, None]
        a_BH1d = functional.scaled_dot_product_attention(q_BH1d, k_BHLd, v_BHLd, attn_mask=real_B11L)
        z_BD = self.feed_forward_norm((q_B1D + a_BH1d.transpose(1, 2).flatten(2)).squeeze(1))
        output_BD: Tensor = z_BD + self.contract(functional.relu(self.expand(z_BD)))
        return output_BD

    def _split(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.view(*x_BLD.shape[:2], self.heads, -1).transpose(1, 2)
