"""What a report says of the search for the arms' shares: a table, words, a warning where it found none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.training.reporting.tables import NONE, Report, Table, number


def search_warnings(search: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return rows {code, arm, message} where no share of an arm was accurate enough, and where time was over.

    search: a report's `search`.
    """
    found: list[dict[str, Any]] = []
    if search is None:
        return found
    for arm, body in search["arms"].items():
        if not body["accurate_enough"]:
            message = (
                f"no share tried of {arm} has {_percent(search['floor'])} of standard's clean validation "
                f"NDCG@10: the most accurate, {body['share']:g}, was taken, with "
                f"{_of_standard(_chosen(body))} of it"
            )
            found.append({"code": "no_share_accurate", "arm": arm, "message": message})
        if not body["complete"]:
            message = (
                f"the search for the share of {arm} was cut short by max_runtime, so that another might have "
                f"been chosen than {body['share']:g}"
            )
            found.append({"code": "search_cut_short", "arm": arm, "message": message})
    return found


def search_table(report: Report) -> Table:
    """Every share that was tried; no rows where nothing was searched."""
    found = report.get("search") or {"arms": {}}
    rows = [
        (
            arm,
            f"{trial['share']:g}{' (chosen)' if trial['share'] == body['share'] else ''}",
            number(trial["ndcg@10"]),
            _of_standard(trial),
            number(trial["attacked_ndcg@10"]),
            str(trial["best_epoch"]),
            f"{trial['epochs']} ({trial['stop_reason']})",
            number(trial["seconds"], 0),
        )
        for arm, body in found["arms"].items()
        for trial in body["trials"]
    ]
    if rows:
        standard = found["standard"]
        figures = (number(standard["ndcg@10"]), "100.0%", number(standard["attacked_ndcg@10"]))
        rows.insert(0, ("standard", "", *figures, "", "", ""))
    figures_of = ("validation NDCG@10", "of standard's", "attacked")
    return Table(("arm", "share", *figures_of, "best epoch", "epochs", "seconds"), rows)


def search_in_words(report: Report) -> str:
    """Say how shares were chosen, and where a better one may lie; "" where nothing was searched."""
    found = report.get("search")
    if found is None:
        return ""
    said = [
        f"Shares were chosen on validation, with seed {found['seed']}: of those with at least "
        f"{_percent(found['floor'])} of standard's clean NDCG@10 the one with the highest with the last item "
        "replaced at random (attacked), or where there is none the most accurate. The best of several looks "
        "better there than it is, and standard had no such choice: test figures are what counts.",
        f"Trials that were not chosen took {_left_out_seconds(found):.0f} s more, each with the warm-up that "
        "all share; no cost counts them.",
    ]
    for arm, body in found["arms"].items():
        tried = [trial["share"] for trial in body["trials"]]
        if len(tried) > 1 and body["share"] in {min(tried), max(tried)} - {1.0}:
            end = "smallest" if body["share"] == min(tried) else "largest"
            said.append(f"The {end} share tried of {arm} was chosen: a better one may lie beyond it.")
        if body["diverged"]:
            shares = ", ".join(f"{share:g}" for share in body["diverged"])
            said.append(f"Training {arm} at {shares} diverged.")
    if not found["complete"]:
        said.append("The run's time was over before all shares were tried to their end.")
    return " ".join(said)


def _chosen(body: Mapping[str, Any]) -> Mapping[str, Any]:
    chosen: Mapping[str, Any] = next(one for one in body["trials"] if one["share"] == body["share"])
    return chosen


def _of_standard(trial: Mapping[str, Any]) -> str:
    return NONE if trial["of_standard"] is None else f"{trial['of_standard']:.1%}"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _left_out_seconds(found: Mapping[str, Any]) -> float:
    return float(
        sum(
            trial["seconds"]
            for body in found["arms"].values()
            for trial in body["trials"]
            if trial["share"] != body["share"]
        )
    )
