"""Blocks that SASRec can be made of instead of its own: pre-norm, and LiGR as in eSASRec.

`pre_norm` is the Transformer layer with its norms in front (Xiong et al., "On Layer Normalization in the
Transformer Architecture", ICML 2020). `ligr` adds to it learnt gates on both residuals and a SwiGLU network:
Borisyuk et al., "From Features to Transformers: Redefining Ranking for Scalable Impact", 2025, which eSASRec
(Tikhonovich et al., RecSys 2025, arXiv 2508.06450) puts into SASRec. Ours: SwiGLU's maps keep their biases.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.training.draws import Draws
from worker.training.models.attention import causal_attention
from worker.training.models.dropout import dropout
from worker.training.models.sasrec import NORM_EPSILON


class PreNormBlock(nn.Module):
    """One layer of causal self-attention and its feed-forward network; norms in front, plain residuals.

    ``norm``, ``linear`` and the heads as in `SASRec`, M = multiplier::

        y = norm(x)                                        attention_norm.{weight,bias}
        Q, K, V = query(y), key(y), value(y)               query|key|value.{weight,bias}, each [D, D], [D]
        x = x + project(concat(softmax(Q Kᵀ / √d) V))      project.{weight,bias}, [D, D], [D]
        z = norm(x)                                        feed_forward_norm.{weight,bias}
        x = x + contract(relu(expand(z)))                  expand [M·D, D], [M·D]; contract [D, M·D], [D]

    Dropout in training: on the attention's weights, after ``project``, after the relu, after ``contract``.
    """

    def __init__(
        self, hidden_size: int, heads: int, *, dropout: float, attention_dropout: float, multiplier: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        inner = multiplier * hidden_size
        self.attention_norm = nn.LayerNorm(hidden_size, eps=NORM_EPSILON)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.project = nn.Linear(hidden_size, hidden_size)
        self.feed_forward_norm = nn.LayerNorm(hidden_size, eps=NORM_EPSILON)
        self.expand = nn.Linear(hidden_size, inner)
        self.contract = nn.Linear(inner, hidden_size)

    def forward(self, x_BLD: Tensor, generator: Draws | None, last_of: Tensor | None = None) -> Tensor:
        """Return the block's output, [B, L, D]; given row lengths `last_of`, at the last inputs, [B, D]."""
        y_BLD = self.attention_norm(x_BLD)
        k_BHLd, v_BHLd = self._split(self.key(y_BLD)), self._split(self.value(y_BLD))
        if last_of is None:
            x = x_BLD
            q_BHLd = self._split(self.query(y_BLD))
            a_BHLd = causal_attention(q_BHLd, k_BHLd, v_BHLd, self.attention_dropout, generator)
            attended = a_BHLd.transpose(1, 2).flatten(2)
        else:
            # One query a row, which may read all of the row's real keys.
            rows_B = torch.arange(len(x_BLD), device=x_BLD.device)
            x = x_BLD[rows_B, last_of - 1]
            q_BH1d = self._split(self.query(y_BLD[rows_B, last_of - 1])[:, None])
            real_BL = torch.arange(x_BLD.shape[1], device=x_BLD.device) < last_of[:, None]
            a_BH1d = functional.scaled_dot_product_attention(
                q_BH1d, k_BHLd, v_BHLd, attn_mask=real_BL[:, None, None]
            )
            attended = a_BH1d.transpose(1, 2).flatten(2).squeeze(1)
        x = self._after_attention(x, dropout(self.project(attended), self.dropout, generator))
        change = self.contract(dropout(self._inner(self.feed_forward_norm(x)), self.dropout, generator))
        return self._after_feed_forward(x, dropout(change, self.dropout, generator))

    def _inner(self, z: Tensor) -> Tensor:
        return functional.relu(self.expand(z))

    def _after_attention(self, x: Tensor, change: Tensor) -> Tensor:
        return x + change

    def _after_feed_forward(self, x: Tensor, change: Tensor) -> Tensor:
        return x + change

    def _split(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.view(*x_BLD.shape[:2], self.heads, -1).transpose(1, 2)


class LiGRBlock(PreNormBlock):
    """A `PreNormBlock` that learns how much of each change to let through (σ the logistic function)::

    x = x + σ(attention_gate(x)) ⊙ project(…)              attention_gate.{weight,bias}, [D, D], [D]
    x = x + σ(feed_forward_gate(x)) ⊙ contract(silu(gate(z)) ⊙ expand(z))
                                                           feed_forward_gate as above; gate as ``expand``
    """

    def __init__(
        self, hidden_size: int, heads: int, *, dropout: float, attention_dropout: float, multiplier: int
    ) -> None:
        super().__init__(
            hidden_size, heads, dropout=dropout, attention_dropout=attention_dropout, multiplier=multiplier
        )
        self.gate = nn.Linear(hidden_size, multiplier * hidden_size)
        self.attention_gate = nn.Linear(hidden_size, hidden_size)
        self.feed_forward_gate = nn.Linear(hidden_size, hidden_size)

    def _inner(self, z: Tensor) -> Tensor:
        inner: Tensor = functional.silu(self.gate(z)) * self.expand(z)
        return inner

    def _after_attention(self, x: Tensor, change: Tensor) -> Tensor:
        return x + torch.sigmoid(self.attention_gate(x)) * change

    def _after_feed_forward(self, x: Tensor, change: Tensor) -> Tensor:
        return x + torch.sigmoid(self.feed_forward_gate(x)) * change
