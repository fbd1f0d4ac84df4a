"""Every process of a run begins with slow tests, given how xdist really deals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from xdist.scheduler.worksteal import WorkStealingScheduling

from tests.dealing import dealt


class Process:
    """Stands for one of xdist's; keeps what it is sent."""

    gateway = SimpleNamespace(id="one of them")
    shutting_down = False

    def __init__(self) -> None:
        self.sent: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += indices


def pieces(order: list[str], processes: int) -> list[list[str]]:
    """What each process is sent first by xdist's own scheduler."""
    config: Any = SimpleNamespace(getvalue=lambda _: ["popen"] * processes)
    scheduler = WorkStealingScheduling(config)
    nodes: list[Any] = [Process() for _ in range(processes)]
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, order)
    scheduler.schedule()
    return [[order[index] for index in node.sent] for node in nodes]


def order_of(items: list[str], processes: int) -> list[str]:
    return dealt(
        items, processes, slow=lambda item: item[0] == "S", module=lambda item: item.partition(":")[0]
    )


def test_each_process_begins_with_its_share_and_modules_stay_whole() -> None:
    items = [f"q:{number}" for number in range(5)]
    for module, tests in (("Sa", 2), ("Sb", 1), ("Sc", 3), ("Sd", 1)):
        items += [f"{module}:{number}" for number in range(tests)] + [f"{module[1:]}:0", f"{module[1:]}:1"]
    order = order_of(items, 3)
    assert sorted(order) == sorted(items)
    first, second, third = pieces(order, 3)
    assert first == ["Sa:0", "Sa:1", "Sd:0", "q:0", "q:1", "q:2"]
    assert second == ["Sb:0", "q:3", "q:4", "a:0", "a:1", "b:0", "b:1"]
    assert third[:4] == ["Sc:0", "Sc:1", "Sc:2", "c:0"]


def test_nothing_is_lost_where_there_is_little_else() -> None:
    items = ["Sa:0", "Sa:1", "Sa:2", "q:0"]
    for processes in (1, 2, 3, 6):
        order = order_of(items, processes)
        assert sorted(order) == sorted(items)
        assert order[:3] == items[:3]
    assert order_of(["q:1", "q:0"], 2) == ["q:1", "q:0"]
