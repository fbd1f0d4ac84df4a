"""Every format, plain, gzip and zstd, reads to the same interactions; every guess can be overridden."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from worker.training.data.readers.read import ReadOptions, ReadResult, read_interactions
from worker.training.data.readers.source import zstd

# Out of time order, with an id whose zero must survive.
LOG = [
    ("007", "a1", 5.0, 300),
    ("007", "b 2", 3.5, 100),
    ("x", "a1", 4.0, 150),
    ("007", "c", 1.0, 200),
    ("x", "007", 2.0, 400),
]
BASE = 1_400_000_000
SORTED = [("007", "b 2"), ("x", "a1"), ("007", "c"), ("007", "a1"), ("x", "007")]


def table(separator: str, header: str | None) -> str:
    rows = [separator.join((u, i, str(r), str(BASE + t))) for u, i, r, t in LOG]
    return "\n".join(([header] if header else []) + rows) + "\n"


def jsonl() -> str:
    return "".join(
        json.dumps({"uid": u, "asin": i, "overall": r, "ts": BASE + t}) + "\n" for u, i, r, t in LOG
    )


TEXTS = {
    "csv": ("csv", table(",", "user_id,item_id,rating,timestamp")),
    "csv-headerless": ("csv", table(",", None)),
    "semicolon": ("csv", table(";", "User;Movie ID;Score;Date")),
    "tsv": ("tsv", table("\t", "user\titem\tstars\ttime")),
    "tsv-headerless": ("tsv", table("\t", None)),
    "inter": ("inter", table("\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float")),
    "movielens": ("movielens", table("::", None)),
    "movielens-header": ("movielens", table("::", "UserID::MovieID::Rating::Timestamp")),
    "jsonl": ("jsonl", jsonl()),
}


def read(tmp_path: Path, content: str | bytes, name: str = "upload", **options: object) -> ReadResult:
    path = tmp_path / "blob"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_interactions(path, ReadOptions(**options), filename=name)  # type: ignore[arg-type]


def pairs_of(result: ReadResult) -> list[tuple[str, str]]:
    return list(result.interactions.select("user", "item").iter_rows())


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("name", TEXTS)
def test_every_text_format_reads_alike_under_any_file_name(
    tmp_path: Path, name: str, packed: Callable[[bytes], bytes]
) -> None:
    format, text = TEXTS[name]
    content = packed(text.encode())
    for filename in ("", "wrong.parquet", "log.csv.gz"):
        result = read(tmp_path, content, filename)
        assert result.format == format
        assert pairs_of(result) == SORTED
        assert result.interactions["rating"].to_list() == [3.5, 4.0, 1.0, 5.0, 2.0]
        assert result.interactions.schema == {
            "user": pl.String,
            "item": pl.String,
            "timestamp": pl.Datetime("us", "UTC"),
            "rating": pl.Float64,
        }
        assert result.columns["guessed"] is True
        assert result.stats == {
            "users": 2,
            "items": 4,
            "interactions": 5,
            "first_at": "2014-05-13T16:55:00Z",
            "last_at": "2014-05-13T17:00:00Z",
        }
        assert [problem.code for problem in result.problems] == (
            ["no_header"] if "less" in name or name == "movielens" else []
        )


@pytest.mark.parametrize("name", ["csv", "inter", "movielens-header", "jsonl"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, name: str) -> None:
    text = TEXTS[name][1]
    for content in (text.replace("\n", "\r\n"), "\ufeff" + text, text.rstrip("\n"), "\n" + text + "\n\n"):
        assert pairs_of(read(tmp_path, content)) == SORTED
    assert pairs_of(read(tmp_path, gzip.compress(("\ufeff" + text).encode()))) == SORTED


@pytest.mark.parametrize("zipped", [False, True])
def test_parquet_with_typed_columns(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "blob"
    moments = pl.from_epoch(pl.Series([BASE + row[3] for row in LOG]), time_unit="s")
    pl.DataFrame(
        {"customer_id": [7, 7, 8, 7, 8], "sku": [1.0, 2.0, 1.0, 3.0, 4.0], "created_at": moments}
    ).write_parquet(path)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    result = read_interactions(path, ReadOptions())
    assert result.format == "parquet"
    assert pairs_of(result) == [("7", "2"), ("8", "1"), ("7", "3"), ("7", "1"), ("8", "4")]
    assert result.stats["first_at"] == "2014-05-13T16:55:00Z"
    assert result.columns == {
        "user": "customer_id",
        "item": "sku",
        "time": "created_at",
        "rating": None,
        "guessed": True,
    }


def test_sequence_text_and_pairs_keep_the_files_order(tmp_path: Path) -> None:
    sequence = read(tmp_path, "1 9 08 9\n\n2\t5  6 \n3 1\n")
    assert sequence.format == "sequence"
    assert pairs_of(sequence) == [("1", "9"), ("1", "08"), ("1", "9"), ("2", "5"), ("2", "6"), ("3", "1")]
    assert sequence.problems == []
    pairs = read(tmp_path, "1 9\n1 08\n2 5\n1 9\n")
    assert pairs.format == "pairs"
    assert pairs_of(pairs) == [("1", "9"), ("1", "08"), ("2", "5"), ("1", "9")]
    assert [problem.code for problem in pairs.problems] == ["no_time"]
    assert pairs.columns["guessed"] is False
    assert read(tmp_path, "1\t9\n1\t08\n1\t5\n").format == "pairs"
    # All lines of the sample are pairs; a later line is not.
    late = "1 2\n" * 100_000 + "1 2 3\n"
    assert read(tmp_path, late).format == "sequence"


def test_tables_without_a_header_are_told_from_sequences(tmp_path: Path) -> None:
    u_data = read(tmp_path, "196\t242\t3\t881250949\n196\t302\t3\t891717742\n196\t377\t1\t878887116\n")
    assert u_data.columns == {
        "user": "column_1",
        "item": "column_2",
        "time": "column_4",
        "rating": "column_3",
        "guessed": True,
    }
    assert [item for _, item in pairs_of(u_data)] == ["377", "242", "302"]
    spaced = read(tmp_path, "u1 i1 881250949\nu1 i2 881250950\nu1 i3 881250940\n")
    assert spaced.format == "tsv"
    assert [item for _, item in pairs_of(spaced)] == ["i3", "i1", "i2"]
    named_like_columns = read(tmp_path, "user1,item7\nuser1,item8\nuser1,item9\n")
    assert len(named_like_columns.interactions) == 3


def test_columns_can_be_named_and_refused(tmp_path: Path) -> None:
    text = "who,what,user_id,when\na,1,z,3\na,2,z,1\na,3,z,2\n"
    chosen = read(tmp_path, text, user_column="who", item_column="what", time_column="when")
    assert pairs_of(chosen) == [("a", "2"), ("a", "3"), ("a", "1")]
    assert chosen.columns == {"user": "who", "item": "what", "time": "when", "rating": None, "guessed": False}
    plain = "user,item,time\na,1,3\na,2,1\na,3,2\n"
    assert read(tmp_path, plain).stats["first_at"] == "1970-01-01T00:00:01Z"
    assert [item for _, item in pairs_of(read(tmp_path, plain, time_column=""))] == ["1", "2", "3"]
    headless = "ann,pear\nann,plum\nann,fig\n"
    swapped = read(tmp_path, headless, user_column="column_1", item_column="column_2")
    assert len(swapped.interactions) == 3
    inter = "user_id:token\titem_id:token\tother_id:token\na\t1\t2\na\t1\t3\na\t1\t4\n"
    assert [item for _, item in pairs_of(read(tmp_path, inter, item_column="other_id"))] == ["2", "3", "4"]


def test_a_named_format_goes_before_the_guess(tmp_path: Path) -> None:
    text = "u1 i1 881250949\nu1 i2 881250950\n"
    assert pairs_of(read(tmp_path, text, format="sequence")) == [
        ("u1", "i1"),
        ("u1", "881250949"),
        ("u1", "i2"),
        ("u1", "881250950"),
    ]


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_first_line_after_the_header_decides_nothing(tmp_path: Path, separator: str, end: str) -> None:
    header, *rows = (
        line.replace(",", separator) for line in ("user,item,time,note", "a,x,1", "a,y,2,hello", "a,z,3")
    )
    wanted = [("a", "x"), ("a", "y"), ("a", "z")]
    assert pairs_of(read(tmp_path, end.join((header, *rows)))) == wanted
    assert pairs_of(read(tmp_path, end.join((header, "", *rows, "")))) == wanted
    assert pairs_of(read(tmp_path, end.join((header, rows[0], rows[2], rows[2])))) == [
        *wanted[::2],
        wanted[2],
    ]
    assert pairs_of(read(tmp_path, end.join((header, rows[1], rows[0], "", rows[2])))) == wanted  # by time


def test_quoted_cells(tmp_path: Path) -> None:
    text = 'user,title,item\na,"one, two\nthree","x ""y"""\na,,z\n"a","",w\n'
    assert pairs_of(read(tmp_path, text)) == [("a", 'x "y"'), ("a", "z"), ("a", "w")]
    tsv = 'user\titem\na\t"x\na\ty"\na\tz\n'
    assert pairs_of(read(tmp_path, tsv)) == [("a", '"x'), ("a", 'y"'), ("a", "z")]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("881250949", "881250950", "1997-12-04T15:55:49Z"),
        ("881250949.0", "881250950.5", "1997-12-04T15:55:49Z"),
        ("881250949123", "881250950123", "1997-12-04T15:55:49.123000Z"),
        ("1400000000123456", "1400000001123456", "2014-05-13T16:53:20.123456Z"),
        ("1400000000123456789", "1400000001123456789", "2014-05-13T16:53:20.123456Z"),
        ("2014-07-31", "2014-08-01", "2014-07-31T00:00:00Z"),
        ("2014-07-31 12:00:00", "2014-08-01 00:00:00.5", "2014-07-31T12:00:00Z"),
        ("2014-07-31T12:00:00Z", "2014-07-31T12:00:01+00:00", "2014-07-31T12:00:00Z"),
        ("2014-07-31T12:00:00+02:00", "2014-07-31T11:00:00", "2014-07-31T10:00:00Z"),
        ("2014-07-31T12:00", "2014-08-01", "2014-07-31T12:00:00Z"),
    ],
)
def test_times(tmp_path: Path, first: str, second: str, expected: str) -> None:
    text = f"user,item,timestamp\na,late,{second}\na,early,{first}\na,also,{second}\n"
    result = read(tmp_path, text)
    assert [item for _, item in pairs_of(result)] == ["early", "late", "also"]
    assert result.stats["first_at"] == expected


