"""Writes the tables and figures of docs/study.md and docs/study-rounds.md, between their markers.

The first has what decides; the second what earlier rounds of the study found. Both from the results alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.study import frontiers
from benchmarks.study.cells import ON_OWN_DATA, Cell
from benchmarks.study.comparing import CellFigures, figures_of
from benchmarks.study.peering import COMPARED, PeerStudy
from benchmarks.study.planning import Plan
from benchmarks.study.records import Record, Results
from benchmarks.study.rules import RULES, Round, Rules, Settings
from benchmarks.study.tables import arms_table, besides_table, differences_table, trials_table
from benchmarks.study.targets import strong_in_words, targets_in_words
from worker.training.reporting.svg import standalone

BEGIN, END = "<!-- study:begin -->", "<!-- study:end -->"
_EARLIER: dict[Round, str] = {
    1: "**The first round**, all moved along the gradient, with the settings that it froze:",
    2: "**The second round**, all moved towards items as well, with the settings that it froze:",
    3: "**The third round**, some moved towards items, with the settings that it froze:",
    4: "**The fourth round**, to convergence, with the settings that it froze:",
}
_STRONG_HEAD = (
    "| data | `strong` NDCG@10 | RecTools NDCG@10 | `strong` CPU s to best | RecTools' | ratio | "
    "`strong` CPU s to RecTools' best validation NDCG@10 |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


def write_documents(
    study: Path, rounds: Path, results: Results, cells: Sequence[Cell], rules: Rules = RULES
) -> None:
    """Put the tables of `cells` between the documents' markers, and figures into the folder beside `study`.

    Raises ValueError when a document has no markers; then neither is written.
    """
    texts = {
        study: _between(study, render(results, cells, rules)),
        rounds: _between(rounds, render_earlier(results, cells, rules)),
    }
    for document, text in texts.items():
        document.write_text(text, "utf-8")
    plan = Plan(rules, results.of)
    for cell in cells:
        if found := frontiers.frontiers_of(cell, results.of(cell), plan):
            path = study.parent / _figure_of(cell)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(standalone(frontiers.figure(found).svg))


def render(results: Results, cells: Sequence[Cell], rules: Rules = RULES) -> str:
    """Return the deciding results in Markdown; a cell without runs is said to have none."""
    plan = Plan(rules, results.of)
    figures = [(cell, figures_of(cell, results, _tests(plan, cell))) for cell in cells]
    finished = [one for _, one in figures if one is not None]
    whole = [one for one in finished if plan.is_decided(one.cell)]
    parts = ["### Targets", *targets_in_words(whole)]
    peers = {data: PeerStudy(data, rules, results.folder).tests() for data in COMPARED}
    strong = {cell: plan.tested(cell, "standard") for cell in cells if cell.preset != "paper"}
    sentence, rows = strong_in_words(strong, peers)
    parts.append(sentence)
    if rows:
        parts.append("\n".join([*_STRONG_HEAD, *rows]))
    for cell, one in figures:
        parts += [f"### {cell.name}", *_cell(cell, one, plan, results.of(cell))]
        if cell in ON_OWN_DATA:
            parts += _on_own_data(cell, plan.on_own_data(), results)
    return "\n\n".join(parts)


def render_earlier(results: Results, cells: Sequence[Cell], rules: Rules = RULES) -> str:
    """Return what earlier rounds found, of the cells that they met."""
    plan = Plan(rules, results.of)
    parts = []
    for cell in cells:
        if found := _earlier(cell, plan, results):
            parts += [f"### {cell.name}", *found]
    return "\n\n".join(parts)


def _between(document: Path, tables: str) -> str:
    text = document.read_text("utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{document} lacks the markers {BEGIN} and {END}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def _cell(cell: Cell, figures: CellFigures | None, plan: Plan, records: Mapping[str, Record]) -> list[str]:
    tests = _tests(plan, cell)
    planned = {run.key for run in (*plan.tuning(cell), *plan.first_trials(cell))}
    trials = [one for one in records.values() if one.key in planned]
    tested = [records[key] for key in tests if key in records]
    if not trials and not tested:
        return ["Not run."]
    parts = [] if plan.is_complete(cell) else [f"Incomplete: {len(trials) + len(tested)} runs are finished."]
    rest = [one for one in tested if one.key not in _told(figures)]
    parts += _tables(cell, figures, rest, trials, plan)
    if frontiers.frontiers_of(cell, records, plan):
        parts.append(f"![Frontiers of {cell.name}]({_figure_of(cell)})")
    return parts


def _on_own_data(cell: Cell, plan: Plan, results: Results) -> list[str]:
    records = results.of(cell)
    planned = {run.key for run in plan.first_trials(cell)}
    trials = [one for one in records.values() if one.key in planned]
    if not trials:
        return []
    tests = _tests(plan, cell)
    figures = figures_of(cell, results, tests)
    # Standard's stand above.
    others = [records[key] for key in tests if key in records and records[key].arm != "standard"]
    rest = [one for one in others if one.key not in _told(figures)]
    title = "**Searched on its own data**, beside the above; no target is decided by it."
    return [title, *_tables(cell, figures, rest, trials, plan)]


def _tables(
    cell: Cell,
    figures: CellFigures | None,
    rest: list[Record],
    trials: list[Record],
    plan: Plan,
) -> list[str]:
    """What a plan's search and tests led to. rest: its tests that `figures` does not have."""
    records, parts = plan.finished(cell), list[str]()
    if figures is not None:
        parts += [arms_table(figures, records, plan), differences_table(figures)]
    if rest:
        parts.append(besides_table(rest))
    if trials:
        parts.append(trials_table(cell, trials, plan))
    if found := frontiers.frontiers_of(cell, records, plan):
        parts.append(frontiers.table(found))
    return parts


def _earlier(cell: Cell, plan: Plan, results: Results) -> list[str]:
    records = results.of(cell)
    now = _tests(plan, cell)
    own = _tests(plan.on_own_data(), cell) if cell in ON_OWN_DATA else set()
    told, parts = now | own, list[str]()
    for number, title in _EARLIER.items():
        then = Plan(plan.rules.of_round(number), results.of)
        before = _tests(then, cell)
        if before != now and (figures := figures_of(cell, results, before)) is not None:
            parts += [title, arms_table(figures, records, then), differences_table(figures)]
            told |= _told(figures)
    if rest := [one for one in records.values() if one.purpose == "test" and one.key not in told]:
        parts.append(besides_table(rest))
    base = cell.base(plan.rules)
    if trials := [one for one in records.values() if one.purpose == "trial" and not _is_of(base, one)]:
        parts.append(trials_table(cell, trials, Plan(plan.rules.of_round(3), results.of)))
    return parts


def _tests(plan: Plan, cell: Cell) -> set[str]:
    return {run.key for run in plan.tests(cell) or ()}


def _told(figures: CellFigures | None) -> set[str]:
    return {run.key for one in figures.arms.values() for run in one.runs} if figures is not None else set()


def _figure_of(cell: Cell) -> str:
    return f"figures/frontiers-{cell.name}.svg"


def _is_of(base: Settings, record: Record) -> bool:
    """Whether a run was made under that protocol, `strong`'s tuned settings aside."""
    return all(record.spec[name] == base[name] for name in ("epochs", "patience", "validate_every"))
