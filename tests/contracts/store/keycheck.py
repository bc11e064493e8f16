"""What must hold of the keys after any test: nothing leaks, nothing is lost, nothing is queued twice.

`check(client, prefix)` raises AssertionError that lists every violation; integration tests may call it too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from typing import Any

import redis

BOUNDED = {
    "q:interactive": "tasks that wait, at most QUEUE_MAX",
    "q:batch": "tasks that wait, at most QUEUE_MAX",
    "delayed": "tasks that wait, at most QUEUE_MAX",
    "flight": "tasks in Dask, at most IN_FLIGHT_MAX",
    "recent": "trimmed to RECENT_MAX",
    "durations": "one number per computation",
    "fence": "one number",
    "fleet": "one document",
    "fleet:notes": "launches under way and machines that retire, at most some per machine",
}
"""Keys that need no TTL, and why."""

LEASE = re.compile(r"lease:[a-z_-]+$")
RECENT_MAX = 10_000
FINAL = {"DONE", "FAILED", "CANCELLED"}
IN_DASK = ("dispatch", "scheduler")
RUNNING_ONLY = ("fence", "worker", "run", "call", "deadline", "started", "mates")
WORK = ("dispatch", "scheduler", "worker", "run", "call", "deadline", "mates", "unheld", "drains", "alone")


def check(client: redis.Redis, prefix: str, forgotten: Collection[str] = ()) -> None:
    """Look at every key of the server; `client` decodes responses, `prefix` is the setting, without braces.

    `forgotten`: ids whose record expired while their stale entry waited, and which may have a second one since.
    """
    head = f"{{{prefix}}}:"
    wrong: list[str] = []
    records: dict[str, dict[str, str]] = {}
    for key in client.scan_iter(count=1000):
        name = key.removeprefix(head)
        ttl: Any = client.pttl(key)
        if name == key:
            wrong.append(f"{key}: not under the prefix")
        elif name.startswith("t:"):
            fields: Any = client.hgetall(key)
            if fields:  # else it expired, or was evicted, a moment ago
                records[name[2:]] = fields
                wrong += _record(name, fields, ttl)
        elif name not in BOUNDED and not LEASE.match(name):
            wrong.append(f"{name}: neither a record nor a known bounded structure")
        elif ttl != -1:
            wrong.append(f"{name}: has a TTL, so that a full server may evict it")
    wrong += _places(client, head, records, forgotten)
    assert not wrong, "\n".join(wrong)


def _record(name: str, fields: dict[str, str], ttl: int) -> list[str]:
    state = fields.get("state", "")
    if state in FINAL:
        wrong = [] if ttl > 0 else [f"{name}: {state} without a TTL"]
        present = [field for field in WORK if field in fields]
        wrong += [f"{name}: {state} with {', '.join(present)}"] if present else []
        missing = [field for field in ("finished", "expires") if field not in fields]
        return wrong + ([f"{name}: {state} without {', '.join(missing)}"] if missing else [])
    wrong = [] if ttl == -1 else [f"{name}: {state} with a TTL, so that a full server may evict it"]
    present = [field for field in RUNNING_ONLY if field in fields]
    if state == "RUNNING" and len(present) < len(RUNNING_ONLY):
        wrong.append(f"{name}: RUNNING with no more than {present}")
    if state == "PENDING" and present:
        wrong.append(f"{name}: PENDING with {', '.join(present)}")
    if state not in ("RUNNING", "PENDING"):
        wrong.append(f"{name}: in no state ({state!r})")
    return wrong


def _places(
    client: redis.Redis, head: str, records: dict[str, dict[str, str]], forgotten: Collection[str]
) -> list[str]:
    """Every task that is not final is in exactly one place: a queue, the delayed set, or the flight."""
    interactive: Any = client.lrange(f"{head}q:interactive", 0, -1)
    batch: Any = client.lrange(f"{head}q:batch", 0, -1)
    delayed: Any = set(_members(client, f"{head}delayed"))
    flight: Any = set(_members(client, f"{head}flight"))
    queued = {*interactive, *batch}
    wrong = []
    for name, entries in (("interactive", interactive), ("batch", batch)):
        for task_id, count in Counter(entries).items():
            if count > 1 and task_id not in forgotten:
                wrong.append(f"{task_id}: {count} entries in the {name} queue")
    for task_id, fields in records.items():
        if fields.get("state") in FINAL:
            if task_id in delayed or task_id in flight:
                wrong.append(f"{task_id}: final, and still delayed or in flight")
        elif "dispatch" in fields:
            if task_id not in flight or task_id in delayed:
                wrong.append(f"{task_id}: dispatched, and not in flight alone")
        elif task_id in flight or (task_id in delayed) == (task_id in queued and "queued" in fields):
            places = [
                name for name, of in (("flight", flight), ("delayed", delayed), ("queue", queued)) if task_id in of
            ]
            wrong.append(f"{task_id}: waits, and is in {places or 'no place'}")
    if len(_members(client, f"{head}recent")) > RECENT_MAX:
        wrong.append("recent: longer than RECENT_MAX")
    wrong += [f"{task_id}: in flight without a record" for task_id in flight - records.keys()]
    return wrong


def _members(client: redis.Redis, key: str) -> list[str]:
    found: Any = client.zrange(key, 0, -1)
    return list(found)
