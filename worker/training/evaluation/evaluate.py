"""Full-ranking evaluation: every candidate of the catalogue is ranked, no sampled negatives.

Users are taken in blocks, shortest histories first, so that little padding is computed; a block's scores
take a few megabytes whatever the catalogue's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from worker.training.data.histories import Histories
from worker.training.data.sequences import Int64
from worker.training.data.split import EvaluationPhase, Split
from worker.training.evaluation.metrics import METRICS_AT, coverage, rank_metrics
from worker.training.evaluation.ranking import LIST_LENGTH, Ranking, catalogue_shuffle
from worker.training.evaluation.scorers import Scorer, last_windows
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.spec import TrainSpec

Tick = Callable[[float], None]
"""Told the share done, 0 to 1, after every block; may raise to end the run."""

_BLOCK_CELLS = 3_100_000
"""Scores in a block: 12 MB of float32. More rows make products faster, until the cache is full."""
_BLOCK_USERS = 512
_ENCODED_POSITIONS = 6_400
"""Input positions encoded at once: activations of 1.6 MB at D = 64 stay in cache (a fifth faster)."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found, rows in the order of the split's `users(phase)`.

    ranks int64[E], 0-based; a target of `Split.misses` is a miss at every k, of rank max(V, 20).
    lists int64[E, K] of item numbers (0 = no candidate left), or None where only ranks were asked for.
    metrics: HR, NDCG and MRR at 5, 10, 20 and, with lists, "coverage@10".
    """

    ranks: Int64
    lists: Int64 | None
    metrics: dict[str, float]
    cold_targets: int


def evaluate(
    scorer: Scorer,
    split: Split,
    phase: EvaluationPhase,
    *,
    exclude_seen: bool,
    lists: bool = True,
    tick: Tick | None = None,
) -> Evaluation:
    """Rank each evaluation user's target among the candidates.

    `exclude_seen` leaves all of the user's earlier items out of the candidates, not only those that the
    model reads; a target that is itself an earlier item stays one. Raises NonFiniteScoresError.
    """
    histories = Histories(*split.histories(phase))
    targets = split.targets(phase).astype(np.int64)
    ranks = np.empty(len(targets), dtype=np.int64)
    top = np.empty((len(targets), min(LIST_LENGTH, split.n_items)), dtype=np.int64) if lists else None
    places: torch.Tensor | None = None
    done = 0
    for rows in blocks(histories, scorer.reads, split.n_items):
        block = histories.take(rows)
        scores = scorer(block)
        if places is None:
            places = catalogue_shuffle(split.n_items, scores.device)
        ranking = rank_block(scores, places, targets[rows], block, exclude_seen=exclude_seen)
        ranks[rows] = ranking.ranks().cpu().numpy()
        if top is not None:
            top[rows] = ranking.lists().cpu().numpy()
        done += len(rows)
        if tick is not None:
            tick(done / len(targets))
    cold = split.misses(phase)
    ranks[cold] = max(split.n_items, *METRICS_AT)
    metrics = rank_metrics(ranks)
    if top is not None:
        metrics[f"coverage@{LIST_LENGTH}"] = coverage(top, split.n_items)
    return Evaluation(ranks, top, metrics, int(cold.sum()))


def blocks(histories: Histories, reads: int, n_items: int) -> Iterator[Int64]:
    """Cut all rows into blocks of rows whose read parts are about equally long, shortest first."""
    by_length = np.argsort(np.minimum(histories.lengths, reads), kind="stable")
    size = max(1, min(_BLOCK_USERS, _BLOCK_CELLS // (n_items + 1)))
    for start in range(0, len(by_length), size):
        yield by_length[start : start + size]


def rank_block(
    scores: torch.Tensor,
    places: torch.Tensor,
    targets: Int64,
    block: Histories,
    *,
    exclude_seen: bool,
    also_excluded: Int64 | None = None,
) -> Ranking:
    """Rank a block among all items, or among all but its own histories and also_excluded int64[n, C]."""
    rows: Int64 = np.empty(0, dtype=np.int64)
    items: Int64 = rows
    if exclude_seen:
        rows, items = block.row_of_item, block.items.astype(np.int64)
        if also_excluded is not None:
            rows = np.append(rows, np.repeat(np.arange(len(block)), also_excluded.shape[1]))
            items = np.append(items, also_excluded)
    return Ranking.among_candidates(
        scores, places, *(torch.from_numpy(part).to(scores.device) for part in (targets, rows, items))
    )


@dataclass(frozen=True)
class ModelScorer:
    """A DifferentiableScorer over a SequenceModel, which must be on `device`. Built by `model_scorer`."""

    model: SequenceModel
    max_length: int
    device: torch.device

    @property
    def reads(self) -> int:
        """The model's window."""
        return self.max_length

    def __call__(self, histories: Histories) -> torch.Tensor:
        """Score by the hidden state at the last item, with dropout off; the model's mode is put back."""
        was_training = self.model.training
        self.model.eval()
        try:
            # Not inference_mode: its tensors cannot be overwritten by the caller.
            with torch.no_grad():
                return self.model.score(self._last_states(histories)).float()
        finally:
            self.model.train(was_training)

    def loss_gradients(self, histories: Histories, targets: Int64) -> torch.Tensor:
        """See `DifferentiableScorer.loss_gradients`; dropout is off and the model's mode is put back."""
        x_BL, length_B = last_windows(histories, self.max_length)
        rows = max(1, _ENCODED_POSITIONS // max(1, x_BL.shape[1]))
        gradients = []
        was_training = self.model.training
        self.model.eval()
        try:
            for start in range(0, len(x_BL), rows):
                part = slice(start, start + rows)
                inputs = (x_BL[part], length_B[part], torch.from_numpy(targets[part]))
                gradients.append(self._loss_gradients(*(each.to(self.device) for each in inputs)))
        finally:
            self.model.train(was_training)
        return torch.cat(gradients)

    def _loss_gradients(
        self, x_BL: torch.Tensor, length_B: torch.Tensor, target_B: torch.Tensor
    ) -> torch.Tensor:
        # cuDNN's recurrent layers have no backward pass in evaluation mode.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            e_BLD = self.model.embed(x_BL).detach().requires_grad_()
            scores = self.model.score(self.model.encode_last(e_BLD, length_B)).float()
            loss = functional.cross_entropy(scores[:, 1:], target_B - 1, reduction="sum")
            (gradient_BLD,) = torch.autograd.grad(loss, e_BLD)
        from_end = length_B[:, None] - 1 - torch.arange(x_BL.shape[1], device=x_BL.device)
        at = from_end.clamp(min=0)[:, :, None].expand_as(gradient_BLD)
        return gradient_BLD.gather(1, at) * (from_end >= 0)[:, :, None]

    @torch.no_grad()
    def item_vectors(self) -> torch.Tensor:
        """See `DifferentiableScorer.item_vectors`."""
        return self.model.embed(torch.arange(self.model.n_items + 1, device=self.device)[None])[0]

    def _last_states(self, histories: Histories) -> torch.Tensor:
        """h_ND: the hidden state at each history's last item, computed a few thousand positions at a time."""
        x_BL, length_B = last_windows(histories, self.max_length)
        rows = max(1, _ENCODED_POSITIONS // max(1, x_BL.shape[1]))
        states = []
        for start in range(0, len(x_BL), rows):
            part = slice(start, start + rows)
            x, length = x_BL[part].to(self.device), length_B[part].to(self.device)
            states.append(self.model.encode_last(self.model.embed(x), length))
        return torch.cat(states)


def weights_scorer(
    spec: TrainSpec, weights: Mapping[str, torch.Tensor], n_items: int, device: torch.device | str = "cpu"
) -> ModelScorer:
    """Return a Scorer of the spec's model with these weights."""
    model = build_model(spec, n_items)
    model.load_state_dict(weights)
    return model_scorer(model.to(device), spec.max_length, device)


def model_scorer(model: SequenceModel, max_length: int, device: torch.device | str = "cpu") -> ModelScorer:
    """Return a Scorer that reads the last `max_length` items of a history."""
    return ModelScorer(model, max_length, torch.device(device))
