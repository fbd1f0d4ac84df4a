"""Each finding on a log of a few rows that has it, and none of it on a log without fault."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from worker.training.data.readers.values import UTC_MICROSECONDS
from worker.training.doctor.examine import examine
from worker.training.doctor.findings import Finding, percent
from worker.training.doctor.log import Log, log_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400
START = 1_700_000_000  # in November 2023

Row = tuple[str, str, int] | tuple[str, str]


def log_from(rows: list[Any]) -> Log:
    """A log of (user, item[, Unix seconds]) in the file's order."""
    names = ["user", "item", "seconds"][: len(rows[0])]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_row_index("row")
    if "seconds" in names:
        times = (pl.col("seconds") * 1_000_000).cast(UTC_MICROSECONDS).alias("timestamp")
        frame = frame.with_columns(times).sort("timestamp", maintain_order=True)
    return log_of(frame.select(*(set(frame.columns) - {"row", "seconds"})), frame["row"], now=NOW)


def findings(rows: list[Any]) -> dict[str, Finding]:
    found = examine(log_from(rows), lambda numbers: [number + 2 for number in numbers])
    for finding in found:
        assert 0 <= finding.share <= 1
        assert finding.message.endswith(".")
        assert finding.lines == sorted(finding.lines)
        assert len(finding.lines) == len(finding.rows) <= 10
    return {finding.code: finding for finding in found}


def visits(user: str, items: str, *, at: int = START, step: int = DAY) -> list[tuple[str, str, int]]:
    return [(user, item, at + step * number) for number, item in enumerate(items)]


CLEAN = [*visits("u1", "abcab"), *visits("u2", "bcabc", at=START + 7)]


def test_a_log_without_fault_has_facts_only() -> None:
    found = findings(CLEAN)
    assert {"popularity_skew", "repeat_consumption"} <= set(found)
    quiet = {"popularity_skew", "repeat_consumption", "unordered_times", "future_leakage"}
    assert set(found) - quiet == set()


