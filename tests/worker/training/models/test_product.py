"""The product in pieces is the product."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from worker.training.models.product import all_products


@pytest.mark.parametrize("items", [1, 511, 512, 513, 1300])
@pytest.mark.parametrize("states", [0, 1, 37])
def test_the_pieces_are_the_product(items: int, states: int) -> None:
    generator = torch.Generator().manual_seed(items)
    h, e = (torch.randn(n, 16, generator=generator) for n in (states, items))
    with torch.no_grad():
        found = all_products(h, e)
    torch.testing.assert_close(found, functional.linear(h, e))
    assert found.is_contiguous()


def test_a_gradient_flows_where_gradients_are_on() -> None:
    h, e = torch.randn(3, 4, requires_grad=True), torch.randn(600, 4)
    all_products(h, e).sum().backward()  # type: ignore[no-untyped-call]
    assert h.grad is not None
    torch.testing.assert_close(h.grad, e.sum(0).expand(3, 4))


def test_states_of_half_precision_are_taken_as_they_are() -> None:
    h = torch.ones(2, 4, dtype=torch.bfloat16)
    with torch.no_grad(), pytest.raises(RuntimeError, match="dtype"):
        all_products(h, torch.ones(5, 4))
