"""Following events against what is not, or not always, a SteadyRank service."""

from __future__ import annotations

import json

import httpx
import pytest

from app.sdk.errors import ServiceUnreachableError

STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


def lines(*texts: str) -> httpx.Response:
    return httpx.Response(200, text="".join(texts), headers=STREAM)


def event(sequence: int, to: str) -> str:
    body = {"id": f"evt_{sequence}", "sequence": sequence, "type": "job.status", "data": {"to": to}}
    return f"data: {json.dumps(body)}\n\n"


def test_a_page_for_everything_is_no_stream(script, timed):
    script.answers = [httpx.Response(200, html="<p>Log in</p>")] * 40
    with pytest.raises(ServiceUnreachableError, match="text/html where text/event-stream"):
        list(timed.jobs.stream("job_1", outage=20.0))


def test_connections_that_bring_nothing_are_an_outage(script, timed):
    script.answers = [lines()] * 40
    with pytest.raises(ServiceUnreachableError, match="before anything comes"):
        list(timed.jobs.stream("job_1", outage=20.0))


def test_a_comment_is_a_sign_of_life(script, timed):
    script.answers = [*[lines(": nothing new\n\n")] * 40, lines(event(1, "succeeded"))]
    assert [one.sequence for one in timed.jobs.stream("job_1", outage=20.0)] == [1]


def test_events_go_on_after_the_last_one_seen(script, timed):
    script.answers = [lines(event(1, "running")), httpx.ReadError("cut"), lines(event(2, "succeeded"))]
    seen = []
    for one in timed.jobs.stream("job_1", outage=20.0):
        seen.append(one.sequence)
        script.slept.append(1000.0)  # the reader's own time
    assert seen == [1, 2]
    assert script.requests[-1].headers["Last-Event-ID"] == "1"


@pytest.mark.parametrize(
    "read",
    [
        lambda c: c.jobs.report_markdown("job_1"),
        lambda c: c.evaluations.report_markdown("eval_1"),
        lambda c: c.datasets.report("ds_1", format="md"),
        lambda c: c.models.card("mdl_1"),
        lambda c: c.jobs.figure("job_1", "pareto"),
        lambda c: c.metrics(),
    ],
)
def test_a_log_in_page_is_no_document(script, client, read):
    script.answers = [httpx.Response(200, html="<p>Log in</p>")]
    with pytest.raises(ServiceUnreachableError, match="answered with text/html"):
        read(client)


def test_a_log_in_page_is_no_bundle(script, client, tmp_path):
    script.answers = [httpx.Response(200, html="<p>Log in</p>")]
    with pytest.raises(ServiceUnreachableError, match="not with a model's bundle"):
        client.models.download_bundle("mdl_1", tmp_path / "model.zip")
