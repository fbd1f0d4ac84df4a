"""The plan is a function of rules and finished runs, and it says what the rules say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.study.cells import CELLS, ON_OWN_DATA, Cell, Run
from benchmarks.study.choosing import choose
from benchmarks.study.planning import Plan
from benchmarks.study.records import Record, Results
from benchmarks.study.rules import ARMS, COMPARED_ARMS, LEFT_ALONE, RULES, Rules, rehearsal
from worker.training.presets import PRESETS
from worker.training.spec import TrainSpec

Make = Callable[..., Record]
FINISHED = (
    *(Cell(data, "sasrec") for data in ("beauty", "ml-100k")),
    *(Cell(data, "gru4rec") for data in ("beauty", "ml-100k", "toys", "video")),
)
RESULTS = Path(__file__).resolve().parents[3] / "benchmarks/study/results"
BEAUTY, TOYS = Cell("beauty", "sasrec"), Cell("toys", "sasrec")
STRONG = Cell("beauty", "sasrec", "strong")


class Finished:
    """Pretends to do runs: their figures are those of `figures`, by arm and strength."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.records: dict[Cell, dict[str, Record]] = {}
        self.done: list[Run] = []

    def of(self, cell: Cell) -> dict[str, Record]:
        return self.records.get(cell, {})

    def do(self, run: Run) -> None:
        names = [
            name for name in ("perturb_share", "epsilon_history", "replace_share") if name in run.changes
        ]
        strength = float(run.changes[names[0]]) if names else 0.0
        record = self.make(
            run.key,
            clean=0.1 - 0.02 * strength,
            attacked=0.01 + 0.02 * strength,
            arm=run.arm,
            changes=run.changes,
            seed=run.seed,
        )
        self.records.setdefault(run.cell, {})[run.key] = record
        self.done.append(run)


def finish(plan: Plan, finished: Finished, cell: Cell) -> list[Run]:
    before = len(finished.done)
    while pending := plan.pending(cell):
        finished.do(pending[0])
    return finished.done[before:]


@pytest.fixture
def finished(record: Make) -> Finished:
    return Finished(record)


@pytest.fixture
def plan(finished: Finished) -> Plan:
    return Plan(RULES, finished.of)


def test_generic_and_cascade_have_the_same_budget_and_every_arm_every_seed(
    plan: Plan, finished: Finished
) -> None:
    runs = finish(plan, finished, BEAUTY)
    assert plan.is_complete(BEAUTY)
    trials = Counter(run.arm for run in runs if run.purpose == "trial")
    assert trials == {"standard": 1, **dict.fromkeys(RULES.searched_arms("sasrec"), 4)}
    tests = Counter((run.arm, run.seed) for run in runs if run.purpose == "test")
    assert tests == dict.fromkeys([(arm, seed) for arm in ARMS for seed in (0, 1, 2)], 1)
    assert {run.seed for run in runs if run.purpose == "trial"} == {0}
    assert len({run.key for run in runs}) == len(runs)


def test_our_own_arm_is_studied_with_sasrec_alone(plan: Plan, finished: Finished) -> None:
    cell = Cell("beauty", "gru4rec")
    runs = finish(plan, finished, cell)
    assert plan.is_complete(cell)
    assert Counter((run.purpose, run.arm) for run in runs) == {
        ("trial", "standard"): 1,
        ("trial", "adversarial"): 4,
        ("trial", "cascade"): 4,
        **{("test", arm): 3 for arm in COMPARED_ARMS},
    }


def test_nothing_is_tested_before_the_search_is_over(plan: Plan, finished: Finished) -> None:
    purposes = [run.purpose for run in finish(plan, finished, BEAUTY)]
    assert purposes == sorted(purposes, key=["baseline", "trial", "test"].index)


def test_generic_and_cascade_are_tried_at_the_same_strengths(plan: Plan, finished: Finished) -> None:
    def grid(arm: str, share: str = "perturb_share") -> list[float]:
        return [run.changes[share] for run in plan.first_trials(BEAUTY) if run.arm == arm]

    assert grid("adversarial") == grid("cascade") == [*RULES.converged_shares]
    assert grid("cascade_replacement", "replace_share") == [*RULES.converged_shares]


