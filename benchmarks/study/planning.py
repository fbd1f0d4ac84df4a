"""Which runs a cell needs next, as a function of the rules and of what is finished.

Nothing is kept but finished runs: whoever asks, however often it was interrupted, gets the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import zip_longest

from benchmarks.study.cells import ON_OWN_DATA, Cell, Run
from benchmarks.study.choosing import choose, most_accurate
from benchmarks.study.records import Record
from benchmarks.study.rules import COMPARED_ARMS, Rules, Settings
from worker.training.settings import Arm

Finished = Callable[[Cell], Mapping[str, Record]]
"""A cell's finished runs by key."""

BASELINES = ("popularity", "markov")


class Plan:
    """The plan of the whole study; reads `finished` anew at every question."""

    def __init__(self, rules: Rules, finished: Finished) -> None:
        self.rules, self.finished = rules, finished

    def on_own_data(self) -> Plan:
        """Return the plan of the search on a cell's own data, beside this one."""
        return Plan(self.rules.on_own_data(), self.finished)

    def left(self, cell: Cell) -> list[Run]:
        """Runs that can be done now; those on the cell's own data first, once the targets have theirs."""
        besides = cell in ON_OWN_DATA and self.is_decided(cell)
        return [*(self.on_own_data().pending(cell) if besides else ()), *self.pending(cell)]

    def pending(self, cell: Cell) -> list[Run]:
        """Runs that can be done now, in order; [] when the cell is complete or waits for another one."""
        for stage in (self.baselines, self.tuning, self.first_trials, self.second_trials, self.tests):
            runs = stage(cell)
            if runs is None:
                return []
            done = self.finished(cell)
            left = [run for run in runs if run.key not in done]
            if left:
                return left
        return []

    def is_complete(self, cell: Cell) -> bool:
        """Whether every test run of the cell is finished."""
        runs, done = self.tests(cell), self.finished(cell)
        return runs is not None and all(run.key in done for run in runs)

    def is_decided(self, cell: Cell) -> bool:
        """Whether every test run that the targets need is finished, and none has diverged.

        A cell in which one diverged decides nothing: the seeds that are left would be those that went well.
        """
        tests = [run for run in self.tests(cell) or () if run.arm in COMPARED_ARMS]
        return bool(tests) and self._went_well(self._all_of(cell, tests))

    def tested(self, cell: Cell, arm: Arm) -> list[Record]:
        """Return the arm's tests, a seed each; [] while one is missing, and if one diverged."""
        found = self._all_of(cell, [run for run in self.tests(cell) or () if run.arm == arm])
        return found if found and self._went_well(found) else []

    def baselines(self, cell: Cell) -> list[Run]:
        """Popularity and Markov, once a data set."""
        if (cell.model, cell.preset) != ("sasrec", "paper"):
            return []
        base = cell.base(self.rules)
        return [Run(cell, "baseline", name, 0, base) for name in BASELINES]

    def tuning(self, cell: Cell) -> list[Run]:
        """Learning rates and dropouts of `strong`, in its standard arm."""
        if cell.preset == "paper":
            return []
        return [self._trial(cell, "standard", changes) for changes in self.rules.tuning]

    def first_trials(self, cell: Cell) -> list[Run]:
        """Standard, then the arms' grids, taken in turns so that early looks compare like with like."""
        if not cell.is_searched(self.rules):
            return []
        grids = [self.grid(cell, arm) for arm in self.rules.searched_arms(cell.model)]
        return [
            self._trial(cell, "standard", {}),
            *(run for turn in zip_longest(*grids) for run in turn if run is not None),
        ]

    def second_trials(self, cell: Cell) -> list[Run]:
        """What is tried around each arm's best first trial."""
        if not cell.is_searched(self.rules):
            return []
        runs = []
        for arm in self.rules.searched_arms(cell.model):
            best = self._best(cell, self.grid(cell, arm))
            if best is not None:
                around = self.rules.second_trials(arm, best.changes)
                runs += [self._trial(cell, arm, changes) for changes in around]
        return runs

    def tests(self, cell: Cell) -> list[Run] | None:
        """Every arm and seed with frozen settings; None while those are not known yet."""
        frozen = {arm: self.frozen(cell, arm) for arm in self.rules.arms_of(cell.model, cell.preset)}
        if any(changes is None for changes in frozen.values()):
            return None
        base = cell.base(self.rules)
        runs = [
            Run(cell, "test", arm, seed, base, changes or {})
            for seed in self.rules.seeds
            for arm, changes in frozen.items()
        ]
        # `strong` is held against RecTools in its standard arm.
        first = COMPARED_ARMS if cell.preset == "paper" else ("standard",)
        return sorted(runs, key=lambda run: (run.arm not in first, run.arm not in COMPARED_ARMS))

    def grid(self, cell: Cell, arm: Arm) -> list[Run]:
        """The arm's first trials: its frontier."""
        return [self._trial(cell, arm, changes) for changes in self.rules.first_trials(arm, cell.data)]

    def frozen(self, cell: Cell, arm: Arm) -> Settings | None:
        """What the arm changes of the cell's base in its test runs; None while the search is not over."""
        tuned: Settings = {}
        if cell.preset != "paper":
            best = self._all_of(cell, self.tuning(cell))
            chosen = most_accurate(best) if best else None
            if chosen is None:
                return None
            tuned = chosen.changes
        if arm == "standard":
            return tuned
        record = self.chosen(cell.source(self.rules), arm)
        return None if record is None else {**record.changes, **tuned}

    def chosen(self, cell: Cell, arm: Arm) -> Record | None:
        """The trial that an arm's settings are frozen from, in a cell that is searched."""
        runs = self.grid(cell, arm)
        best = self._best(cell, runs)
        if best is None:
            return None
        around = self.rules.second_trials(arm, best.changes)
        return self._best(cell, runs + [self._trial(cell, arm, changes) for changes in around])

    def _best(self, cell: Cell, runs: list[Run]) -> Record | None:
        standard = self._all_of(cell, [self._trial(cell, "standard", {})])
        trials = self._all_of(cell, runs)
        if not standard or not trials:
            return None
        return choose(trials, standard[0], self.rules.clean_share)

    def _all_of(self, cell: Cell, runs: list[Run]) -> list[Record] | None:
        """Their records; None as long as one is missing."""
        done = self.finished(cell)
        if any(run.key not in done for run in runs):
            return None
        return [done[run.key] for run in runs]

    @staticmethod
    def _went_well(records: list[Record] | None) -> bool:
        return records is not None and all(record.error is None for record in records)

    def _trial(self, cell: Cell, arm: Arm, changes: Settings) -> Run:
        return Run(cell, "trial", arm, 0, cell.base(self.rules), changes)
