"""A layer of gated recurrent units over whole sequences, as one node of the graph.

torch's layer on the CPU is some twenty operations a time step, each with a node of its own to go back
through. Here a step is five operations forwards and three backwards: all that need not wait for the state
is done for all steps at once, the weights' gradients included.

Shape letters: B sequences, L padded width, n = L · B, I width of the input, D width of the state.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def gated_recurrence(layer: nn.Module, x_BLI: Tensor) -> Tensor:
    """Return the states of an nn.GRU after each input, [B, L, D], from zero states.

    `layer` has one layer, one direction, biases, and reads batches first.
    On an accelerator and under autocast it is called itself: on an accelerator always in float32, since
    autocast would have cuDNN's layer compute in float16, whatever it is set to, and gradients vanish there.
    """
    if x_BLI.device.type != "cpu":
        with torch.autocast(x_BLI.device.type, enabled=False):
            return cast(Tensor, layer(x_BLI.float())[0])
    if torch.is_autocast_enabled("cpu"):
        return cast(Tensor, layer(x_BLI)[0])
    x_LBI = x_BLI.transpose(0, 1).contiguous()
    s_LBD = cast(Tensor, _Recurrence.apply(x_LBI, *layer.parameters()))  # type: ignore[no-untyped-call]
    return s_LBD.transpose(0, 1).contiguous()


class _Recurrence(torch.autograd.Function):
    """(x [L, B, I], weight_ih [3D, I], weight_hh [3D, D], bias_ih [3D], bias_hh [3D]) → states [L, B, D].

    The formulas are those of `GRU4Rec`. Back through a step, with the gradient s' at its state s and q the
    state before it (r', z' and n' before the σ and the tanh)::

        n' = s' ⊙ (1 − z) ⊙ (1 − n²)      r' = n' ⊙ hn ⊙ r ⊙ (1 − r)      z' = s' ⊙ (q − n) ⊙ z ⊙ (1 − z)
        q' = s' ⊙ z + (r', z', n' ⊙ r) weight_hh

    All factors of s' are known before the first step back is taken, and (q − n) ⊙ z is s − n.
    """

    @staticmethod
    def forward(ctx: Any, x_LBI: Tensor, *weights: Tensor) -> Tensor:
        w_ih, w_hh, b_ih, b_hh = weights
        (length, rows, _), width = x_LBI.shape, w_hh.shape[1]
        rz, new = slice(2 * width), slice(2 * width, None)
        x_nI = x_LBI.flatten(0, 1)
        # Become r, z and hn, in place: the input's part of the first two, and the bias of the third.
        gates = x_nI.new_empty(len(x_nI), 3 * width)
        torch.addmm(b_ih[rz] + b_hh[rz], x_nI, w_ih[rz].T, out=gates[:, rz])
        gates[:, new] = b_hh[new]
        n = torch.addmm(b_ih[new], x_nI, w_ih[new].T)
        states = x_nI.new_empty(length + 1, rows, width)
        states[0] = 0
        s, *later = states.unbind()
        parts = (gates, gates[:, rz], *gates.chunk(3, 1), n)
        steps = zip(*(part.view(length, rows, -1).unbind() for part in parts), later, strict=True)
        for step, (gates_t, rz_t, r_t, z_t, hn_t, n_t, s_t) in enumerate(steps):
            if step > 0:
                gates_t.addmm_(s, w_hh.T)
            rz_t.sigmoid_()
            n_t.addcmul_(r_t, hn_t).tanh_()
            s = torch.lerp(n_t, s, z_t, out=s_t)
        ctx.save_for_backward(x_nI, w_ih, w_hh, gates, n, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_s_LBD: Tensor) -> tuple[Tensor | None, ...]:
        x_nI, w_ih, w_hh, gates, n, states = ctx.saved_tensors
        length, rows, width = by_s_LBD.shape
        r, z, hn = gates.chunk(3, 1)
        factors = torch.empty_like(gates)
        by_r, by_z, by_hn = factors.chunk(3, 1)
        rest = 1 - z
        torch.mul(states[1:].flatten(0, 1) - n, rest, out=by_z)
        at_n = torch.ops.aten.tanh_backward(rest, n)
        torch.mul(at_n, r, out=by_hn)
        torch.ops.aten.sigmoid_backward.grad_input(at_n * hn, r, grad_input=by_r)
        by_s = by_s_LBD.clone(memory_format=torch.contiguous_format)
        by_state, each_LB3D = factors.view(length, rows, -1), factors.view(length, rows, 3, width)
        z_LBD = z.view(length, rows, -1)
        for step in reversed(range(length)):
            by_s_t = by_s[step]
            each_LB3D[step].mul_(by_s_t[:, None])
            if step > 0:
                by_s[step - 1].addcmul_(by_s_t, z_LBD[step]).addmm_(by_state[step], w_hh)
        # The first step's state is zero.
        by_w_hh = factors[rows:].T @ states[1:-1].flatten(0, 1)
        by_b_hh = factors.sum(0)
        # The input's part of n is not behind r.
        torch.mul(at_n, by_s.flatten(0, 1), out=by_hn)
        by_x = (factors @ w_ih).view(length, rows, -1) if ctx.needs_input_grad[0] else None
        return by_x, factors.T @ x_nI, by_w_hh, factors.sum(0), by_b_hh
