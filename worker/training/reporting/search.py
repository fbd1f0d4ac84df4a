"""What a report says of the search for the arms' shares: a table, words, a warning where it found none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.training.reporting.tables import NONE, Report, Table, number


def search_warnings(search: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return a row {code, arm, message} for each arm none of whose shares was accurate enough.

    search: a report's `search`.
    """
    if search is None:
        return []
    return [
        {
            "code": "no_share_accurate",
            "arm": arm,
            "message": f"no share tried of {arm} has {search['floor']:.0%} of standard's clean validation "
            f"NDCG@10: the most accurate, {body['share']:g}, was taken ({_of_standard(_chosen(body))} of it)",
        }
        for arm, body in search["arms"].items()
        if not body["accurate_enough"]
    ]


def chosen_settings(report: Report) -> dict[str, dict[str, float]]:
    """Return by arm the setting that was searched and what was found for it: {arm: {setting: share}}."""
    arms = (report.get("search") or {"arms": {}})["arms"]
    return {arm: {body["setting"]: body["share"]} for arm, body in arms.items()}


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
        f"{found['floor']:.0%} of standard's clean NDCG@10 the one with the highest with the last item "
        "replaced at random (attacked), or where there is none the most accurate."
    ]
    for arm, body in found["arms"].items():
        tried = [trial["share"] for trial in body["trials"]]
        if len(tried) > 1 and body["share"] in (min(tried), max(tried)):
            end = "smallest" if body["share"] == min(tried) else "largest"
            said.append(f"The {end} share tried of {arm} was chosen: a better one may lie beyond it.")
    if not found["complete"]:
        said.append("The run's time was over before all shares were tried.")
    return " ".join(said)


def _chosen(body: Mapping[str, Any]) -> Mapping[str, Any]:
    chosen: Mapping[str, Any] = next(one for one in body["trials"] if one["share"] == body["share"])
    return chosen


def _of_standard(trial: Mapping[str, Any]) -> str:
    return NONE if trial["of_standard"] is None else f"{trial['of_standard']:.1%}"
