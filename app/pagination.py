"""Cursor lists: newest first, stable while rows are inserted.

Ids are time-ordered, so `after=<id>` is the comparison `id < after`: a row that was deleted between two pages
leaves no gap in the walk, and a row that was inserted does not shift it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar, cast

from pydantic import BaseModel
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.db.ids import is_id
from app.errors import ErrorItem, ValidationFailed

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


RowT = TypeVar("RowT")
NamedT = TypeVar("NamedT")
ItemT = TypeVar("ItemT", bound=BaseModel)


@dataclass(frozen=True)
class Page:
    """Which part of a list: at most `limit` rows (1 to 100), those older than the row `after`."""

    limit: int = DEFAULT_LIMIT
    after: str | None = None


class ListOf(BaseModel, Generic[ItemT]):
    """A page of a list; give `last_id` as `after` for the next one while `has_more`."""

    object: Literal["list"] = "list"
    data: list[ItemT]
    first_id: str | None
    last_id: str | None
    has_more: bool


def paginate(
    session: Session,
    statement: Select[RowT],
    id_column: InstrumentedAttribute[str],
    page: Page,
) -> tuple[Sequence[RowT], bool]:
    """The rows of one page, newest first, and whether older ones follow.

    Raises:
        ValidationFailed: `after` is not an id of this kind (code `unknown_cursor`).

    """
    if page.after is not None:
        prefix = id_column.class_.id_prefix
        if not is_id(prefix, page.after):
            item = ErrorItem("?after", "unknown_cursor", f"not an id of this list ({prefix}_…)", page.after)
            raise ValidationFailed(
                "`after` must be the last_id of the page before.",
                code="unknown_cursor",
                errors=[item],
                hint="Leave `after` out for the first page.",
            )
        statement = statement.where(id_column < page.after)
    rows = session.execute(statement.order_by(id_column.desc()).limit(page.limit + 1)).scalars().all()
    return rows[: page.limit], len(rows) > page.limit


def page_by_name(
    rows: Sequence[NamedT], name_of: Callable[[NamedT], str], page: Page
) -> tuple[Sequence[NamedT], bool]:
    """The rows of one page by name, those after the name `page.after`, and whether there are more."""
    rest = sorted((row for row in rows if page.after is None or name_of(row) > page.after), key=name_of)
    return rest[: page.limit], len(rest) > page.limit


def list_of(rows: Sequence[RowT], has_more: bool, present: Callable[[RowT], ItemT]) -> ListOf[ItemT]:
    """The list object for one page, each row turned into its API object by `present`."""
    data = [present(row) for row in rows]
    return ListOf(
        data=data,
        first_id=_id(data[0]) if data else None,
        last_id=_id(data[-1]) if data else None,
        has_more=has_more,
    )


def _id(item: BaseModel) -> str:
    return cast("_Identified", item).id