@pytest.mark.parametrize(
    ("rows", "code", "count", "lines", "fix"),
    [
        pytest.param(
            [*CLEAN, ("u1", "c", START + 2 * DAY), ("u1", "c", START + 2 * DAY)],
            *("duplicates", 2, [12, 13], "drop_duplicates"),
            id="equal rows",
        ),
        pytest.param(
            [("u1", "a"), ("u1", "a"), ("u1", "b"), ("u1", "a"), ("u2", "a"), ("u2", "b"), ("u2", "c")],
            *("duplicates", 1, [3], "drop_duplicates"),
            id="equal rows one after the other, without times",
        ),
        pytest.param(
            [*CLEAN, ("u1", "x", START + 4 * DAY)], "equal_times", 2, [6, 12], None, id="ties within a user"
        ),
        pytest.param(
            [*CLEAN, ("u2", "x", START)], "unordered_times", 1, [12], None, id="a row that goes back in time"
        ),
        pytest.param(
            [*CLEAN, ("u1", "x", 1_900_000_000)], "future_times", 1, [12], "drop_future", id="in the future"
        ),
        pytest.param(
            [*CLEAN, ("u1", "x", START // 1000)],
            *("early_times", 1, [12], "rescale_times"),
            id="seconds among milliseconds",
        ),
        pytest.param([*CLEAN, ("u1", "x", 0)], "early_times", 1, [12], None, id="a gap filled with 0"),
        pytest.param(
            [*CLEAN, ("u3", "a", START), ("u3", "b", START + 1)],
            *("short_users", 1, [12], "drop_short_users"),
            id="two interactions",
        ),
        pytest.param(
            [*CLEAN, *visits("u3", "abz")], "cold_test_items", 1, [14], "k_core", id="cold at the end"
        ),
        pytest.param(
            [*visits("u1", "abcabcabc"), ("u1", "z", START + 99 * DAY)],
            *("cold_test_items_temporal", 1, [11], "k_core"),
            id="cold after the moment",
        ),
        pytest.param(
            [*visits("u1", "abc"), *visits("u2", "abc", at=START + 50 * DAY)],
            *("future_leakage", 1, [], "split"),
            id="others' future",
        ),
        pytest.param(
            [("u1", "a"), ("u1", "b"), ("u1", "a"), ("u1", "b"), ("u1", "c")],
            *("repeat_consumption", 2, [4, 5], "exclude_seen"),
            id="items that users come back to",
        ),
        pytest.param(
            [*CLEAN, *visits("bot", "ab" * 25, step=3600)],
            *("bot_like_users", 1, [12], "drop_bots"),
            id="an event every hour",
        ),
        pytest.param(
            [*CLEAN, *((("bot", "abc"[n % 3], START + (n * n) % 3000)) for n in range(1000))],
            *("bot_like_users", 1, [12], "drop_bots"),
            id="a thousand within an hour",
        ),
        pytest.param(
            [*CLEAN, *(("bot", "abc"[n % 3], START + n * n) for n in range(2000))],
            *("bot_like_users", 1, [12], "drop_bots"),
            id="a very long history",
        ),
        pytest.param(
            [*CLEAN, ("u1 ", "a", START + 9 * DAY)], "id_spaces", 2, [12], "strip_ids", id="white space"
        ),
        pytest.param(
            [("u", "1"), ("u", "1.0"), ("u", "2"), ("u", "3")],
            *("id_number_formats", 2, [3], "merge_number_ids"),
            id="a number as pandas writes it",
        ),
        pytest.param(
            [("u", "007"), ("u", "7"), ("u", "2"), ("u", "03")],
            *("id_leading_zeros", 2, [2], "strip_leading_zeros"),
            id="leading zeros",
        ),
        pytest.param(
            [("Ann", "a"), ("ann", "b"), ("ann", "c"), ("ann", "d")],
            *("id_cases", 2, [2], "lowercase_ids"),
            id="upper and lower case",
        ),
        pytest.param(
            [("u", "caf\u00e9"), ("u", "cafe\u0301"), ("u", "b"), ("u", "c")],
            *("id_unicode_forms", 2, [3], "normalize_ids"),
            id="two forms of one letter",
        ),
    ],
)
def test_finding(rows: list[Any], code: str, count: int, lines: list[int], fix: str | None) -> None:
    found = findings(rows)
    assert code in found, sorted(found)
    finding = found[code]
    assert (finding.count, finding.lines) == (count, lines)
    assert (finding.fix and finding.fix.name) == fix


@pytest.mark.parametrize(
    ("user", "kind", "shown"),
    [
        ("jane.doe@example.org", "email", "j***.***@*******.***"),
        ("192.168.17.4", "ip_address", "1**.***.**.*"),
        ("2001:db8:85a3::8a2e:370:7334", "ip_address", "2***:***:****::****:***:****"),
        ("+49 170 1234567", "phone", "+** *** *******"),
        ("4111 1111 1111 1111", "card", "4*** **** **** ****"),
    ],
)
def test_personal_data_is_found_and_never_shown(user: str, kind: str, shown: str) -> None:
    rows = [*visits(user, "abca"), *visits(user.upper() + " ", "abc"), *CLEAN]
    found = findings(rows)
    finding = found[f"personal_data_{kind}"]
    assert (finding.count, finding.examples, finding.lines[0]) == (1, [shown], 2)
    assert finding.fix is not None
    assert finding.fix.name == "hash_ids"
    told = str([one.as_json() for one in found.values()]).lower()
    assert user.lower() not in told
    assert "rows" not in finding.as_json()


@pytest.mark.parametrize(
    "ids",
    [
        ["12.5", "1.2.3", "v1.2.3.400", "B00005N5PF", "0192837465", "2023-11-05", "12:30"],
        [str(4_000_000_000_000_000 + 7 * number) for number in range(100)],
    ],
    ids=["other shapes", "long numbers without check digits"],
)
def test_what_is_no_personal_data(ids: list[str]) -> None:
    found = findings([row for user in ids for row in visits(user, "abc")])
    assert [code for code in found if code.startswith("personal_data")] == []


def test_ties_say_how_many_last_two_are_tied() -> None:
    rows = [("u1", "a", START), ("u1", "b", START + 5), ("u1", "c", START + 5), *visits("u2", "abc")]
    finding = findings(rows)["equal_times"]
    assert finding.severity == "warning"
    assert finding.facts == {"runs": 1, "users_last_two_tied": 1, "users_last_two_tied_share": 0.5}


def test_skew_is_the_head_and_the_gini_coefficient() -> None:
    rows = [("u", f"i{item}") for item in range(200) for _ in range(1 if item else 201)]
    finding = findings(rows)["popularity_skew"]
    assert finding.count == 2
    assert finding.facts["top_1_percent_share"] == pytest.approx(202 / 400)
    # one item with half of all, the others equal: 1 - 1/n * (1 + 2 * sum of the others' ranks * share)
    assert finding.facts["gini"] == pytest.approx(0.4975, abs=0.003)
    assert finding.severity == "warning"
    even = findings([("u", f"i{item}") for item in range(200)])["popularity_skew"]
    assert (even.facts["gini"], even.severity) == (pytest.approx(0), "info")


def test_shares_in_sentences() -> None:
    assert [percent(share) for share in (0, 0.0001, 0.031, 0.444)] == ["0 %", "under 0.1 %", "3.1 %", "44 %"]
