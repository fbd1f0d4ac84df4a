"""Importing this module loads every table: foreign keys by name resolve, and migrations see them all."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import app.db.models
from app.db.base import Base

for _module in pkgutil.iter_modules(app.db.models.__path__):
    import_module(f"{app.db.models.__name__}.{_module.name}")

metadata = Base.metadata
