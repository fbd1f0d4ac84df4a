"""Rows that are looked up and given back leave the gradient that torch's own lookup leaves."""

import torch
from torch import nn

from worker.training.losses.lookup import give_back, look_up
from worker.training.seeding import generator_for


def test_the_tables_gradient_is_that_of_torchs_lookup() -> None:
    generator = generator_for(0, "table")
    table_VD = nn.Parameter(torch.randn(8, 3, generator=generator))
    table_VD.data[0] = 0
    x_BL = torch.tensor([[1, 2, 2], [7, 0, 0]])
    target_N = torch.tensor([2, 5])
    weight_BLD, weight_ND = torch.randn(2, 3, 3, generator=generator), torch.randn(2, 3, generator=generator)

    lookups = [look_up(table_VD, x_BL), look_up(table_VD, target_N), look_up(table_VD, torch.tensor([3]))]
    x, target, _ = (lookup.rows for lookup in lookups)
    (x * weight_BLD).sum().backward()  # type: ignore[no-untyped-call]
    ((x**2 * weight_BLD).sum() + (target * weight_ND).sum() + table_VD[4].sum()).backward()
    give_back(table_VD, lookups)

    expected = nn.Parameter(table_VD.detach().clone())
    embedded = nn.functional.embedding(x_BL, expected, padding_idx=0)
    once = (embedded * weight_BLD).sum() + (embedded**2 * weight_BLD).sum()
    (once + (expected[target_N] * weight_ND).sum() + expected[4].sum()).backward()
    torch.testing.assert_close(table_VD.grad, expected.grad)


def test_a_table_that_has_no_gradient_yet_gets_one_without_padding() -> None:
    table_VD = nn.Parameter(torch.ones(4, 2))
    rows = look_up(table_VD, torch.tensor([0, 3]))
    rows.rows.sum().backward()  # type: ignore[no-untyped-call]
    give_back(table_VD, [rows])
    assert table_VD.grad is not None
    assert table_VD.grad.sum(1).tolist() == [0, 0, 0, 2]
