"""Replacement by gradient: the worst of the window's candidates, by hand, and where nothing else is left."""

import torch

from worker.training.adversary.replacement import worst_replacements
from worker.training.data.sampling import Candidates
from worker.training.seeding import generator_for

TABLE_VD = torch.randn(10, 3, generator=generator_for(0, "table"))


def test_each_chosen_item_becomes_the_candidate_that_raises_the_loss_most() -> None:
    generator = generator_for(1, "test")
    x_BL = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    chosen_BL = torch.tensor([[True, False, True, True], [True, True, False, False]])
    item_BC = torch.randint(1, 10, (2, 4), generator=generator)
    gradient_BLD = torch.randn(2, 4, 3, generator=generator)
    replaced_BL = worst_replacements(x_BL, gradient_BLD, TABLE_VD, Candidates(chosen_BL, item_BC))
    for b in range(2):
        for t in range(4):
            x = int(x_BL[b, t])
            rises = {
                c: float(gradient_BLD[b, t] @ (TABLE_VD[c] - TABLE_VD[x]))
                for c in item_BC[b].tolist()
                if c != x
            }
            expected = max(rises, key=rises.__getitem__) if chosen_BL[b, t] else x
            assert int(replaced_BL[b, t]) == expected


def test_an_item_is_never_replaced_by_itself_and_stays_where_nothing_else_was_drawn() -> None:
    x_BL, item_BC = torch.tensor([[7, 8]]), torch.tensor([[7, 7]])
    gradient_BLD = TABLE_VD[7].expand(1, 2, 3)  # the highest rise is towards 7 itself
    chosen_BL = torch.ones(1, 2, dtype=torch.bool)
    replaced_BL = worst_replacements(x_BL, gradient_BLD, TABLE_VD, Candidates(chosen_BL, item_BC))
    assert replaced_BL.tolist() == [[7, 7]]
