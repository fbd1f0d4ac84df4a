"""The targets, met or missed, in words: one function a target, over the cells that are finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.study.cells import Cell
from benchmarks.study.comparing import KEPT, CellFigures
from benchmarks.study.records import ATTACKED, CLEAN, OVERLAP, Record
from benchmarks.study.rules import DataName


def targets_in_words(cells: Sequence[CellFigures]) -> list[str]:
    """Return a sentence or two for each of the targets that the study's own runs decide."""
    paper = [one for one in cells if one.cell.preset == "paper"]
    sparse = [one for one in paper if one.cell.data != "ml-100k"]
    dense = [one for one in paper if one.cell.data == "ml-100k"]
    return [_accuracy(sparse, dense), _against_generic(paper), _kept(sparse)]


def strong_in_words(
    strong: Mapping[Cell, Sequence[Record]], peers: Mapping[DataName, Sequence[Mapping[str, Any]]]
) -> tuple[str, list[str]]:
    """Return the sentence of the last target and the rows of its table: `strong`, standard arm, and RecTools.

    strong, peers: test runs, a seed each; [] where they have not all been made. Cells of the preset itself
    decide; the others have a row besides.
    """
    rows, won, decided = [], [], []
    for cell, runs in strong.items():
        results = peers[cell.data]
        if not runs or not results:
            continue
        row, wins = _beside(runs, results)
        label = cell.data if cell.preset == "strong" else f"{cell.data}, {cell.preset}"
        rows.append(f"| {label} | {row} |")
        if cell.preset == "strong":
            decided.append(cell)
            won += [cell] if wins else []
    verdict = _verdict(len(won) < len(decided), len(decided), len(peers))
    sentence = (
        f"4. **{verdict}** `strong` SASRec at RecTools' test NDCG@10 or above it, in at most a fifth of its "
        f"CPU seconds to best validation: {len(won)} of {len(decided)} finished data sets (of {len(peers)})."
    )
    return sentence, rows


def _beside(runs: Sequence[Record], results: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """A row of figures, and whether it is what the target asks for."""
    mine = fmean(run.test["ndcg@10"] for run in runs if run.test is not None)
    its = fmean(result["test"]["ndcg@10"] for result in results)
    my_seconds = fmean(run.cpu_seconds_to_best for run in runs)
    its_seconds = fmean(result["cpu_seconds_to_best"] for result in results)
    its_best = fmean(result["validation"]["ndcg@10"] for result in results)
    until = [_seconds_until(run, its_best) for run in runs]
    reached = [one for one in until if one is not None]
    soonest = f"{fmean(reached):.0f}" if len(reached) == len(until) else "not reached by all seeds"
    row = (
        f"{mine:.4f} | {its:.4f} | {my_seconds:.0f} | {its_seconds:.0f} | "
        f"{its_seconds / my_seconds:.1f} × | {soonest}"
    )
    return row, mine >= its and 5 * my_seconds <= its_seconds


def _seconds_until(run: Record, ndcg: float) -> float | None:
    """CPU seconds until a validation had that NDCG@10, all epochs taken for alike; None if none had."""
    epoch = next((epoch for epoch, found in run.curve if found >= ndcg), None)
    return None if epoch is None else run.cpu_seconds * epoch / run.epochs


def _accuracy(sparse: Sequence[CellFigures], dense: Sequence[CellFigures]) -> str:
    better = _where(sparse, lambda one: one.differences["cascade", "standard", CLEAN].is_above(0))
    worse = _where([*sparse, *dense], lambda one: one.share("cascade", "standard") < 0.97)
    lost = bool(worse) or len(sparse) - len(better) > 2
    verdict = _verdict(lost, len(sparse), 6, len(dense), 2)
    return (
        f"1. **{verdict}** Clean NDCG@10 of `cascade` above `standard` with the interval above 0: "
        f"{_listed(better, len(sparse), 6)}; at least 4 are wanted. "
        f"Below 97 % of `standard`: {_names(worse)}."
    )


def _against_generic(paper: Sequence[CellFigures]) -> str:
    def wins(one: CellFigures) -> bool:
        pair = "cascade", "adversarial"
        return (
            one.differences[*pair, ATTACKED].is_above(0)
            and one.differences[*pair, OVERLAP].is_above(0)
            and one.share(*pair) >= 0.98
        )

    won = _where(paper, wins)
    verdict = _verdict(len(paper) - len(won) > 3, len(paper), 8)
    return (
        f"2. **{verdict}** `cascade` above `adversarial` under attack, in "
        "NDCG@10 and in overlap, at 98 % of its clean NDCG@10 or more: "
        f"{_listed(won, len(paper), 8)}; at least 5 are wanted."
    )


def _kept(sparse: Sequence[CellFigures]) -> str:
    def doubled(arm: str) -> str:
        told = [one for one in sparse if arm in one.arms]
        met = _where(told, lambda one: one.differences[arm, "standard", KEPT].value >= 2)
        return f"`{arm}` in {_listed(met, len(told), 6)}"

    lost = any(one.differences["cascade", "standard", KEPT].value < 2 for one in sparse)
    parts = "; ".join(doubled(arm) for arm in ("cascade", "cascade_replacement"))
    return (
        f"3. **{_verdict(lost, len(sparse), 6)}** NDCG@10 kept with the last item replaced at least twice "
        f"`standard`'s: {parts}. All six are wanted, of `cascade`."
    )


def _where(cells: Sequence[CellFigures], holds: Callable[[CellFigures], bool]) -> list[str]:
    return [one.cell.name for one in cells if holds(one)]


def _verdict(lost: bool, *counts: int) -> str:
    """lost: whether no cell to come can make it good. counts: pairs of finished and wanted cells."""
    if lost:
        return "Missed."
    undecided = any(done < wanted for done, wanted in zip(counts[::2], counts[1::2], strict=True))
    return "Not decided yet." if undecided else "Met."


def _listed(names: Sequence[str], finished: int, wanted: int) -> str:
    cells = (
        f"{len(names)} of {finished} cells"
        if finished == wanted
        else (f"{len(names)} of {finished} finished cells (of {wanted})")
    )
    return f"{cells} ({', '.join(names)})" if names else cells


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
