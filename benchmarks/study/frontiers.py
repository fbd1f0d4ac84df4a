"""Arms as frontiers, clean against attacked over their grids, on validation: a figure and a table for a cell.

One setting of an arm against one of another compares where each happens to stand; a frontier compares the
arms. Only trials that the current rules plan are on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas

from benchmarks.study.cells import Cell
from benchmarks.study.choosing import steadiest
from benchmarks.study.planning import Plan
from benchmarks.study.records import Record
from benchmarks.study.rules import share_of
from worker.training.reporting.plotting import Figure, finish_figure, label_axes, style_of
from worker.training.settings import Arm

CLEAN_SHARES = (0.95, 0.98, 1.0, 1.02)
"""Parts of standard's clean NDCG@10 that the table asks for."""


@dataclass(frozen=True)
class Frontiers:
    """A searched cell's standard trial, and each arm's finished trials in the order of the grid."""

    cell: Cell
    standard: Record
    arms: Mapping[Arm, Sequence[Record]]

    def steadiest(self, arm: Arm, clean_share: float) -> Record | None:
        """The trial with the highest attacked NDCG@10 of those with that part of standard's clean one."""
        return steadiest(self.arms[arm], self.standard, clean_share)


def frontiers_of(cell: Cell, records: Mapping[str, Record], plan: Plan) -> Frontiers | None:
    """Return what is finished of a searched cell; None before standard is, or while an arm has no trial."""
    if not cell.is_searched(plan.rules):
        return None
    standard = records.get(plan.first_trials(cell)[0].key)
    arms = {
        arm: [
            record
            for run in plan.grid(cell, arm)
            if (record := records.get(run.key)) is not None and record.error is None
        ]
        for arm in plan.rules.searched_arms(cell.model)
    }
    return Frontiers(cell, standard, arms) if standard is not None and all(arms.values()) else None


def table(found: Frontiers) -> str:
    """Return, in Markdown, how much each arm can have under attack at so much clean accuracy."""
    lines = [
        "As frontiers, on **validation**: the highest attacked NDCG@10 of an arm's settings with at least "
        "this part of standard's clean NDCG@10, in brackets the share at which.",
        "",
        "| arm | " + " | ".join(f"{share:.0%}" for share in CLEAN_SHARES) + " |",
        "| --- |" + " --- |" * len(CLEAN_SHARES),
    ]
    for arm in found.arms:
        best = [found.steadiest(arm, share) for share in CLEAN_SHARES]
        told = ["none" if one is None else f"{one.attacked:.4f} ({_strength(one)})" for one in best]
        lines.append(f"| `{arm}` | {' | '.join(told)} |")
    return "\n".join(lines)


def figure(found: Frontiers) -> Figure:
    """Draw the arms' settings, those of one arm and clip joined in the order of their shares."""

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for arm, trials in found.arms.items():
            style = style_of(arm)
            for clip in sorted({one.changes.get("weight_clip", 0.0) for one in trials}):
                joined = sorted(
                    (one for one in trials if one.changes.get("weight_clip", 0.0) == clip), key=_share_of
                )
                named = f"{arm}, c {clip:g}" if clip else arm
                axes.plot(
                    [one.clean for one in joined],
                    [one.attacked for one in joined],
                    style.line if not clip else ":",
                    marker=style.marker,
                    color=style.color,
                    label=named,
                )
                for one in joined:
                    axes.annotate(
                        f"{_share_of(one):g}",
                        (one.clean, one.attacked),
                        textcoords="offset points",
                        xytext=(4, 4),
                        fontsize=7,
                    )
        standard = style_of("standard")
        axes.plot(
            [found.standard.clean],
            [found.standard.attacked],
            standard.marker,
            color=standard.color,
            label="standard",
        )
        axes.axvline(found.standard.clean, color=standard.color, linewidth=0.8, linestyle=":")
        label_axes(axes, xlabel="clean NDCG@10", ylabel="NDCG@10, last item replaced")
        canvas.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)

    return finish_figure(
        f"frontiers_{found.cell.name}".replace("-", "_"),
        f"Frontiers of {found.cell.name}",
        "Clean against attacked NDCG@10 on validation, seed 0, at the shares that stand beside the marks; "
        "further up and right is better. Dotted: standard's clean NDCG@10.",
        draw,
        height=4.4,
    )


def _share_of(record: Record) -> float:
    return share_of(record.changes) or 0.0


def _strength(record: Record) -> str:
    clip = record.changes.get("weight_clip")
    return f"{_share_of(record):g}" + (f", c {clip:g}" if clip else "")
