from __future__ import annotations

import pytest
from sqlalchemy import func, select

from app.datasets.using import ready_dataset
from app.db.session import Database
from app.errors import NotFoundError
from app.state_errors import DatasetNotReadyError
from app.storage.database import DatabaseBlobStore
from tests.factories import make_dataset, make_ready_dataset


def test_only_a_ready_data_set_of_the_own_project_can_be_used(
    database: Database, blobs: DatabaseBlobStore
) -> None:
    with database.unit_of_work() as session:
        ready = make_ready_dataset(session, blobs)
        assert ready_dataset(session, ready.project_id, ready.id) is ready
        with pytest.raises(NotFoundError):
            ready_dataset(session, "prj_other", ready.id)
        fresh = make_dataset(session, blobs, name="fresh.csv")
        with pytest.raises(DatasetNotReadyError) as waiting:
            ready_dataset(session, fresh.project_id, fresh.id)
        assert waiting.value.code == "dataset_not_ready"
        fresh.status, fresh.validated_at = "rejected", session.execute(select(func.now())).scalar_one()
        with pytest.raises(DatasetNotReadyError) as rejected:
            ready_dataset(session, fresh.project_id, fresh.id)
        assert rejected.value.code == "dataset_rejected"
