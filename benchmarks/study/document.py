"""Writes the tables and figures of docs/study.md, the text between its markers, from the results alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.study import frontiers
from benchmarks.study.cells import Cell, Run
from benchmarks.study.comparing import COMPARISONS, KEPT, ArmFigures, CellFigures, Difference, figures_of
from benchmarks.study.peering import COMPARED, PeerStudy
from benchmarks.study.planning import Plan
from benchmarks.study.records import ATTACKED, CLEAN, OVERLAP, Record, Results
from benchmarks.study.rules import ARMS, RULES, SEARCHED_ARMS, Round, Rules, Settings
from benchmarks.study.targets import strong_in_words, targets_in_words
from worker.training.reporting.svg import standalone

BEGIN, END = "<!-- study:begin -->", "<!-- study:end -->"
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
_EARLIER: dict[Round, str] = {
    1: "**The first round**, all moved along the gradient, with the settings that it froze:",
    2: "**The second round**, all moved towards items as well, with the settings that it froze:",
    3: "**The third round**, some moved towards items, with the settings that it froze:",
    4: "**The fourth round**, to convergence, with the settings that it froze:",
}
_STRONG_HEAD = (
    "| data | `strong` NDCG@10 | RecTools NDCG@10 | `strong` CPU s to best | RecTools' | ratio |",
    "| --- | --- | --- | --- | --- | --- |",
)
_UNUSED = {"adversarial": ("gamma", "kappa", "weight_clip", "replace_by"), "cascade": ("replace_by",)}


def write_tables(document: Path, results: Results, cells: Sequence[Cell], rules: Rules = RULES) -> None:
    """Put the tables of `cells` between the document's markers, and figures into the folder beside it.

    Raises ValueError when it has no markers.
    """
    text = document.read_text("utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{document} lacks the markers {BEGIN} and {END}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    document.write_text(f"{before}{BEGIN}\n{render(results, cells, rules)}\n{END}{after}", "utf-8")
    plan = Plan(rules, results.of)
    for cell in cells:
        if found := frontiers.frontiers_of(cell, results.of(cell), plan):
            path = document.parent / _figure_of(cell)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(standalone(frontiers.figure(found).svg))


def render(results: Results, cells: Sequence[Cell], rules: Rules = RULES) -> str:
    """Return the results in Markdown; a cell without runs is said to have none."""
    plan = Plan(rules, results.of)
    figures = [(cell, figures_of(cell, results, _tests(plan, cell))) for cell in cells]
    finished = [one for _, one in figures if one is not None]
    whole = [one for one in finished if plan.is_decided(one.cell)]
    parts = ["### Targets", *targets_in_words(whole)]
    peers = {data: PeerStudy(data, rules, results.folder).tests() for data in COMPARED}
    sentence, rows = strong_in_words(whole, peers)
    parts.append(sentence)
    if rows:
        parts.append("\n".join([*_STRONG_HEAD, *rows]))
    for cell, one in figures:
        parts += [f"### {cell.name}", *_cell(cell, one, plan, results)]
    return "\n\n".join(parts)


def _tests(plan: Plan, cell: Cell) -> set[str]:
    return {run.key for run in plan.tests(cell) or ()}


def _cell(cell: Cell, figures: CellFigures | None, plan: Plan, results: Results) -> list[str]:
    records = results.of(cell)
    if not records:
        return ["Not yet run."]
    parts = []
    if not plan.is_complete(cell):
        parts.append(f"Under way: {len(records)} runs are finished.")
    if figures is not None:
        parts += [_arms(figures, records, plan), _differences(figures)]
    now = _tests(plan, cell)
    told = _told(figures)
    for number, title in _EARLIER.items():
        then = Plan(plan.rules.of_round(number), results.of)
        before = _tests(then, cell)
        if before != now and (earlier := figures_of(cell, results, before)) is not None:
            parts += [title, _arms(earlier, records, then), _differences(earlier)]
            told |= _told(earlier)
    if rest := [r for r in records.values() if r.purpose == "test" and r.key not in told]:
        parts.append(_besides(rest))
    trials = [record for record in records.values() if record.purpose == "trial"]
    longer = [record for record in trials if _is_of(cell.base(plan.rules), record)]
    shorter = [record for record in trials if record not in longer]
    if longer:
        parts.append(_trials(cell, longer, plan))
    if found := frontiers.frontiers_of(cell, records, plan):
        parts += [frontiers.table(found), f"![Frontiers of {cell.name}]({_figure_of(cell)})"]
    if shorter:
        parts.append("**Trials of the rounds before the fourth**, whose runs ended earlier.")
        parts.append(_trials(cell, shorter, Plan(plan.rules.of_round(3), results.of)))
    return parts


def _figure_of(cell: Cell) -> str:
    return f"figures/frontiers-{cell.name}.svg"


def _told(figures: CellFigures | None) -> set[str]:
    return {run.key for one in figures.arms.values() for run in one.runs} if figures is not None else set()


def _is_of(base: Settings, record: Record) -> bool:
    """Whether a run was made under that protocol, `strong`'s tuned settings aside."""
    return all(record.spec[name] == base[name] for name in ("epochs", "patience", "validate_every"))


