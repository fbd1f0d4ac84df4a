"""Tables of a cell in Markdown: test figures, differences, trials."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.study.cells import Cell, Run
from benchmarks.study.comparing import COMPARISONS, KEPT, ArmFigures, CellFigures, Difference
from benchmarks.study.planning import Plan
from benchmarks.study.records import ATTACKED, CLEAN, OVERLAP, Record
from benchmarks.study.rules import ARMS, share_of

_SETTINGS = {
    "perturb_towards": "towards",
    "perturb_share": "moved",
    "epsilon_history": "ε2",
    "epsilon_match": "ε1",
    "gamma": "γ",
    "kappa": "κ",
    "weight_clip": "c",
    "replace_share": "share",
    "replace_by": "by",
    "learning_rate": "learning rate",
    "dropout": "dropout",
}
_UNUSED = {"adversarial": ("gamma", "kappa", "weight_clip", "replace_by"), "cascade": ("replace_by",)}


def arms_table(figures: CellFigures, records: Mapping[str, Record], plan: Plan) -> str:
    """Test figures of each arm and baseline."""
    lines = [
        f"Test, seeds {', '.join(map(str, figures.seeds))}, {figures.users:,} users: means over seeds, in "
        "brackets the lowest and the highest seed. Attacked: the last item replaced by any other.",
        "",
        "| arm | setting | NDCG@10 | attacked NDCG@10 | kept | overlap | best epochs | of epochs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for arm, one in figures.arms.items():

        def cell(figure: str, digits: int, one: ArmFigures = one) -> str:
            low, high = one.seeds[figure]
            return f"{one.means[figure]:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

        epochs = ", ".join(f"{run.best_epoch}{' (cut)' if run.cut else ''}" for run in one.runs)
        trained = ", ".join(str(run.epochs) for run in one.runs)
        lines.append(
            f"| `{arm}` | {_setting(arm, one.runs[0])} | {cell(CLEAN, 4)} | {cell(ATTACKED, 4)} | "
            f"{cell(KEPT, 2)} | {cell(OVERLAP, 3)} | {epochs} | {trained} |"
        )
    for baseline in plan.baselines(figures.cell):
        record = records.get(baseline.key)
        if record is not None and record.test is not None:
            row = record.attacks[0]
            lines.append(
                f"| {record.arm} | | {record.test['ndcg@10']:.4f} | {row['ndcg@10']:.4f} | "
                f"{row['kept'] or 0:.2f} | {row['overlap']:.3f} | | |"
            )
    return "\n".join(lines)


def besides_table(records: list[Record]) -> str:
    """Test runs of seeds that some arm lacks, a row each."""
    lines = [
        "Test runs that stand in no table above, a seed a row, as another arm has not finished that seed or "
        "theirs has not finished all.",
        "",
        "| arm | setting | seed | NDCG@10 | attacked NDCG@10 | overlap |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for record in sorted(records, key=lambda record: (ARMS.index(record.arm), record.seed, record.key)):
        told = "| diverged | | |"
        if record.error is None and record.test is not None:
            row = record.attacks[0]
            told = f"| {record.test['ndcg@10']:.4f} | {record.attacked:.4f} | {row['overlap']:.3f} |"
        lines.append(f"| `{record.arm}` | {_setting(record.arm, record)} | {record.seed} {told}")
    return "\n".join(lines)


def differences_table(figures: CellFigures) -> str:
    """Arms against each other, paired by user."""
    lines = [
        "Differences with 95 % intervals over users; in **bold** where the interval excludes 0 (of `kept`, a "
        "ratio: 1).",
        "",
        "| arm | against | NDCG@10 | share of its NDCG@10 | attacked NDCG@10 | overlap | kept, ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for arm, against in COMPARISONS:
        found = figures.differences
        if (arm, against, CLEAN) not in found:
            continue
        lines.append(
            f"| `{arm}` | `{against}` | {_difference(found[arm, against, CLEAN], 4)} | "
            f"{figures.share(arm, against):.1%} | {_difference(found[arm, against, ATTACKED], 4)} | "
            f"{_difference(found[arm, against, OVERLAP], 3)} | "
            f"{_difference(found[arm, against, KEPT], 2, 1.0)} |"
        )
    return "\n".join(lines)


def trials_table(cell: Cell, trials: list[Record], plan: Plan) -> str:
    """Trials on validation, the ones that the plan's round froze settings from marked."""
    arms = plan.rules.searched_arms(cell.model)
    chosen = {record.key for arm in arms if (record := plan.chosen(cell, arm)) is not None}
    edges = {run.key for arm in arms for run in _ends(plan.grid(cell, arm))}
    standard = next((r for r in trials if r.arm == "standard" and not r.changes and r.error is None), None)
    lines = [
        f"Trials, on **validation**, seed 0. Those that round {plan.rules.round} chose are in **bold**, with "
        "an asterisk at an end of their grid, beyond which a better one may lie.",
        "",
        "| arm | setting | NDCG@10 | of standard's | attacked NDCG@10 | overlap | best epoch |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record in sorted(trials, key=lambda record: ARMS.index(record.arm)):
        if record.error is not None:
            lines.append(f"| `{record.arm}` | {_setting(record.arm, record)} | diverged | | | | |")
            continue
        share = f"{record.clean / standard.clean:.1%}" if standard else ""
        setting = _setting(record.arm, record)
        if record.key in chosen:
            setting = f"**{setting}**{' *' if record.key in edges else ''}"
        lines.append(
            f"| `{record.arm}` | {setting} | {record.clean:.4f} | {share} | "
            f"{record.attacked:.4f} | {record.attacks[0]['overlap']:.3f} | "
            f"{record.best_epoch}{' (cut)' if record.cut else ''} |"
        )
    return "\n".join(lines)


def _difference(found: Difference, digits: int, nothing: float = 0.0) -> str:
    sign = "+" if nothing == 0 else ""
    value = f"{found.value:{sign}.{digits}f}"
    if found.interval is None:
        return value
    low, high = found.interval
    told = f"{value} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"
    return f"**{told}**" if low > nothing or high < nothing else told


def _ends(grid: list[Run]) -> list[Run]:
    """Those of a clip's smallest and largest share; of the first rounds' grids the first and the last."""
    if any(share_of(run.changes) is None for run in grid):
        return [grid[0], grid[-1]]
    clips = [run.changes.get("weight_clip") for run in grid]
    shares = [share_of(run.changes) for run in grid]
    of_clip = {
        clip: [share for share, own in zip(shares, clips, strict=True) if own == clip] for clip in clips
    }
    ends = {clip: {min(its), max(its)} for clip, its in of_clip.items()}
    return [run for run, clip in zip(grid, clips, strict=True) if share_of(run.changes) in ends[clip]]


def _setting(arm: str, record: Record) -> str:
    shown = [name for name in _SETTINGS if name in record.changes and name not in _UNUSED.get(arm, ())]
    return ", ".join(f"{_SETTINGS[name]} {record.changes[name]}" for name in shown)
