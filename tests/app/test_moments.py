"""Times in requests."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from app.moments import Moment

ADAPTER: TypeAdapter[object] = TypeAdapter(Moment)


@pytest.mark.parametrize(
    "given", ["2025-11-23T13:48:00Z", "2025-11-23T13:48:00.5+01:00", "2025-11-23t13:48:00z"]
)
def test_times_with_an_offset_are_taken(given: str) -> None:
    assert ADAPTER.validate_python(given) == ADAPTER.validate_json(f'"{given}"')


@pytest.mark.parametrize(
    "given", ["0.5", "1700000000", 0, 1.5, True, "2025-11-23", "2025-11-23T13:48:00", "now"]
)
def test_numbers_days_and_local_times_are_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(given)
