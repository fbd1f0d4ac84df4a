"""Aliases: moved in one transaction, gated, and never forgotten where they stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.scopes import Scope, allowed
from app.accounts.service import Principal
from app.db.models.model import Model
from app.db.models.model_alias import ModelAlias, ModelAliasMove
from app.errors import ErrorItem, Forbidden, NotFoundError, ValidationFailed
from app.models.alias_schemas import AliasPut
from app.models.gates import Check, Condition, check, refuse_failed, refuse_mixed
from app.models.names import hold_name

HISTORY = 100


@dataclass(frozen=True)
class Move:
    """A move that passed its gates; `current` is the model that had the alias before."""

    target: Model
    current: Model | None
    checks: list[Check]


def get(session: Session, project_id: str, name: str, alias: str) -> ModelAlias:
    """One alias. NotFoundError (`alias_not_found`)."""
    row = session.get(ModelAlias, (project_id, name, alias))
    if row is None:
        raise NotFoundError(
            f"No model called {name!r} has the alias {alias!r}.",
            code="alias_not_found",
            hint="GET /v1/models/{name}/aliases lists those that there are.",
            pointer="path:alias",
        )
    return row


def list_of_name(session: Session, project_id: str, name: str) -> Sequence[ModelAlias]:
    """The aliases of a name, by alias. NotFoundError when no model has that name and no alias either."""
    statement = select(ModelAlias).where(ModelAlias.project_id == project_id, ModelAlias.name == name)
    rows = session.execute(statement.order_by(ModelAlias.alias)).scalars().all()
    named = select(Model.id).where(Model.project_id == project_id, Model.name == name).limit(1)
    if not rows and session.execute(named).first() is None:
        raise _no_such_name(name)
    return rows


def history(session: Session, row: ModelAlias, most: int) -> Sequence[ModelAliasMove]:
    """The last moves of an alias, newest first, those before it was deleted and made again included."""
    statement = select(ModelAliasMove).where(
        ModelAliasMove.project_id == row.project_id,
        ModelAliasMove.name == row.name,
        ModelAliasMove.alias == row.alias,
    )
    return session.execute(statement.order_by(ModelAliasMove.id.desc()).limit(most)).scalars().all()


def put(
    session: Session, principal: Principal, name: str, alias: str, asked: AliasPut, *, validate_only: bool
) -> Move:
    """Let an alias point at a model, if that passes; with `validate_only` nothing is changed.

    The model that already has the alias keeps it, and no move is written.

    Raises:
        NotFoundError: No model was ever called `name`.
        ValidationFailed: The target is not a model of that name.
        ConflictError: It does not pass (`gate_refused`), or cannot be compared (`mixed_protocol`).
        Forbidden: `force`, and changing the gates that an alias keeps, need the scope `admin`.

    """
    project_id = principal.project_id
    if asked.force:
        _need_admin(principal)
    if not hold_name(session, project_id, name):
        raise _no_such_name(name)
    row = session.get(ModelAlias, (project_id, name, alias), populate_existing=True)
    target = _target(session, project_id, name, asked)
    current = None if row is None else session.get_one(Model, row.model_id)
    gates = [condition.model_dump(mode="json", exclude_none=True) for condition in asked.promote_if]
    if row is not None and row.gates and asked.keep_gates and gates != row.gates:
        _need_admin(principal)
    checks = _checked(asked, row, target, current)
    if validate_only:
        return Move(target, current, checks)
    if row is None:
        row = ModelAlias(project_id=project_id, name=name, alias=alias, model_id=target.id, gates=[])
        session.add(row)
    if asked.keep_gates:
        row.gates = gates
    if current is None or current.id != target.id:
        row.model_id = target.id
        row.moved_at = session.execute(select(func.now())).scalar_one()
        session.add(_move(principal, row, current, target, checks, forced=asked.force))
    session.flush()
    return Move(target, current, checks)


def delete(session: Session, principal: Principal, name: str, alias: str) -> None:
    """Take an alias away; its history stays. NotFoundError; Forbidden if it has gates and no admin asks."""
    hold_name(session, principal.project_id, name)
    row = get(session, principal.project_id, name, alias)
    if row.gates:  # otherwise deleting it and making it again would be a way around them
        _need_admin(principal)
    session.add(_move(principal, row, session.get_one(Model, row.model_id), None, [], forced=False))
    session.delete(row)
    session.flush()


def _checked(asked: AliasPut, row: ModelAlias | None, target: Model, current: Model | None) -> list[Check]:
    """Check what is asked and what the alias keeps; raises what refuses the move, unless it is forced."""
    kept = [] if row is None or asked.keep_gates else [Condition.model_validate(gate) for gate in row.gates]
    conditions = [(f"/promote_if/{i}", condition) for i, condition in enumerate(asked.promote_if)]
    conditions += [(f"alias:gates/{i}", condition) for i, condition in enumerate(kept)]
    other = None if current is None or current.id == target.id else current
    if not (asked.force or asked.allow_mixed_protocol):
        refuse_mixed([condition for _, condition in conditions], target, other)
    checks = check(conditions, target, other)
    if not asked.force:
        refuse_failed(checks, target)
    return checks


def _target(session: Session, project_id: str, name: str, asked: AliasPut) -> Model:
    statement = select(Model).where(Model.project_id == project_id)
    if asked.model is not None:
        pointer, got, statement = "/model", str(asked.model), statement.where(Model.id == asked.model)
    else:
        pointer, got = "/version", f"{name}@{asked.version}"
        statement = statement.where(Model.name == name, Model.version == asked.version)
    # Held, so that it cannot be deleted or renamed before the alias points at it.
    found = session.execute(statement.with_for_update()).scalar_one_or_none()
    if found is None:
        raise NotFoundError.of("model", got, pointer=pointer)
    if found.name != name:
        message = f"{found.id} is {found.name}@{found.version}, not a version of {name}"
        item = ErrorItem(
            pointer, "other_name", message, got, "Use that name in the path, or rename the model."
        )
        raise ValidationFailed(f"{pointer}: {message}.", code="other_name", errors=[item])
    return found


def _move(
    principal: Principal,
    row: ModelAlias,
    current: Model | None,
    target: Model | None,
    checks: Sequence[Check],
    *,
    forced: bool,
) -> ModelAliasMove:
    return ModelAliasMove(
        project_id=row.project_id,
        name=row.name,
        alias=row.alias,
        from_model=None if current is None else current.id,
        from_version=None if current is None else current.version,
        to_model=None if target is None else target.id,
        to_version=None if target is None else target.version,
        checks=[one.model_dump(mode="json") for one in checks],
        forced=forced,
        api_key_id=principal.key_id,
    )


def _need_admin(principal: Principal) -> None:
    if not allowed(principal.scopes, Scope.ADMIN):
        raise Forbidden(Scope.ADMIN)


def _no_such_name(name: str) -> NotFoundError:
    return NotFoundError(
        f"No model is called {name!r} in this project.",
        code="model_name_not_found",
        hint="GET /v1/models lists the models with their names.",
        pointer="path:name",
    )
