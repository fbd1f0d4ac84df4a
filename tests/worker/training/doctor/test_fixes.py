"""Each fix on a few rows: what is left, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from worker.training.data.content import content_sha256
from worker.training.data.readers.values import UTC_MICROSECONDS
from worker.training.doctor.examine import examine
from worker.training.doctor.fixes import TRANSFORMS, transform
from worker.training.doctor.log import log_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = 1_700_000_000


def frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Interactions of (user, item[, seconds])."""
    names = ["user", "item", "seconds"][: len(rows[0])]
    made = pl.DataFrame(rows, schema=names, orient="row")
    if "seconds" not in names:
        return made
    times = (pl.col("seconds") * 1e6).cast(pl.Int64).cast(UTC_MICROSECONDS).alias("timestamp")
    return made.select("user", "item", times).sort("timestamp", maintain_order=True)


def seen(interactions: pl.DataFrame) -> list[tuple[Any, ...]]:
    if "timestamp" in interactions.columns:
        interactions = interactions.with_columns(pl.col("timestamp").dt.epoch("s"))
    return interactions.rows()


@pytest.mark.parametrize(
    ("name", "rows", "left", "changed"),
    [
        (
            "drop_duplicates",
            [("u", "a", 5), ("u", "b", 5), ("u", "a", 5), ("v", "a", 5), ("u", "a", 6)],
            [("u", "a", 5), ("u", "b", 5), ("v", "a", 5), ("u", "a", 6)],
            0,
        ),
        (
            "drop_duplicates",
            [("u", "a"), ("u", "a"), ("u", "b"), ("u", "a")],
            [("u", "a"), ("u", "b"), ("u", "a")],
            0,
        ),
        ("drop_future", [("u", "a", START), ("u", "b", 1_900_000_000)], [("u", "a", START)], 0),
        ("drop_future", [("u", "a")], [("u", "a")], 0),
        (
            "rescale_times",
            [("u", "a", START), ("u", "b", (START - 10) / 1000), ("u", "c", 0)],
            [("u", "c", 0), ("u", "b", START - 10), ("u", "a", START)],
            1,
        ),
        (
            "drop_short_users",
            [("u", "a"), ("v", "a"), ("u", "b"), ("v", "b"), ("u", "c")],
            [("u", "a"), ("u", "b"), ("u", "c")],
            0,
        ),
        (
            "drop_bots",
            [("u", "a", START), *(("bot", "b", START + 60 * n) for n in range(50))],
            [("u", "a", START)],
            0,
        ),
        ("strip_ids", [(" u\u00a0", "a"), ("u", "\tb ")], [("u", "a"), ("u", "b")], 2),
        ("strip_ids", [("u", "\ufeff"), ("u", "b")], [("u", "\ufeff"), ("u", "b")], 0),
        ("merge_number_ids", [("1.0", "7.50"), ("1", "x.0")], [("1", "7.50"), ("1", "x.0")], 1),
        ("strip_leading_zeros", [("007", "0"), ("7", "00x")], [("7", "0"), ("7", "00x")], 1),
        ("lowercase_ids", [("Ann", "A1")], [("ann", "a1")], 1),
        ("normalize_ids", [("cafe\u0301", "a")], [("caf\u00e9", "a")], 1),
    ],
)
def test_fix(name: str, rows: list[tuple[Any, ...]], left: list[tuple[Any, ...]], changed: int) -> None:
    before = frame(rows)
    after, done = transform(before, [name], now=NOW)
    assert seen(after) == left
    assert done == [
        {
            "name": name,
            "interactions_before": len(rows),
            "interactions_after": len(left),
            "interactions_changed": changed,
        }
    ]


def test_without_times_a_rating_is_no_duplicate_of_none() -> None:
    rows = [
        ("anna", "a", None),
        ("anna", "a", 5.0),
        ("anna", "a", 5.0),
        ("ben", "b", None),
        ("ben", "b", None),
    ]
    before = frame([row[:2] for row in rows]).with_columns(rating=pl.Series([row[2] for row in rows]))
    after, _ = transform(before, ["drop_duplicates"], now=NOW)
    assert after["rating"].to_list() == [None, 5.0, None]


def test_pseudonyms_keep_who_is_who_and_differ_each_time() -> None:
    before = frame([("anna", "a"), ("ben", "b"), ("anna", "c")])
    (once, done), (again, _) = (transform(before, ["hash_ids"], now=NOW) for _ in range(2))
    anna, ben, same = once["user"]
    assert anna == same != ben
    assert [len(name) for name in once["user"]] == [32] * 3
    assert once["item"].to_list() == ["a", "b", "c"]
    assert not set(once["user"]) & set(again["user"])
    assert done[0]["interactions_changed"] == 3


def test_one_after_the_other_in_the_order_given() -> None:
    before = frame([("1.0", "a", 5), ("1", "a", 5), ("1", "b", 6)])
    both, done = transform(before, ["merge_number_ids", "drop_duplicates"], now=NOW)
    assert seen(both) == [("1", "a", 5), ("1", "b", 6)]
    assert [step["interactions_after"] for step in done] == [3, 2]
    other, _ = transform(before, ["drop_duplicates", "merge_number_ids"], now=NOW)
    assert len(other) == 3


def test_every_fix_that_a_finding_offers_exists_and_heals_it() -> None:
    times = [START + 86_400 * n for n in range(4)]
    rows: list[tuple[Any, ...]] = [("u", item, time) for item, time in zip("abcd", times, strict=True)]
    rows += [
        ("u", "a", START),
        ("U", "a", START),
        ("u ", "b", START),
        ("v", "1", START),
        ("v", "1.0", START + 5),
    ]
    rows += [("v", "01", START + 9), ("w@x.org", "caf\u00e9", START), ("w@x.org", "cafe\u0301", START)]
    rows += [("u", "f", 1_900_000_000), ("u", "s", START / 1000)]
    rows += [("bot", "a", START + 60 * n) for n in range(60)]
    before = frame(rows)
    offered = set()
    for finding in examine(log_of(before, now=NOW), list):
        if finding.fix is not None and finding.fix.kind == "transform":
            offered.add(finding.fix.name)
            after, _ = transform(before, [finding.fix.name], now=NOW)
            codes = {(one.code, one.facts.get("column")) for one in examine(log_of(after, now=NOW), list)}
            assert (finding.code, finding.facts.get("column")) not in codes
    assert offered == set(TRANSFORMS)


def test_equal_interactions_have_one_digest() -> None:
    rows = [("u", 'a"', 5), ("u", "b,c", 6)]
    digest = content_sha256(frame(rows))
    assert digest == content_sha256(frame(rows[::-1]))  # another order in the file, the same in time
    assert len({digest, *(content_sha256(frame(one)) for one in ([("u", 'a"')], [("u", 'a"', 5)]))}) == 3
    rated = frame(rows).with_columns(rating=pl.Series([1.0, None]))
    assert content_sha256(rated) not in {digest, content_sha256(rated.with_columns(rating=pl.lit(1.0)))}
    many = frame([(f"u{n % 97}", str(n), n) for n in range(300_000)])  # more than one block
    assert content_sha256(many) == content_sha256(many.rechunk()) != content_sha256(many[:-1])
