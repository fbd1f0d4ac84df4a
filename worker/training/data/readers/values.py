"""Cells → ids, moments, numbers."""

from __future__ import annotations

import polars as pl

UTC_MICROSECONDS = pl.Datetime("us", "UTC")
# (below this median, microseconds a unit): seconds until the year 5138, then milli-, micro- and nanoseconds.
UNITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0), (float("inf"), 1e-3))
UNIT_SAMPLE = 10_000
"""Cells that tell a column's unit."""
FIRST_MOMENT, LAST_MOMENT = -62_135_596_800e6, 253_402_300_799e6
"""The years 1 and 9999, in microseconds since 1970."""
ISO_FORMATS = (
    "%+",
    *(f"%Y-%m-%d{gap}%H:%M{seconds}" for gap in ("T", " ") for seconds in (":%S%.f", "")),
    *("%Y-%m-%d", "%Y/%m/%d %H:%M:%S%.f", "%Y/%m/%d"),
)


def as_ids(cells: pl.Series) -> pl.Series:
    """Return ids as strings, exactly as given; integers (and floats that are whole, as pandas makes them of
    integers with gaps) in decimal. Empty and blank ones are null.
    """
    if cells.dtype.is_float():
        whole = cells.cast(pl.Int64, strict=False)
        cells = whole if bool((whole.cast(cells.dtype) == cells).all()) else cells
    text = cells if cells.dtype == pl.String else cells.cast(pl.String, strict=False)
    # All white space is below "!" or beyond ASCII: most logs have no id that begins so, and need no pattern.
    if not ((text < "!") | (text >= "\x80")).any():
        return text
    blank = text.str.contains(r"^\s*$")
    return text.set(blank, None) if blank.any() else text


def as_times(cells: pl.Series) -> pl.Series:
    """Return moments in UTC; null where a cell is none.

    Numbers are Unix times, one unit for the whole column, told by their size. Text is ISO 8601; without an
    offset it is taken for UTC.
    """
    if cells.dtype == pl.Date:
        return cells.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if isinstance(cells.dtype, pl.Datetime):
        moments = cells.cast(pl.Datetime("us", cells.dtype.time_zone))
        naive = cells.dtype.time_zone is None
        return moments.dt.replace_time_zone("UTC") if naive else moments.dt.convert_time_zone("UTC")
    if cells.dtype.is_numeric():
        width = pl.Int64 if cells.dtype.is_integer() else pl.Float64
        return _from_unix(cells.cast(width, strict=False))
    text = cells.cast(pl.String, strict=False)
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return _from_unix(whole)
    text = text.str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    moments = _from_unix(numbers)
    return moments.zip_with(moments.is_not_null() | numbers.is_not_null(), _from_iso(text))


def _from_unix(numbers: pl.Series) -> pl.Series:
    """Int64 or Float64 → moments; null where not finite or outside the years 1 to 9999."""
    middle = _first_finite(numbers).abs().median()
    scale = next(scale for limit, scale in UNITS if not isinstance(middle, float) or middle < limit)
    if numbers.dtype == pl.Int64:
        possible = (
            numbers if _all_inside(numbers, scale) else numbers.set(~_inside(numbers * 1.0, scale), None)
        )
        exact = possible * int(scale) if scale >= 1 else possible // round(1 / scale)
    else:
        exact = (numbers * scale).set(~_inside(numbers, scale), None).round().cast(pl.Int64)
    return exact.cast(UTC_MICROSECONDS)


def _inside(numbers: pl.Series, scale: float) -> pl.Series:
    """Say of each of the floats whether it lies in the years 1 to 9999; not of a null."""
    return (numbers * scale).is_between(FIRST_MOMENT, LAST_MOMENT).fill_null(False)


def _all_inside(numbers: pl.Series, scale: float) -> bool:
    """Say so of all integers by their extremes, which takes a tenth of the time; nulls do not count."""
    extremes = pl.Series([numbers.min(), numbers.max()], dtype=pl.Float64, strict=False)
    return extremes.null_count() > 0 or bool(_inside(extremes, scale).all())


def _first_finite(numbers: pl.Series) -> pl.Series:
    """Return the first UNIT_SAMPLE finite numbers; most often no more than the head need be looked at."""
    for looked_at in (numbers.head(2 * UNIT_SAMPLE), numbers):
        given = looked_at.drop_nulls()
        finite = given.filter(given.is_finite()).head(UNIT_SAMPLE)
        if len(finite) == UNIT_SAMPLE:
            break
    return finite


def _from_iso(text: pl.Series) -> pl.Series:
    """ISO 8601 → moments; null where it is none. A column is mostly in one format: that is tried first."""
    first = text.drop_nulls().head(100)
    by_success = sorted(ISO_FORMATS, key=lambda format: _parse(first, format).null_count())
    moments = _parse(text, by_success[0])
    for format in by_success[1:]:
        missing = moments.is_null() & text.is_not_null()
        if not missing.any():
            break
        found = _parse(text.filter(missing), format)
        moments = moments.scatter(missing.arg_true(), found)
    return moments


def _parse(text: pl.Series, format: str) -> pl.Series:
    zone = None if format == "%+" else "UTC"
    return text.str.to_datetime(format, time_unit="us", time_zone=zone, strict=False).cast(UTC_MICROSECONDS)


def as_ratings(cells: pl.Series) -> pl.Series:
    """Return finite float64 ratings; null where a cell is none."""
    plain = cells.str.strip_chars() if cells.dtype == pl.String else cells
    numbers = plain.cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)