def test_rounds_share_what_is_no_embedding_noise(plan: Plan, finished: Finished) -> None:
    runs = finish(Plan(RULES.of_round(1), finished.of), finished, BEAUTY)
    assert Counter(run.arm for run in runs if run.purpose == "trial") == {
        "standard": 1,
        **dict.fromkeys(RULES.searched_arms("sasrec"), 6),
    }
    second = Plan(RULES.of_round(2), finished.of).pending(BEAUTY)
    assert {run.changes["perturb_towards"] for run in second} == {"items"}
    assert Counter(run.arm for run in second) == {"adversarial": 4, "cascade": 4}
    third = Plan(RULES.of_round(3), finished.of).pending(BEAUTY)
    assert {run.changes["epsilon_history"] for run in third} == {1.0}
    assert Counter(run.arm for run in third) == {"adversarial": 5, "cascade": 5}


def test_the_fourth_round_trains_paper_cells_longer_and_begins_anew(plan: Plan, finished: Finished) -> None:
    for number in (1, 2, 3):
        finish(Plan(RULES.of_round(number), finished.of), finished, BEAUTY)
    (runs, earlier) = plan.first_trials(BEAUTY), {run.training for run in finished.done}
    assert not earlier & {run.training for run in runs}
    short, long = Plan(RULES.of_round(3), finished.of).first_trials(BEAUTY)[0].spec(), runs[0].spec()
    assert long.patience * long.validate_every > 3 * short.patience * short.validate_every
    assert long.epochs > short.epochs
    assert STRONG.base(RULES) == STRONG.base(RULES.of_round(3))


def test_the_fifth_round_tries_more_where_windows_are_long_and_as_much_in_each_arm(
    plan: Plan, finished: Finished
) -> None:
    dense, before = Cell("ml-100k", "sasrec"), Plan(RULES.of_round(4), finished.of)
    for arm in RULES.searched_arms("sasrec"):
        now, then = ([run.key for run in one.grid(dense, arm)] for one in (plan, before))
        assert now[: len(then)] == then
        assert (len(now), len(set(now))) == (7, 7)
        assert plan.grid(BEAUTY, arm) == before.grid(BEAUTY, arm)
    assert {run.given["weight_clip"] for run in plan.grid(dense, "cascade")} == {5.0, 2.0}


def test_a_setting_must_be_ahead_of_standard_by_a_margin(plan: Plan, finished: Finished) -> None:
    (standard,) = [run for run in plan.first_trials(BEAUTY) if run.arm == "standard"]
    finished.do(standard)
    for run in plan.grid(BEAUTY, "cascade"):
        finished.do(run)
        made = finished.records[BEAUTY][run.key]
        share = run.changes["perturb_share"]
        validation = {"ndcg@10": 0.1 * (1.06 - 0.1 * share)}
        finished.records[BEAUTY][run.key] = replace(made, validation=validation)
    # 1.05, 1.04, 1.03 and 1.01 of standard's; the steadiest are those of the largest shares.
    chosen = plan.chosen(BEAUTY, "cascade")
    assert chosen is not None
    assert chosen.changes["perturb_share"] == 0.3


def test_the_second_trials_are_around_the_best_first_one(finished: Finished) -> None:
    plan = Plan(RULES.of_round(3), finished.of)
    for run in [*plan.baselines(BEAUTY), *plan.first_trials(BEAUTY)]:
        finished.do(run)
    # Clean 0.1 - 0.02 r is at least 98 % of 0.1 up to a share r of 0.1.
    around = [run.changes for run in plan.second_trials(BEAUTY) if run.arm == "cascade"]
    assert [changes["perturb_share"] for changes in around] == [0.1, 0.1]
    assert [(changes["gamma"], changes["kappa"]) for changes in around] == [(0.5, 1.0), (2.0, 0.0)]


