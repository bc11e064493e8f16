"""What is remembered from round to round: notes in Redis, presence, the market, how starting goes."""

from __future__ import annotations

from dataclasses import replace

from services.autoscaler import market, notes, presence, starts
from services.autoscaler.market import Market
from services.autoscaler.model import Capacity, Ended, Ending, FleetView, Launch, Phase, SchedulerView
from services.autoscaler.observe import bring_together
from services.autoscaler.presence import Presence
from services.autoscaler.starts import Starts
from tests.unit.autoscaler.worlds import NOW, backlog, machine, member, settings, worker

LAUNCH = Launch("0" * 32, 3, Capacity.SPOT, "7", NOW)


def view(*workers: object, target: int = 0, scheduler: str = "s1") -> SchedulerView:
    return SchedulerView(scheduler, "tcp://s", target, workers)  # type: ignore[arg-type]


def test_notes_survive_being_written() -> None:
    raw = {notes.launch_name(LAUNCH): notes.written(LAUNCH), notes.retire_name("m"): b"{}"}
    book, broken = notes.read(raw)
    assert [noted.launch for noted in book.launches] == [LAUNCH]
    assert book.unanswered == [LAUNCH]
    assert book.retiring == {"m"}
    assert (list(book.fresh), list(broken)) == ([], [])
    answered, _ = notes.read({notes.launch_name(LAUNCH): notes.written(LAUNCH, ["a", "b"])})
    assert (answered.unanswered, answered.fresh) == ([], ["a", "b"])


def test_notes_of_another_version_are_dropped() -> None:
    for value in (b"", b"[]", b"{}", b'{"token": 1}', b'{"ids": null, "capacity": "gold"}'):
        book, broken = notes.read({"launch:x": value})
        assert (book.launches, broken) == ([], ["launch:x"])


def test_notes_go_once_they_have_served() -> None:
    raw = {notes.launch_name(LAUNCH): notes.written(LAUNCH, ["a", "b"]), "retire:m": b"{}"}
    book, _ = notes.read(raw)
    assert notes.stale(book, {"a", "b", "m"}, {"a", "m"}, NOW + 10) == [], "a successor would not see b"
    assert notes.stale(book, {"a", "b"}, {"a", "b", "m"}, NOW + 10) == [notes.launch_name(LAUNCH), "retire:m"]
    assert notes.stale(book, {"m"}, set(), NOW + notes.FORGET_S + 1) == [notes.launch_name(LAUNCH)]


def test_machines_that_no_listing_shows_yet_are_counted() -> None:
    raw = {
        notes.launch_name(LAUNCH): notes.written(LAUNCH, ["a", "b"]),
        "launch:x": notes.written(Launch("x", 2, Capacity.ON_DEMAND, "7", NOW)),
    }
    book, _ = notes.read(raw)
    seen = bring_together(NOW, FleetView([machine("a")]), view(worker("a")), backlog(), book, Presence())
    assert sorted(each.machine.id for each in seen.members) == ["a", "b", "x/0", "x/1"]
    assert [each.machine.id for each in seen.members if each.joined] == ["a"]
    assert seen.shown == {"a"}
    gone = FleetView([machine("a")], settled=frozenset({"a", "b"}))
    seen = bring_together(NOW, gone, view(), backlog(), book, Presence())
    assert sorted(each.machine.id for each in seen.members) == ["a", "x/0", "x/1"], "b has ended some rounds ago"


def test_presence_counts_from_the_first_look_and_anew_for_a_new_scheduler() -> None:
    machines = [machine("a"), machine("b"), machine("c", phase=Phase.STOPPING)]
    first, seen = presence.merge(machines, view(worker("a")), [], Presence(), NOW)
    assert [(each.joined_for, each.absent_for) for each in first] == [(0, 0)] * 3
    later, seen = presence.merge(machines, view(worker("a")), ["a"], seen, NOW + 60)
    assert [(each.joined_for, each.absent_for, each.retiring) for each in later] == [
        (60, 0, True),
        (0, 60, False),
        (0, 0, False),
    ]
    anew, _ = presence.merge(machines, view(scheduler="s2"), [], seen, NOW + 600)
    assert [each.absent_for for each in anew] == [0, 0, 0]


def test_the_time_of_a_hold_is_no_absence() -> None:
    empty, _ = notes.read({})
    seen = Presence()

    def absent(now: float, scheduler: SchedulerView | None, *names: str) -> dict[str, float]:
        nonlocal seen
        fleet = FleetView([machine(name) for name in names])
        snapshot = bring_together(now, fleet, scheduler, backlog(), empty, seen)
        seen = snapshot.presence
        return {each.machine.id: each.absent_for for each in snapshot.members}

    assert absent(NOW, view(), "a") == {"a": 0}
    assert absent(NOW + 100, view(), "a") == {"a": 100}
    for later in (105, 110, 400):
        assert absent(NOW + later, None, "a", "b") == {"a": 0, "b": 0}
    assert absent(NOW + 405, view(), "a", "b") == {"a": 100, "b": 0}
    assert absent(NOW + 410, view(), "a", "b") == {"a": 105, "b": 5}
    assert absent(NOW + 415, None, "a", "b") == {"a": 0, "b": 0}
    assert absent(NOW + 420, view(), "a", "b") == {"a": 105, "b": 5}
    assert absent(NOW + 425, None, "a", "b") == {"a": 0, "b": 0}
    assert absent(NOW + 430, view(scheduler="s2"), "a", "b") == {"a": 0, "b": 0}