def _arms(figures: CellFigures, records: dict[str, Record], plan: Plan) -> str:
    lines = [
        f"Test, seeds {', '.join(map(str, figures.seeds))}, {figures.users:,} users: means over seeds, in "
        "brackets the lowest and the highest seed. Attacked: the last item replaced by any other.",
        "",
        "| arm | setting | NDCG@10 | attacked NDCG@10 | kept | overlap | best epochs | CPU s a run |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for arm, one in figures.arms.items():

        def cell(figure: str, digits: int, one: ArmFigures = one) -> str:
            low, high = one.seeds[figure]
            return f"{one.means[figure]:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

        epochs = ", ".join(f"{run.best_epoch}{' (cut)' if run.cut else ''}" for run in one.runs)
        seconds = sum(run.cpu_seconds for run in one.runs) / len(one.runs)
        lines.append(
            f"| `{arm}` | {_setting(arm, one.runs[0])} | {cell(CLEAN, 4)} | {cell(ATTACKED, 4)} | "
            f"{cell(KEPT, 2)} | {cell(OVERLAP, 3)} | {epochs} | {seconds:.0f} |"
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


def _besides(records: list[Record]) -> str:
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


def _differences(figures: CellFigures) -> str:
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


def _difference(found: Difference, digits: int, nothing: float = 0.0) -> str:
    sign = "+" if nothing == 0 else ""
    value = f"{found.value:{sign}.{digits}f}"
    if found.interval is None:
        return value
    low, high = found.interval
    told = f"{value} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"
    return f"**{told}**" if low > nothing or high < nothing else told


def _trials(cell: Cell, trials: list[Record], plan: Plan) -> str:
    chosen = {record.key for arm in SEARCHED_ARMS if (record := plan.chosen(cell, arm)) is not None}
    edges = {run.key for arm in SEARCHED_ARMS for run in _ends(plan.grid(cell, arm))}
    standard = next((r for r in trials if r.arm == "standard" and not r.changes and r.error is None), None)
    lines = [
        "Trials, on **validation**, seed 0. The chosen ones are in "
        "**bold**, with an asterisk at an end of their grid, beyond which a better one may lie.",
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


def _ends(grid: list[Run]) -> list[Run]:
    """Those of the smallest and the largest share; of the first rounds' grids the first and the last."""
    shares = [run.changes.get("perturb_share", run.changes.get("replace_share")) for run in grid]
    if None in shares:
        return [grid[0], grid[-1]]
    return [run for run, share in zip(grid, shares, strict=True) if share in {min(shares), max(shares)}]


def _setting(arm: str, record: Record) -> str:
    shown = [name for name in _SETTINGS if name in record.changes and name not in _UNUSED.get(arm, ())]
    return ", ".join(f"{_SETTINGS[name]} {record.changes[name]}" for name in shown)
