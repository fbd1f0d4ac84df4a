"""The worst of the window's candidates, put in or stepped towards: by hand, and where nothing is left."""

import torch

from worker.training.adversary.perturbation import history_perturbation
from worker.training.adversary.replacement import towards_worst_items, worst_replacements
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


def test_a_history_steps_by_its_weight_towards_the_candidate_that_raises_the_loss_most() -> None:
    generator = generator_for(2, "test")
    x_BL = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    m_BL = x_BL > 0
    item_BC = torch.randint(1, 10, (2, 4), generator=generator)
    gradient_BLD = torch.randn(2, 4, 3, generator=generator)
    e_BLD, w_BL = TABLE_VD[x_BL], torch.tensor([[0.5, 1.0, 1.5, 2.0], [1.0, 3.0, 9.0, 9.0]])
    leads_BLD = towards_worst_items(x_BL, e_BLD, gradient_BLD, TABLE_VD, Candidates(m_BL, item_BC))
    delta_BLD = history_perturbation(e_BLD, leads_BLD, w_BL, m_BL, 0.3)
    length = 0.3 * e_BLD[m_BL].norm(dim=-1).mean()
    for b in range(2):
        for t in range(4):
            others = [c for c in item_BC[b].tolist() if c != x_BL[b, t]]
            worst = max(others, key=lambda c: float(gradient_BLD[b, t] @ TABLE_VD[c]))
            way = TABLE_VD[worst] - e_BLD[b, t]
            expected = length * w_BL[b, t] * m_BL[b, t] * way / way.norm()
            torch.testing.assert_close(delta_BLD[b, t], expected)


def test_no_step_is_taken_where_the_gradient_is_zero_or_only_the_item_itself_was_drawn() -> None:
    x_BL, item_BC = torch.tensor([[7, 8, 7]]), torch.tensor([[8, 8]])
    gradient_BLD = torch.ones(1, 3, 3)
    gradient_BLD[0, 2] = 0
    e_BLD, everywhere = TABLE_VD[x_BL], Candidates(torch.ones(1, 3, dtype=torch.bool), item_BC)
    leads_BLD = towards_worst_items(x_BL, e_BLD, gradient_BLD, TABLE_VD, everywhere)
    assert leads_BLD.any(-1).tolist() == [[True, False, False]]
    delta_BLD = history_perturbation(e_BLD, leads_BLD, torch.ones(1, 3), everywhere.chosen_BL, 0.5)
    assert delta_BLD.any(-1).tolist() == [[True, False, False]]
