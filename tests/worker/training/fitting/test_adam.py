"""Our Adam is torch's, to the bit, and leaves the compiler alone."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from worker.training.fitting.adam import FusedAdam


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3))


def take(steps: int, mine: nn.Module, optimiser: torch.optim.Optimizer, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for nth in range(steps):
        optimiser.zero_grad(set_to_none=False)
        mine(torch.randn(4, 7, generator=generator)).square().sum().backward()
        for group in optimiser.param_groups:
            group["lr"] = 0.01 / (nth + 1)
        optimiser.step()


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_moves_weights_and_moments_as_torchs_does(decoupled: bool, weight_decay: float) -> None:
    ours, theirs = model(), model()
    mine = FusedAdam(
        ours.parameters(), lr=0.01, betas=(0.8, 0.98), weight_decay=weight_decay, decoupled=decoupled
    )
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    its = kind(theirs.parameters(), lr=0.01, betas=(0.8, 0.98), weight_decay=weight_decay, fused=True)
    take(5, ours, mine)
    take(5, theirs, its)
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    for index, state in its.state_dict()["state"].items():
        found = mine.state_dict()["state"][index]
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_state_that_was_stored_goes_on() -> None:
    ours, again = model(), model()
    mine = FusedAdam(ours.parameters(), lr=0.01, betas=(0.9, 0.98))
    take(3, ours, mine)
    again.load_state_dict(ours.state_dict())
    other = FusedAdam(again.parameters(), lr=0.5, betas=(0.1, 0.2))
    other.load_state_dict(copy.deepcopy(mine.state_dict()))
    take(2, ours, mine, seed=2)
    take(2, again, other, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True))


def test_a_step_is_skipped_while_found_inf_is_set() -> None:
    ours = model()
    mine = FusedAdam(ours.parameters(), lr=0.01, betas=(0.9, 0.98))
    take(1, ours, mine)
    before = [parameter.detach().clone() for parameter in ours.parameters()]
    mine.found_inf = torch.tensor(1.0)
    take(1, ours, mine)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), before, strict=True))
    assert all(state["step"].item() == 1 for state in mine.state_dict()["state"].values())


def test_training_does_not_import_the_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from worker.training.fitting.adam import FusedAdam\n"
        "layer = torch.nn.Linear(2, 2)\n"
        "optimiser = FusedAdam(layer.parameters(), lr=0.1, betas=(0.9, 0.98))\n"
        "optimiser.zero_grad(set_to_none=False)\n"
        "layer(torch.ones(1, 2)).sum().backward()\n"
        "optimiser.step(); optimiser.load_state_dict(optimiser.state_dict())\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