def test_what_others_provide_is_left_out_of_the_load() -> None:
    empty, _ = notes.read({})
    machines = [machine("mine"), machine("leaving", phase=Phase.STOPPING)]
    workers = [worker("mine", 1), worker("leaving", 1), worker("theirs", 0), worker("theirs2", 1)]
    seen = bring_together(NOW, FleetView(machines), view(*workers, target=9), backlog(), empty, Presence()).load()
    assert (seen.active, seen.dask_workers, seen.busy_workers, seen.running) == (1, 4, 3, 1)
    assert seen.others == 3


def test_the_market_falls_back_after_a_while_and_tries_again() -> None:
    own = settings(spot_fallback_after=60, spot_retry_after=300, on_demand_base=1)
    known = Market()
    assert market.split(5, [], known, own, NOW, "1") == {Capacity.ON_DEMAND: 1, Capacity.SPOT: 4}
    base = [member("base", capacity=Capacity.ON_DEMAND)]
    known = market.refused(known, NOW)
    assert market.split(5, base, known, own, NOW + 59, "1") == {Capacity.ON_DEMAND: 0, Capacity.SPOT: 5}
    known = market.refused(known, NOW + 59)
    assert market.split(5, base, known, own, NOW + 60, "1") == {Capacity.ON_DEMAND: 5, Capacity.SPOT: 0}
    assert market.split(5, base, known, own, NOW + 360, "1") == {Capacity.ON_DEMAND: 4, Capacity.SPOT: 1}
    known = market.tried(known, NOW + 360)
    assert market.split(5, base, known, own, NOW + 365, "1")[Capacity.SPOT] == 0
    old = member("old", created_at=NOW)
    assert market.seen(known, [old], own, NOW + 366).refused_since is not None, "it was there before the refusals"
    new = member("new", created_at=NOW + 361)
    starting = member("new", None, created_at=NOW + 361, phase=Phase.STARTING)
    assert market.seen(known, [starting], own, NOW + 366).refused_since is not None
    assert market.seen(known, [new], own, NOW + 366).refused_since is None
    assert market.seen(known, [], own, NOW + 360 + 599).refused_since is not None
    assert market.seen(known, [], own, NOW + 360 + 601).refused_since is None, "too old to tell anything"
    assert market.tried(Market(), NOW) == Market()
    outdated = [member("base", capacity=Capacity.ON_DEMAND, revision="0")]
    assert market.split(5, outdated, Market(), own, NOW, "1")[Capacity.ON_DEMAND] == 1, "the base is of new code too"


def test_without_spot_everything_is_on_demand() -> None:
    assert market.split(3, [], Market(), settings(use_spot=False), NOW, "1") == {
        Capacity.ON_DEMAND: 3,
        Capacity.SPOT: 0,
    }


def test_failing_starts_are_tried_ever_more_slowly() -> None:
    known, now, pauses = Starts(), NOW, []
    for _ in range(12):
        assert starts.allowed(known, 10, now) == (10 if known.failures < starts.PROBE_FROM else 1)
        known = starts.failed(known, now)
        assert starts.allowed(known, 10, now) == 0
        pauses.append(known.until - now)
        now = known.until
    assert pauses[0] <= 7
    assert max(pauses) <= starts.PAUSE_MAX_S * 1.25
    assert pauses[-1] >= starts.PAUSE_MAX_S * 0.75
    assert starts.tried(Starts(), NOW) == Starts()
    assert starts.tried(known, now).until > now


def test_only_ends_by_a_fault_of_their_own_count_as_failed_starts() -> None:
    ended = [Ended(each.value, each, Capacity.SPOT, "", NOW) for each in Ending]
    faults = {Ending.FAILED_TO_START, Ending.EXITED, Ending.NO_CAPACITY}
    assert {each.ending for each in starts.never_joined(ended, [], probing_spot=False)} == faults
    found = starts.never_joined(ended, [Ending.EXITED.value], probing_spot=True)
    assert [each.ending for each in found] == [Ending.FAILED_TO_START], "the probe's refusal is the market's affair"
    dear = [replace(each, capacity=Capacity.ON_DEMAND) for each in ended]
    assert {each.ending for each in starts.never_joined(dear, [], probing_spot=True)} == faults
