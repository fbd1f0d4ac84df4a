from __future__ import annotations

import threading

from app.db.ids import is_id, new_id


def test_form_and_order() -> None:
    ids = [new_id("ds") for _ in range(2000)]
    assert ids == sorted(set(ids))
    assert all(is_id("ds", one) and len(one) == 29 for one in ids)


def test_unique_over_threads() -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.extend(new_id("x") for _ in range(500))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2000


def test_what_is_no_id() -> None:
    good = new_id("ds")
    for bad in (
        "",
        "ds",
        "ds_",
        good[:-1],
        good + "0",
        good.upper(),
        good.replace("ds_", "job_"),
        f"{good}\n",
    ):
        assert not is_id("ds", bad)
