"""What cannot be read is refused with a code, a place and a hint."""

import bz2
import gzip
import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.training.data.readers.problems import Problem
from worker.training.data.readers.read import ReadOptions, UnreadableDataset, read_interactions
from worker.training.data.readers.source import zstd


def refused(tmp_path: Path, content: str | bytes, name: str = "upload", **options: object) -> list[Problem]:
    path = tmp_path / "blob"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UnreadableDataset) as caught:
        read_interactions(path, ReadOptions(**options), filename=name)  # type: ignore[arg-type]
    problems = caught.value.problems
    assert all(problem.hint and problem.message and problem.pointer.startswith("/") for problem in problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    assert errors
    assert all(problem.code in str(caught.value) for problem in errors)
    return errors


def zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("log.csv", "user,item\n")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b" \n\n\t\n", "empty_file"),
        (b"user_id,item_id\n", "empty_file"),
        (gzip.compress(b""), "empty_file"),
        (bytes(range(256)) * 8, "binary_file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary_file"),
        ("user,item\n1,2\n".encode("utf-16"), "bad_encoding"),
        (gzip.compress(os.urandom(5000))[:-400], "broken_gzip"),
        (gzip.compress(b"user,item\n" * 50)[:-8] + b"\0" * 8, "broken_gzip"),
        (gzip.compress(b"1 2\n1 3\n1 4\n") + b"junk", "broken_gzip"),
        (b"\x28\xb5\x2f\xfd rest", "broken_zstd"),
        (zstd.compress(b"1 2\n1 3\n1 4\n")[:-2], "broken_zstd"),
        (zstd.compress(b"1 2\n1 3\n1 4\n") + b"junk", "broken_zstd"),
        (zstd.compress(b""), "empty_file"),
        (zip_bytes(), "unsupported_compression"),
        (bz2.compress(b"user,item\nu1,i1\n"), "unsupported_compression"),
        (b'[{"user": 1, "item": 2}]', "json_array"),
        (b"<!DOCTYPE html>\n<p>not found here</p>", "not_interactions"),
        (b"PAR1 and then nothing that parquet knows", "broken_parquet"),
    ],
    # Some contents are drawn at random, and a test keeps its name from run to run.
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-bytes",
)
def test_no_interactions_at_all(tmp_path: Path, content: bytes, code: str) -> None:
    (problem,) = refused(tmp_path, content)
    assert problem.code == code


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_a_bomb_is_refused_after_max_bytes(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(b"1 2\n" * 5_000_000)
    assert len(bomb) < 100_000
    (problem,) = refused(tmp_path, bomb, max_bytes=1_000_000)
    assert problem.code == "decompressed_too_large"
    assert "1,000,000" in problem.message
    (plain,) = refused(tmp_path, b"1 2\n" * 300_000, max_bytes=1_000_000)
    assert plain.code == "decompressed_too_large"


def test_a_parquet_bomb_is_refused_by_its_row_count(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    pl.DataFrame({"user": ["a"], "item": ["b"]}).select(
        pl.all().repeat_by(1_000_000).explode()
    ).write_parquet(path)
    content = path.read_bytes()
    assert len(content) < 100_000
    assert refused(tmp_path, content, max_bytes=1_000_000)[0].code == "decompressed_too_large"
    assert refused(tmp_path, content, max_rows=1000)[0].code == "too_many_rows"


@pytest.mark.parametrize(
    "text",
    ["user,item\n" + "1,2\n" * 11, "1::2\n" * 11, "1 2\n" * 11, "1 2 3\n" * 6, '{"user":1,"item":2}\n' * 11],
)
def test_too_many_rows(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text, max_rows=10)[0].code == "too_many_rows"
    path = tmp_path / "blob"
    assert len(read_interactions(path, ReadOptions(max_rows=12)).interactions) <= 12


def test_missing_columns_are_named_with_what_was_found(tmp_path: Path) -> None:
    problems = refused(tmp_path, "colour,size\nred,1\nblue,2\n")
    assert [(p.code, p.pointer) for p in problems] == [
        ("missing_columns", "/columns/user"),
        ("missing_columns", "/columns/item"),
    ]
    assert all("colour, size" in problem.message for problem in problems)
    assert "user_column" in problems[0].hint
    (item,) = refused(tmp_path, '{"user": 1, "colour": 2}\n')
    assert (item.code, item.pointer) == ("missing_columns", "/columns/item")
    (alone,) = refused(tmp_path, "user_id\n1\n2\n")
    assert alone.code == "missing_columns"
    (unknown,) = refused(tmp_path, "user,item,when\n1,2,3\n", time_column="wenn")
    assert (unknown.code, unknown.pointer) == ("missing_columns", "/columns/time")
    assert "user, item, when" in unknown.message
    (same,) = refused(tmp_path, "user,item\n1,2\n", user_column="item", item_column="item")
    assert same.code == "same_column"
    (format,) = refused(tmp_path, "user,item\n1,2\n", format="xlsx")
    assert (format.code, format.pointer) == ("unknown_format", "/format")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("user,item,t\na,1,1\n,2,2\na,3,3\na,4,4\n\n ,5,5\n", [3, 7]),
        ('user,item,note\na,1,"two\nlines"\n\n"",2,x\na,3,x\na,4,x\n,,x\n', [5, 8]),
        ("user:token\titem:token\na\t1\n\t2\na\t3\na\t4\n", [3]),
        ("user::item\na::1\n\n::2\na::3\na::4\n", [4]),
        ('{"user":"a","item":1}\n\n{"item":2}\n{"user":null,"item":3}\n{"user":"","item":1}\n', [3, 4, 5]),
    ],
)
def test_a_missing_user_is_named_by_line(tmp_path: Path, text: str, lines: list[int]) -> None:
    problem = next(p for p in refused(tmp_path, text) if "user" in p.message)
    assert (problem.code, problem.line, problem.lines) == ("missing_id", lines[0], lines)
    assert problem.count == len(lines)
    assert problem.pointer == f"/lines/{lines[0]}"


