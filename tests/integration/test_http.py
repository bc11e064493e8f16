"""What two API replicas over one Redis and one cluster show a client: waiting, events, refresh, metrics."""

from __future__ import annotations

import threading
import time

from prometheus_client.parser import text_string_to_metric_families

from tests.harness.client import Client, Event
from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

stack = module_stack(apis=2)


def test_prefer_wait_answers_with_the_result_as_soon_as_it_is_there(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    begun = time.monotonic()
    answer = client.post("counted", {"ledger": str(ledger), "n": 7, "seconds": 0.5}, wait=20)
    took = time.monotonic() - begun
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["result"]) == ("DONE", 7)
    assert 0.5 <= took < 3


def test_prefer_wait_ends_when_the_client_said(stack: Stack, ledger: Ledger) -> None:
    first, second = stack.client(0), stack.client(1)
    begun = time.monotonic()
    answer = first.post("counted", {"ledger": str(ledger), "n": 7, "seconds": 4.0}, wait=1)
    assert 0.9 <= time.monotonic() - begun < 2.5
    assert answer.status_code == 202
    task_id = answer.json()["task_id"]
    assert answer.headers["Location"].endswith(f"/api/v1/tasks/{task_id}")
    assert int(answer.headers["Retry-After"]) >= 1
    assert first.result(task_id).status_code == 202
    assert second.get(task_id, wait=20)["state"] == "DONE", "another replica holds the answer until it is final"
    assert time.monotonic() - begun < 7


def test_progress_is_seen_in_events_and_in_the_record(stack: Stack, ledger: Ledger) -> None:
    client, other = stack.client(0), stack.client(1)
    task_id = client.submit("stepped", {"ledger": str(ledger), "n": 1, "steps": 10, "seconds": 0.2})
    seen: list[Event] = []
    with client.events(task_id) as events:
        for event in events:  # ends when the server closes the stream
            seen.append(event)
            if event.event == "progress" and len(seen) < 4:
                assert other.get(task_id)["progress"]["total"] == 10
    assert [event.data["task_id"] for event in seen] == [task_id] * len(seen)
    revisions = [int(event.id or 0) for event in seen]
    assert revisions == sorted(set(revisions))
    assert revisions == [event.data["revision"] for event in seen]
    assert (seen[-1].event, seen[-1].data["state"]) == ("state", "DONE")
    done = [event.data["progress"]["done"] for event in seen if event.event == "progress"]
    assert len(done) >= 5
    assert done == sorted(done)


def test_events_resume_on_another_replica(stack: Stack, ledger: Ledger) -> None:
    first, second = stack.client(0), stack.client(1)
    task_id = first.submit("stepped", {"ledger": str(ledger), "n": 1, "steps": 20, "seconds": 0.2})
    last: Event | None = None
    with first.events(task_id) as events:
        for event in events:
            last = event
            if event.event == "progress":
                break
    assert last is not None
    with second.events(task_id, after=last.id) as events:
        rest = list(events)
    assert all(int(event.id or 0) >= int(last.id or 0) for event in rest)
    assert (rest[-1].event, rest[-1].data["state"]) == ("state", "DONE")
    with second.events(task_id, after="1") as events:
        late = list(events)
    assert [event.data["state"] for event in late] == ["DONE"], "who comes late gets the record as it is"


