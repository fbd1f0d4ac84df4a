"""The declarative base: constraint names that migrations can rely on, and the two mixins of every table."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import DateTime, MetaData, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from app.db.ids import new_id

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every table. `datetime` is timestamptz; dicts and lists are jsonb."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(none_as_null=True),
        list[dict[str, Any]]: JSONB(none_as_null=True),
        list[str]: JSONB(none_as_null=True),
        list[int]: JSONB(none_as_null=True),
    }


class PrefixedId:
    """A text primary key such as `ds_01k9z…`, made at flush; a table says its prefix in `id_prefix`."""

    id_prefix: ClassVar[str]

    @declared_attr
    def id(cls) -> Mapped[str]:  # noqa: N805 - a declared_attr receives the class
        """The primary key."""
        return mapped_column(
            String(40), primary_key=True, default=lambda: new_id(cls.id_prefix), sort_order=-10
        )


class CreatedAt:
    """When the row was made, by the database's clock (the start of its transaction)."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=-9)
