"""The probing process: `python -m worker.probe_child <probe> 1 <parent's pid>`.

It begins, ends and speaks with its parent as the training process does, and writes its own result.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from app.config import get_settings
from app.jobs.claims import Claim
from app.jobs.probes import inputs, succeed
from worker.child import Wishes, end_of, live_as_child
from worker.hints import NEEDS_MEMORY
from worker.pipe import End, Upward
from worker.resources import Resources, open_resources

MEASURED_SECONDS = 3.0
"""Of steps and rankings, all arms together."""


def run_probe(probe_id: str, resources: Resources, folder: Path, upward: Upward | None = None) -> None:
    """Measure and store. Raises TrainingError."""
    from worker.blob_files import read_interactions  # noqa: PLC0415
    from worker.initial_model import find_initial, read_initial  # noqa: PLC0415
    from worker.training.probing import probe  # noqa: PLC0415
    from worker.training.progress import DataError  # noqa: PLC0415
    from worker.training.runtime import Runtime  # noqa: PLC0415
    from worker.training.spec import TrainSpec  # noqa: PLC0415

    beat = upward.beat if upward is not None else lambda: None
    settings = resources.settings
    with resources.database.unit_of_work() as session:
        found = inputs(session, probe_id)
        if found is None:
            raise DataError("the data set of this probe no longer exists")
        spec = TrainSpec.model_validate(found.spec)
        initial_blobs = find_initial(session, found.project_id, spec)
    log = read_interactions(resources.blobs, found.interactions, folder / "interactions.parquet", beat=beat)
    initial = read_initial(resources.blobs, spec, initial_blobs)
    runtime = Runtime(device=settings.device, threads=settings.threads)
    result = probe(spec, log, runtime=runtime, seconds=MEASURED_SECONDS, initial=initial, beat=beat)
    with resources.database.unit_of_work() as session:
        succeed(session, probe_id, {"start_seconds": found.since_claimed, **result.to_json()})


def work(claimed: Claim, upward: Upward, _: Wishes) -> End:
    """Make the probe; every way to end is an `End`."""
    resources = open_resources(get_settings(), sends=False)
    try:
        # Here and not above: what listens to the parent must not wait for torch.
        import worker.training.probing  # noqa: F401, PLC0415

        with tempfile.TemporaryDirectory(prefix="steadyrank-") as folder:
            run_probe(claimed.job_id, resources, Path(folder), upward)
    except Exception as error:
        return end_of(error, "probe", needs_memory=NEEDS_MEMORY)
    finally:
        resources.database.dispose()
    return End("succeeded")


def main(probe_id: str, attempt: str, parent: str) -> NoReturn:
    """Probe, say how it ended, and leave without waiting for any thread."""
    live_as_child("probe", Claim(probe_id, int(attempt)), parent, work)


if __name__ == "__main__":
    main(*sys.argv[1:])