def test_a_guessed_rating_that_is_no_number_is_left_out_with_a_warning(tmp_path: Path) -> None:
    text = "user,item,rating\na,1,good\na,2,3\na,3,\n"
    result = read(tmp_path, text)
    assert result.columns["rating"] is None
    assert "rating" not in result.interactions.columns
    assert [(p.code, p.severity, p.line) for p in result.problems] == [
        ("no_time", "warning", None),
        ("unreadable_rating", "warning", 2),
    ]


@pytest.mark.parametrize("name", ["csv", "movielens", "jsonl", "parquet"])
def test_a_path_is_no_pattern(tmp_path: Path, name: str) -> None:
    """`log [1].csv` is a browser's name for a second download; as a pattern it is another file."""
    other, path = tmp_path / "log 1", tmp_path / "log [1]"
    if name == "parquet":
        frame = pl.DataFrame({"user": ["a"] * 3, "item": ["x", "y", "z"]})
        frame.with_columns(user=pl.lit("wrong")).write_parquet(other)
        frame.write_parquet(tmp_path / "plain")
        (tmp_path / "plain").rename(path)
    else:
        path.write_text(TEXTS[name][1])
        other.write_text(TEXTS[name][1].replace("007", "wrong"))
    users = read_interactions(path, ReadOptions()).interactions["user"]
    assert "wrong" not in users
    assert len(users) == (3 if name == "parquet" else len(LOG))