def test_a_sequence_line_without_items_is_a_missing_item(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "1 2 3 4\n\n2\n3 4 5\n")
    assert (problem.code, problem.lines) == ("missing_id", [3])
    assert "no item id" in problem.message


def test_a_nul_in_an_id_is_named_wherever_it_stands(tmp_path: Path) -> None:
    rows = [f"u{n},i{n % 9}" for n in range(60_000)]  # beyond the sample that is looked at for binary files
    rows[50_000] = "u1,i\0"
    (problem,) = refused(tmp_path, "user,item\n" + "\n".join(rows))
    assert (problem.code, problem.lines) == ("nul_in_id", [50_002])
    lines = ['{"user": "a", "item": "b"}'] * 3 + ['{"user": "a\\u0000", "item": "b"}']
    (problem,) = refused(tmp_path, "\n".join(lines))
    assert (problem.code, problem.lines) == ("nul_in_id", [4])
    for half in ("\\ud83d", "\\uD83D"):
        lines = ['{"user": "a\\ud83d\\ude00", "item": "b"}'] * 3 + [f'{{"user": "x{half}y", "item": "b"}}']
        (problem,) = refused(tmp_path, "\n".join(lines))
        assert (problem.code, problem.lines) == ("nul_in_id", [4])
    path = tmp_path / "source"
    pl.DataFrame({"user": ["a", "a", "a\0"], "item": ["b", "c", "d"]}).write_parquet(path)
    (problem,) = refused(tmp_path, path.read_bytes())
    assert (problem.code, problem.pointer) == ("nul_in_id", "/rows/3")


def test_a_missing_id_in_parquet_is_named_by_row(tmp_path: Path) -> None:
    path = tmp_path / "source"
    pl.DataFrame({"user": [1, None, 1, 1], "item": ["a", "b", "", "d"]}).write_parquet(path)
    user, item = refused(tmp_path, path.read_bytes())
    assert (user.pointer, user.line, item.pointer) == ("/rows/2", 2, "/rows/3")
    pl.DataFrame({"user": [1], "item": [["a", "b"]]}).write_parquet(path)
    (nested,) = refused(tmp_path, path.read_bytes())
    assert (nested.code, nested.pointer) == ("unusable_column", "/columns/item")


