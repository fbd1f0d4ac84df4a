"""Metrics of ranks and of top-k lists, in plain numpy.

A rank counts the candidates placed before the one relevant item, so it is 0-based: 0 is the top. With
one relevant item a user, HR@k = [rank < k], NDCG@k = [rank < k] / log2(rank + 2) and
MRR@k = [rank < k] / (rank + 1).

Shape letters: E users, K list length, V items. Lists hold item numbers 1..V in order of rank; 0 stands where
a user has fewer than K candidates.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

METRICS_AT = (5, 10, 20)
RBO_PERSISTENCE = 0.9
"""p of rank-biased overlap (Webber et al. 2010): the probability of reading on to the next rank."""


def hit(ranks: Int64, k: int) -> Float64:
    """HR@k of each user, 0 or 1: is the target among the first k? ranks [E], 0-based."""
    return (ranks < k).astype(np.float64)


def ndcg(ranks: Int64, k: int) -> Float64:
    """NDCG@k of each user, 0 to 1; with one relevant item the ideal gain is 1. ranks [E], 0-based."""
    return np.where(ranks < k, 1.0 / np.log2(ranks + 2.0), 0.0)


def reciprocal_rank(ranks: Int64, k: int) -> Float64:
    """MRR@k's term for each user, 0 to 1. ranks [E], 0-based."""
    return np.where(ranks < k, 1.0 / (ranks + 1.0), 0.0)


def rank_metrics(ranks: Int64, ks: tuple[int, ...] = METRICS_AT) -> dict[str, float]:
    """HR, NDCG and MRR at every k, each a mean over users. ranks [E], 0-based; ValueError when empty."""
    if ranks.size == 0:
        raise ValueError("no ranks: a mean over no users is not a number")
    named = {"hr": hit, "ndcg": ndcg, "mrr": reciprocal_rank}
    return {f"{name}@{k}": float(metric(ranks, k).mean()) for name, metric in named.items() for k in ks}


def coverage(lists: Int64, n_items: int) -> float:
    """Share of the catalogue that stands in at least one list. lists [E, K], 0 = no item."""
    shown = np.zeros(n_items + 1, dtype=bool)
    shown[lists.ravel()] = True
    return float(shown[1:].sum()) / n_items


def list_agreement(first: Int64, second: Int64) -> dict[str, Float64]:
    """Compare two top-k lists of each user. first, second [E, K], with the same number of candidates a user.

    Returns arrays [E], each 1 for equal lists except `top1_changed`:
    `overlap` |A ∩ B| / K (over the list's real length where there are fewer than K candidates), `jaccard`
    |A ∩ B| / |A ∪ B|, `rbo` rank-biased overlap cut at K and divided by its largest value 1 - p^K,
    `top1_changed` 1 where the first item differs.
    """
    n_users, k = first.shape
    lengths = (first > 0).sum(axis=1)
    if not np.array_equal(lengths, (second > 0).sum(axis=1)):
        raise ValueError("the two lists rank candidate sets of different size")
    if k == 0 or (n_users and not lengths.min()):
        raise ValueError("an empty list agrees with nothing")
    same = (first[:, :, None] == second[:, None, :]) & (first[:, :, None] > 0)
    shared = same.sum(axis=(1, 2)).astype(np.float64)
    # An item at i in one list and at j in the other is in both prefixes of every depth d > max(i, j).
    discount = RBO_PERSISTENCE ** np.arange(k)
    depth = np.arange(1, k + 1)
    reach = np.where(depth[None, :] <= np.arange(k + 1)[:, None], discount / depth, 0.0)  # [K+1 lengths, K]
    gain = np.cumsum(reach[:, ::-1], axis=1)[:, ::-1]  # [length, m] = sum over d > m, d <= length
    later = np.maximum(depth[:, None], depth[None, :]) - 1
    rbo = (same * gain[lengths][:, later]).sum(axis=(1, 2)) / np.cumsum(discount)[lengths - 1]
    return {
        "overlap": shared / lengths,
        "jaccard": shared / (2 * lengths - shared),
        "rbo": rbo,
        "top1_changed": (first[:, 0] != second[:, 0]).astype(np.float64),
    }
