"""`python -m benchmarks.study run | rectools | status | tables`: see docs/study.md."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import torch

from benchmarks.study.cells import CELLS, Cell, Run
from benchmarks.study.document import write_documents
from benchmarks.study.peering import COMPARED, PeerStudy, compare_with_rectools
from benchmarks.study.planning import Plan
from benchmarks.study.records import Record, Results
from benchmarks.study.rules import RULES, Rules, rehearsal
from benchmarks.study.running import perform, say
from benchmarks.study.workspace import PAUSE, Workspace
from worker.training.progress import Stopped

_ROOT = Path(__file__).resolve().parents[2]


class Study:
    """Takes run after run, in the plan's order, until nothing is left or it is told to leave."""

    def __init__(
        self, cells: list[Cell], rules: Rules, results: Results, workspace: Workspace, data: Path
    ) -> None:
        self.cells, self.results, self.workspace, self.data = cells, results, workspace, data
        self.plan = Plan(rules, results.of)
        self.stopping = False

    def work(self) -> None:
        """Do everything that is left; returns early after SIGTERM or SIGINT, with the run saved."""
        while not self.stopping:
            began = self._one()
            if began is None:
                return
            if not began:
                time.sleep(PAUSE)

    def _one(self) -> bool | None:
        """Do the first run that nobody else is at; False when others hold all, None when nothing is left."""
        left = False
        for cell in self.cells:
            pending = self.plan.left(cell)
            left = left or bool(pending)
            for run in pending:
                with self.workspace.claim(run) as mine:
                    if mine and run.key not in self.results.of(cell):
                        self._do(run)
                        return True
        return False if left else None

    def _do(self, run: Run) -> None:
        say(f"{run.cell.name} {run.key} {dict(run.changes)}")
        began = time.process_time()
        try:
            record, outcomes = perform(run, self.workspace, self.data, lambda: self.stopping)
        except Stopped:
            say("stopped; what was trained is saved")
            return
        self.results.add(run.cell, record, outcomes)
        say(f"{run.key} done in {time.process_time() - began:.0f} CPU s: {_in_short(record)}")


def _in_short(record: Record) -> str:
    if record.error is not None:
        return record.error
    of = record.test if record.test is not None else record.validation
    phase = "test" if record.test is not None else "validation"
    ended = "cut by the epoch limit" if record.cut else f"of {record.epochs} epochs"
    return (
        f"{phase} NDCG@10 {of['ndcg@10']:.4f}, attacked {record.attacked:.4f}, "
        f"overlap {record.attacks[0]['overlap']:.3f}, best epoch {record.best_epoch} {ended}"
    )


def _run(given: argparse.Namespace, cells: list[Cell]) -> None:
    torch.set_num_threads(1)
    rules = rehearsal() if given.rehearsal else RULES
    study = Study(cells, rules, Results(given.results), Workspace(given.work), given.data)
    arguments = [sys.executable, "-m", "benchmarks.study", *sys.argv[1:], "--processes", "1"]
    others = [subprocess.Popen(arguments) for _ in range(given.processes - 1)]

    def leave(number: int, frame: FrameType | None) -> None:
        study.stopping = True
        for other in others:
            other.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    study.work()
    for other in others:
        other.wait()


def _status(given: argparse.Namespace, cells: list[Cell]) -> None:
    results = Results(given.results)
    plan = Plan(RULES, results.of)
    for cell in cells:
        done = results.of(cell)
        left = len(plan.left(cell))
        state = f"{left} runs can be done now" if left or not plan.is_complete(cell) else "complete"
        print(f"{cell.name:<24} {len(done):>3} runs finished, {state}")


def _rectools(given: argparse.Namespace, cells: list[Cell]) -> None:
    rules = rehearsal() if given.rehearsal else RULES
    for data in COMPARED:
        if any(cell.data == data and cell.preset == "strong" for cell in cells):
            compare_with_rectools(PeerStudy(data, rules, given.results), given.python, given.data, given.work)


def _tables(given: argparse.Namespace, cells: list[Cell]) -> None:
    write_documents(given.document, given.rounds, Results(given.results), cells)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description="The study.")
    commands = parser.add_subparsers(required=True)
    known = {cell.name: cell for cell in CELLS}
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--results", type=Path, default=_ROOT / "benchmarks/study/results")
    shared.add_argument("--cells", nargs="+", choices=list(known), default=list(known), metavar="CELL")
    run = commands.add_parser("run", parents=[shared], help="do what is left of the study")
    run.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    run.add_argument("--work", type=Path, required=True, help="folder for checkpoints, kept between sittings")
    run.add_argument("--processes", type=int, default=1, help="each with one thread (default 1)")
    run.add_argument("--rehearsal", action="store_true", help="runs of a few epochs; name other folders")
    run.set_defaults(act=_run)
    peer = commands.add_parser("rectools", parents=[shared], help="RecTools beside the strong preset")
    peer.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    peer.add_argument("--work", type=Path, required=True, help="folder for the data that RecTools reads")
    peer.add_argument("--python", type=Path, required=True, help="of an environment with RecTools 0.19")
    peer.add_argument("--rehearsal", action="store_true", help="runs of a few epochs; name other folders")
    peer.set_defaults(act=_rectools)
    status = commands.add_parser("status", parents=[shared], help="what is finished")
    status.set_defaults(act=_status)
    tables = commands.add_parser("tables", parents=[shared], help="write the tables into docs/study*.md")
    tables.add_argument("--document", type=Path, default=_ROOT / "docs/study.md")
    tables.add_argument("--rounds", type=Path, default=_ROOT / "docs/study-rounds.md")
    tables.set_defaults(act=_tables)
    return parser


def main() -> None:
    """Parse the command line and act."""
    given = _parser().parse_args()
    names = {cell.name: cell for cell in CELLS}
    given.act(given, [names[name] for name in given.cells])


if __name__ == "__main__":
    main()
