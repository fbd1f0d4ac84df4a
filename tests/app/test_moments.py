"""Times and numbers in requests."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from app.moments import Moment
from app.numbers import NUMBER

ADAPTER: TypeAdapter[object] = TypeAdapter(Moment)


@pytest.mark.parametrize(
    "given", ["2025-11-23T13:48:00Z", "2025-11-23T13:48:00.5+01:00", "2025-11-23t13:48:00z"]
)
def test_times_with_an_offset_are_taken(given: str) -> None:
    assert ADAPTER.validate_python(given) == ADAPTER.validate_json(f'"{given}"')


@pytest.mark.parametrize(
    "given",
    [
        *("0.5", "1700000000", 0, 1.5, True, "2025-11-23", "2025-11-23T13:48:00", "now"),
        *("9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+01:00"),  # in UTC in years that cannot be read
    ],
)
def test_numbers_days_and_local_times_are_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(given)


def test_whole_numbers_are_numbers() -> None:
    whole: TypeAdapter[object] = TypeAdapter(Annotated[int, Field(ge=1), NUMBER])
    assert whole.validate_python(4) == whole.validate_python(4.0) == 4
    assert whole.json_schema() == {"minimum": 1, "type": "integer"}
    for given in (0, True, False, "4", 4.5, None):
        with pytest.raises(ValidationError):
            whole.validate_python(given)