def test_events_stay_open_while_the_task_waits(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    blockers = client.batch("counted", [{"ledger": str(ledger), "n": n, "seconds": 2.0} for n in range(2)])
    eventually(lambda: len(ledger.counts()) == 2, "both threads are busy")
    task_id = client.submit("counted", {"ledger": str(ledger), "n": 5})
    with client.events(task_id) as events:
        states = [event.data["state"] for event in events]
    assert states[0] == "PENDING"
    assert states[-1] == "DONE"
    client.done(blockers)


def test_no_replica_serves_the_older_result_for_longer_than_a_second(stack: Stack, ledger: Ledger) -> None:
    clients: list[Client] = [stack.client(0), stack.client(1)]
    parameters = {"ledger": str(ledger), "n": 1, "first": 0.0, "later": 0.1}
    task_id = clients[0].submit("which_run", parameters)
    clients[0].done([task_id])
    for client in clients:
        for _ in range(3):  # so that a cache, if there is one, holds it
            assert client.post("which_run", parameters).json()["result"] == 1
    etag = clients[1].result(task_id).headers["ETag"]

    forced = clients[0].post("which_run", parameters, headers={"Cache-Control": "no-cache"})
    assert forced.status_code == 202
    assert forced.json()["task_id"] == task_id
    joined = clients[0].post("which_run", parameters)
    assert joined.status_code == 202 or joined.json()["result"] == 2, "the replica that took it knows at once"
    time.sleep(1.0)
    for client in clients:
        answer = client.post("which_run", parameters, wait=10)
        assert answer.json()["result"] == 2
        assert client.value(task_id) == 2
        stale = client.http.get(f"/api/v1/tasks/{task_id}/result", headers={"If-None-Match": etag})
        assert stale.status_code == 200
    assert ledger.counts() == {1: 2}


def test_forced_refresh_of_a_task_that_runs_joins_it(stack: Stack, ledger: Ledger) -> None:
    clients = [stack.client(0), stack.client(1)]
    parameters = {"ledger": str(ledger), "n": 1, "seconds": 1.0}
    first = clients[0].post("counted", parameters, headers={"Cache-Control": "no-cache"})
    second = clients[1].post("counted", parameters, headers={"Cache-Control": "no-cache"}, wait=20)
    assert second.status_code == 200
    assert second.json()["task_id"] == first.json()["task_id"]
    assert ledger.counts() == {1: 1}


def test_query_waits_on_one_replica_for_what_another_accepted(stack: Stack, ledger: Ledger) -> None:
    ids = stack.client(0).batch("counted", [{"ledger": str(ledger), "n": n, "seconds": 0.3} for n in range(8)])
    answer = stack.client(1).query([*ids, f"counted-{'0' * 32}"], wait=1)
    assert not answer["all_final"] or answer["tasks"][-1]["state"] is None
    stack.client(1).done(ids)
    answer = stack.client(1).query(ids, results=True)
    assert [task["result"] for task in answer["tasks"]] == list(range(8))


def test_tasks_pass_a_client_that_left(stack: Stack, ledger: Ledger) -> None:
    """A client that gives up waiting neither stops the task nor disturbs others that wait."""
    task_id = stack.client(0).submit("counted", {"ledger": str(ledger), "n": 1, "seconds": 2.0})
    gone = threading.Thread(target=lambda: _give_up(stack, task_id))
    gone.start()
    assert stack.client(0).get(task_id, wait=20)["state"] == "DONE"
    gone.join()
    assert ledger.counts("end") == {1: 1}


def _give_up(stack: Stack, task_id: str) -> None:
    client = Client(stack.apis[0].url, timeout=0.5)
    try:
        client.http.get(f"/api/v1/tasks/{task_id}", headers={"Prefer": "wait=20"})
    except Exception:
        pass
    finally:
        client.close()


def test_metrics(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    parameters = {"ledger": str(ledger), "n": 1, "seconds": 0.5}
    task_id = client.submit("counted", parameters)
    client.submit("counted", parameters)
    client.done([task_id])
    client.submit("counted", parameters)

    def samples() -> dict[str, list[dict[str, str]]]:
        text = client.http.get("/metrics").text
        return {
            sample.name: [s.labels for s in family.samples if s.name == sample.name]
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    found = eventually(
        lambda: s if "tidegate_task_seconds_count" in (s := samples()) else None, "the latency was observed"
    )
    outcomes = {s["outcome"] for s in found["tidegate_submissions_total"] if s["computation"] == "counted"}
    assert outcomes >= {"created", "joined", "hit"}
    assert {"computation": "counted"} in found["tidegate_task_seconds_count"]
    assert {s["queue"] for s in found["tidegate_queue_depth"]} >= {"interactive", "batch"}
    assert any("/tasks" in s["route"] and s["status"] == "202" for s in found["tidegate_requests_total"])
    for name in ("tidegate_in_flight", "tidegate_bundle_size_bucket", "tidegate_scheduler_up", "tidegate_store_up"):
        assert name in found, name