def test_other_amazon_sets_wait_for_beautys_settings_and_take_them(plan: Plan, finished: Finished) -> None:
    assert all(run.purpose == "baseline" for run in finish(plan, finished, TOYS))
    assert not plan.is_complete(TOYS)
    finish(plan, finished, BEAUTY)
    runs = finish(plan, finished, TOYS)
    assert plan.is_complete(TOYS)
    assert {run.purpose for run in runs} == {"test"}
    for arm in ARMS:
        (changes,) = {tuple(run.changes.items()) for run in runs if run.arm == arm}
        assert dict(changes) == plan.frozen(BEAUTY, arm)


def test_searched_on_its_own_data_a_cell_has_other_tests_beside_its_own(
    plan: Plan, finished: Finished
) -> None:
    finish(plan, finished, BEAUTY)
    finish(plan, finished, TOYS)
    frozen = {run.key for run in plan.tests(TOYS) or ()}
    own = Plan(RULES.on_own_data(), finished.of)
    assert TOYS in ON_OWN_DATA
    trials = Counter(run.arm for run in own.pending(TOYS))
    assert trials == {"standard": 1, "adversarial": 4, "cascade": 4}
    finish(own, finished, TOYS)
    tests = own.tests(TOYS)
    assert tests is not None
    assert {run.arm for run in tests} == set(COMPARED_ARMS)
    assert {run.changes["perturb_share"] for run in tests if run.changes} == {
        0.05
    }  # of Finished the most accurate
    # Standard is tested once, and the frozen settings stay what they are.
    assert {run.key for run in tests if run.arm == "standard"} <= frozen
    assert {run.key for run in plan.tests(TOYS) or ()} == frozen
    assert {run.training for run in own.grid(TOYS, "cascade")} & {
        run.training for run in plan.tests(TOYS) or () if run.seed == 0
    }


def test_the_search_on_its_own_data_comes_once_the_targets_are_decided(
    plan: Plan, finished: Finished
) -> None:
    finish(plan, finished, BEAUTY)
    while not plan.is_decided(TOYS):
        assert {run.purpose for run in plan.left(TOYS)} <= {"baseline", "test"}
        finished.do(plan.left(TOYS)[0])
    own, *rest = plan.left(TOYS)
    assert own.purpose == "trial"
    assert [run.arm for run in rest if run.purpose == "test"] == ["cascade_replacement"] * 3


def test_strong_is_tuned_on_its_own_and_takes_the_papers_adversary(plan: Plan, finished: Finished) -> None:
    finish(plan, finished, BEAUTY)
    runs = finish(plan, finished, STRONG)
    assert Counter(run.purpose for run in runs) == {"trial": 6, "test": 12}
    assert {run.arm for run in runs if run.purpose == "trial"} == {"standard"}
    (cascade, *_) = [run for run in runs if (run.purpose, run.arm) == ("test", "cascade")]
    frozen = plan.frozen(BEAUTY, "cascade")
    assert frozen is not None
    assert frozen.items() <= cascade.changes.items()
    assert {"learning_rate", "dropout"} <= cascade.changes.keys()
    assert [one.seed for one in plan.tested(STRONG, "standard")] == [0, 1, 2]
    # Standard first, which is held against RecTools.
    assert [run.arm for run in runs if run.purpose == "test"][:4] == ["standard"] * 3 + ["adversarial"]


def test_with_one_window_only_that_differs_and_only_standard_is_run(plan: Plan, finished: Finished) -> None:
    cell = Cell("ml-100k", "sasrec", "strong-one-window")
    strong = Cell("ml-100k", "sasrec", "strong").base(RULES)
    assert cell.base(RULES) == {**strong, "windows_per_user": 1}
    runs = finish(plan, finished, cell)
    assert Counter((run.purpose, run.arm) for run in runs) == {
        ("trial", "standard"): 6,
        ("test", "standard"): 3,
    }