def test_unreadable_times_and_ratings_are_named_together(tmp_path: Path) -> None:
    rows = "".join(f"a,{n},3,{1_400_000_000 + n}\n" for n in range(5))
    text = "user,item,rating,timestamp\n" + rows + "a,9,bad,yesterday\na,9,1,\na,9,nan,1e300\n"
    time, rating = refused(tmp_path, text, rating_column="rating")
    assert (time.code, time.lines) == ("unreadable_time", [7, 8, 9])
    assert "'yesterday'" in time.message
    assert (rating.code, rating.lines) == ("unreadable_rating", [7, 9])
    bad_dates = "user,item,date\n" + "a,1,2014-13-01\na,1,2014-12-01\na,1,12 May\n"
    (date,) = refused(tmp_path, bad_dates)
    assert (date.code, date.lines) == ("unreadable_time", [2, 4])


def test_many_bad_lines_are_counted_and_ten_are_named(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "user,item\n" + ",x\n" * 25 + "a,b\n" * 3)
    assert problem.lines == list(range(2, 12))
    assert problem.count == 25
    assert "15 more" in problem.message


@pytest.mark.parametrize(
    ("text", "lines", "count"),
    [
        ("user,item\na,1\na,2,3\na,3\na,4,5,6\n", [3, 5], 2),
        ('user,item\na,1\na,2\na,"3\na,4\n', [4], 1),
        ('user,item\na,"1\nx"\na,2\na,"3"x\n', [5], 1),
        ("user:token\titem:token\na\t1\na\t2\t3\na\t3\n", [3], 1),
        ("user::item\na::1\na::2::3\na\n", [3, 4], 2),
        ('{"user":1,"item":2}\n{"user":1,"item":NaN}\n', [2], 1),
        ('{"user":1,"item":2}\n\n{"user":1,\n[1]\n{"user":1,"item":2}\n', [3, 4], 2),
    ],
)
def test_malformed_rows(tmp_path: Path, text: str, lines: list[int], count: int) -> None:
    (problem,) = refused(tmp_path, text)
    assert (problem.code, problem.lines, problem.count) == ("malformed_row", lines, count)


def test_pairs_are_held_to_two(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "1 2\n\n1 2 3\n1 4\n", format="pairs")
    assert (problem.code, problem.lines) == ("malformed_row", [3])


@pytest.mark.parametrize(
    "text",
    [
        "user,item\na,1\na,caf\xe9\na,3\n",
        "a::1\na::caf\xe9\n",
        "a 1 2\na caf\xe9 2\n",
        '{"user":1,"item":2}\n{"user":"\xe9"}\n',
    ],
)
def test_other_encodings_are_named_by_line(tmp_path: Path, text: str) -> None:
    (problem,) = refused(tmp_path, text.encode("latin-1"))
    assert problem.code == "bad_encoding"
    assert problem.line == 1 + text.encode("latin-1").split(b"\xe9")[0].count(b"\n")


def test_fewer_than_three_interactions_for_everyone(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "user,item\na,1\na,2\nb,1\nb,2\n")
    assert (problem.code, problem.pointer) == ("too_few_interactions", "/columns/user")
    assert refused(tmp_path, "1 2\n2 3\n3 4\n")[0].code == "too_few_interactions"


FRAGMENTS = [
    b"user,item,time\n",
    b"1",
    b" ",
    b",",
    b"\t",
    b"::",
    b"\n",
    b'"',
    b'{"user":1,"item":"x"}',
    b"\r\n",
]
ODDITIES = [
    b"\xff",
    b"\x00",
    b"nan",
    b"1e400",
    b"9" * 20,
    b"null",
    b"2014-01-01",
    b"[" * 5000,
    b"PAR1",
    b"\x1f\x8b",
]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from(FRAGMENTS + ODDITIES), max_size=30),
    st.sampled_from([None, "csv", "tsv", "inter", "movielens", "jsonl", "sequence", "pairs", "parquet"]),
)
def test_any_bytes_end_in_interactions_or_in_problems(parts: list[bytes], format: str | None) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(parts))
        file.flush()
        try:
            result = read_interactions(Path(file.name), ReadOptions(format=format))
        except UnreadableDataset as error:
            problems = error.problems
        else:
            problems = result.problems
            assert result.stats["interactions"] >= 3
            assert result.interactions.select("user", "item").null_count().row(0) == (0, 0)
    assert all(problem.code and problem.message and problem.pointer and problem.hint for problem in problems)
