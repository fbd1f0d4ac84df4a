"""What a caller gives becomes the request as it is meant, or an error before anything is sent."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from app.sdk.errors import NotFoundError, SteadyRankError

JOB = {"id": "job_1", "status": "queued"}


@pytest.mark.parametrize("odd", ["job\n1", "job_\udcff", "j" * 70_000])
def test_an_id_that_no_address_can_hold_is_an_error_of_ours(script, client, odd):
    with pytest.raises(SteadyRankError, match="cannot be asked for"):
        client.jobs.get(odd)
    assert script.requests == []


@pytest.mark.parametrize(
    ("value", "sent"),
    [(np.int64(4), b"4"), (np.float32(0.5), b"0.5"), ({"b", "a"}, b'["a","b"]'), ((1, 2), b"[1,2]")],
)
def test_numbers_of_numpy_and_sets_are_sent_as_json_has_them(script, client, value, sent):
    script.answers = [httpx.Response(201, json=JOB)]
    client.jobs.create("ds_1", epochs=value)
    assert script.bodies == [b'{"dataset":"ds_1","epochs":' + sent + b"}"]
    assert script.requests[0].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("value", [float("nan"), np.float64("inf"), object()])
def test_what_json_cannot_hold_is_told_by_its_field(script, client, value):
    with pytest.raises(SteadyRankError, match=r"^learning_rate: .* cannot be sent"):
        client.jobs.create("ds_1", learning_rate=value)
    assert script.requests == []


@pytest.mark.parametrize("name", ["می‌خواهم", "東京　映画", "a\u00a0b"])
def test_a_name_may_have_any_letters(script, client, name):
    script.answers = [httpx.Response(404)]
    with pytest.raises(NotFoundError):
        client.models.get(f"{name}@production")
    assert script.requests[0].url.path == f"/v1/models/{name}@production"


def test_an_id_leads_to_no_other_page(script, client):
    script.answers = [httpx.Response(404)]
    with pytest.raises(NotFoundError):
        client.jobs.get("../usage?x=1")
    assert script.requests[0].url.raw_path == b"/v1/jobs/..%2Fusage%3Fx%3D1"
    for nothing in ("", ".", ".."):
        with pytest.raises(SteadyRankError, match="no id"):
            client.jobs.get(nothing)
    with pytest.raises(TypeError, match="neither an id nor an object"):
        client.jobs.create(None)


@pytest.mark.parametrize("history", ["12", b"12", {"12": "7"}])
def test_a_history_that_is_text_is_not_taken_for_its_letters(script, client, history):
    with pytest.raises(TypeError, match="a list of histories"):
        client.models.recommend("mdl_1", [history])
    assert script.requests == []