@pytest.mark.parametrize(("arm", "decided"), [("cascade", False), ("cascade_replacement", True)])
def test_a_cell_in_which_a_compared_run_diverged_decides_nothing(
    plan: Plan, finished: Finished, arm: str, decided: bool
) -> None:
    runs = finish(plan, finished, BEAUTY)
    assert plan.is_decided(BEAUTY)
    (last,) = [run for run in runs if (run.purpose, run.arm, run.seed) == ("test", arm, 2)]
    of_cell = finished.records[BEAUTY]
    of_cell[last.key] = replace(of_cell[last.key], error="diverged")
    assert plan.is_decided(BEAUTY) is decided
    assert plan.tested(BEAUTY, last.arm) == []
    assert len(plan.tested(BEAUTY, "standard")) == 3


def test_a_test_run_reuses_the_training_of_the_chosen_trial(plan: Plan, finished: Finished) -> None:
    runs = finish(plan, finished, BEAUTY)
    trained = {run.training for run in runs if run.purpose == "trial"}
    again = {run.arm for run in runs if run.purpose == "test" and run.training in trained}
    assert again == set(ARMS)


@pytest.mark.parametrize("rules", [RULES, rehearsal()], ids=["rules", "rehearsal"])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_run_of_every_cell_has_a_valid_specification(cell: Cell, rules: Rules, record: Make) -> None:
    finished = Finished(record)
    plan = Plan(rules, finished.of)
    finish(plan, finished, cell.source(rules))
    finish(plan, finished, cell)
    assert plan.is_complete(cell)
    for run in finished.done:
        spec = run.spec()
        assert spec.seeds == (run.seed,)
        assert (spec.perturb_towards, spec.perturb_share) == (
            run.changes.get("perturb_towards", "gradient"),
            run.changes.get("perturb_share"),
        )
        if run.cell.preset == "paper":
            assert spec.loss == "bce"


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_nothing_is_left_to_the_librarys_defaults(cell: Cell) -> None:
    of_each_run = {"arms", "seed", "seeds", "attack_positions", "attack_counts", "attack_replacements"}
    said = LEFT_ALONE.keys() | cell.base(RULES).keys() | of_each_run | {"attack_repeats"}
    assert said == set(TrainSpec.model_fields)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_what_is_planned_today_is_what_finished_runs_were_made_with(cell: Cell) -> None:
    results = Results(RESULTS)
    plan = Plan(RULES, results.of)
    done = results.of(cell)
    planned = [*plan.tuning(cell), *plan.first_trials(cell), *(plan.tests(cell) or ())]
    met = [run for run in planned if run.key in done]
    for run in met:
        # Settings that the library has had only since are as all runs leave them.
        assert run.spec().model_dump(mode="json") == {**LEFT_ALONE, **done[run.key].spec}
    # A changed rule gives every run another key: these cells are through, and stay it.
    assert len(met) == len(planned) or cell not in FINISHED


def test_the_choice_is_the_steadiest_of_the_accurate(record: Make) -> None:
    standard = record("trial-standard", clean=0.100, attacked=0.01)
    accurate = record("trial-a", clean=0.0985, attacked=0.03)
    plain = record("trial-b", clean=0.1020, attacked=0.02)
    steady = record("trial-c", clean=0.0975, attacked=0.09)
    assert choose([plain, steady, accurate], standard, 0.98) == accurate
    assert choose([steady, plain], standard, 0.98) == plain
    assert choose([steady, replace(accurate, error="diverged")], standard, 0.98) == steady
    assert choose([replace(accurate, error="diverged")], standard, 0.98) is None


def test_where_none_is_accurate_the_most_accurate_is_taken(record: Make) -> None:
    standard = record("trial-standard", clean=0.2)
    weak, weaker = record("trial-a", clean=0.1, attacked=0.01), record("trial-b", clean=0.05, attacked=0.05)
    assert choose([weaker, weak], standard, 0.98) == weak


def test_strong_is_the_librarys_preset_under_the_studys_protocol() -> None:
    base = STRONG.base(RULES)
    assert base.items() >= PRESETS["strong"]["sasrec"].items()
    for name in ("epochs", "patience", "min_epochs", "validate_every", "warmup_epochs", "exclude_seen"):
        assert base[name] == BEAUTY.base(RULES.of_round(3))[name]
