"""The learning rate of every step: a rise at the start, then level or falling.

A function of the spec and the step's number alone, so a run that goes on from a checkpoint goes on with it;
and of `epochs`, not of when an arm stops, so arms of a seed have one schedule.
"""

from __future__ import annotations

import math

import torch

from worker.training.spec import TrainSpec


def learning_rate(spec: TrainSpec, steps_per_epoch: int, step: int) -> float:
    """Return the learning rate of step number `step`, counted from 1 at the start of the warm-up.

    It rises linearly to `learning_rate` over the first epochs, and from there falls to its floor at the last
    step of the last epoch, linearly or as half a cosine wave.
    """
    highest = spec.learning_rate
    rising = spec.learning_rate_warmup_epochs * steps_per_epoch
    if step <= rising:
        return highest * step / rising
    if spec.learning_rate_decay == "none":
        return highest
    done = (step - rising) / (spec.epochs * steps_per_epoch - rising)
    left = 1 - done if spec.learning_rate_decay == "linear" else (1 + math.cos(math.pi * done)) / 2
    return highest * (spec.learning_rate_floor + (1 - spec.learning_rate_floor) * left)


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Let the optimiser's next step use this learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = value
