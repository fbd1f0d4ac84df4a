"""When the adversary strikes, and how hard: every n-th step, with an ε that may grow at first.

A function of the spec and the step's number alone, so a run that goes on from a checkpoint goes on with it.
"""

from __future__ import annotations

from dataclasses import replace

from worker.training.adversary.perturbation import OFF, Adversary
from worker.training.spec import TrainSpec


def adversary_at(adversary: Adversary, spec: TrainSpec, steps_per_epoch: int, step: int) -> Adversary:
    """Return what step number `step`, counted from 1 at the start of the warm-up, trains against.

    `adversary` is that of the arm. Each `perturb_every`-th step after the warm-up meets it, all others are
    standard. Both ε grow linearly over `epsilon_ramp_epochs`, whose last step is the first with the
    whole ε; shares of moved or replaced items do not grow.
    """
    since_warmup = step - spec.warmup_epochs * steps_per_epoch
    if since_warmup <= 0 or since_warmup % spec.perturb_every:
        return OFF
    rising = spec.epsilon_ramp_epochs * steps_per_epoch
    if since_warmup >= rising:
        return adversary
    share = since_warmup / rising
    return replace(
        adversary,
        epsilon_match=adversary.epsilon_match * share,
        epsilon_history=adversary.epsilon_history * share,
    )
