"""What the ECS fleet does with any service that speaks ECS. `world.can` names what a service honours beyond shapes."""

from __future__ import annotations

import pytest

from services.autoscaler.errors import FleetUnavailable, LaunchRefused, MachineUnknown
from services.autoscaler.fleet import Fleet
from services.autoscaler.model import Capacity, Ending, Launch, Launched, Phase
from tests.contracts.fleet.worlds import World

NOBODY = "0123456789abcdef0123456789abcdef"


def launch(
    fleet: Fleet,
    world: World,
    count: int = 1,
    capacity: Capacity = Capacity.SPOT,
    token: str = "t",
    revision: str = "1",
) -> Launched:
    return fleet.launch(Launch(token, count, capacity, revision, world.now()))


@pytest.mark.parametrize("capacity", Capacity)
def test_what_is_launched_is_seen(world: World, capacity: Capacity) -> None:
    fleet = world.fleet()
    before = world.now()
    launched = launch(fleet, world, 3, capacity)
    assert (len(set(launched.ids)), launched.refused, launched.no_capacity) == (3, (), 0)
    view = fleet.observe(launched.ids)
    assert sorted(machine.id for machine in view.machines) == sorted(launched.ids)
    assert view.ended == ()
    for machine in view.machines:
        assert (machine.capacity, machine.revision) == (capacity, "1")
        assert before - 1 <= machine.created_at <= world.now() + 1
        assert machine.phase is (Phase.STARTING if "starts slowly" in world.can else Phase.RUNNING)
        assert machine.billed_from is None
    created = {machine.id: machine.created_at for machine in view.machines}
    world.late += 61
    view = fleet.observe()
    assert {machine.phase for machine in view.machines} == {Phase.RUNNING}
    assert {machine.id: machine.created_at for machine in view.machines} == created
    assert all(machine.billed_from is not None for machine in view.machines) == ("has times" in world.can)


def test_the_shape_of_a_launch(world: World) -> None:
    fleet = world.fleet(
        worker_subnets=f" {world.network[0]} ,{world.network[0]}", worker_public_ip=True, fleet_name="dev/blue"
    )
    launch(fleet, world, 2, Capacity.ON_DEMAND, "a-token", "2")
    operation, parameters = world.requests[-1]
    assert operation == "RunTask"
    assert parameters == {
        "cluster": world.cluster,
        "taskDefinition": "worker:2",
        "count": 2,
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
        "platformVersion": "LATEST",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": [world.network[0]] * 2,
                "securityGroups": [world.network[1]],
                "assignPublicIp": "ENABLED",
            }
        },
        "startedBy": "tidegate/dev/blue",
        "clientToken": "a-token",
        "tags": [
            {"key": "tidegate:fleet", "value": "dev/blue"},
            {"key": "tidegate:component", "value": "worker"},
        ],
        "propagateTags": "TASK_DEFINITION",
        "enableECSManagedTags": True,
    }


def test_the_same_launch_again(world: World) -> None:
    fleet = world.fleet()
    first = launch(fleet, world, 3)
    again = launch(world.fleet(), world, 3)
    assert len(again.ids) == 3
    assert (set(again.ids) == set(first.ids)) == ("idempotent" in world.can)


def test_a_launch_of_an_older_revision(world: World) -> None:
    fleet = world.fleet(worker_task_definition="worker:2")
    assert fleet.revision == "2"
    launch(fleet, world, token="old", revision="1")
    launch(fleet, world, token="new", revision="2")
    assert sorted(machine.revision for machine in fleet.observe().machines) == ["1", "2"]


def test_more_than_a_page_and_more_than_a_description(world: World) -> None:
    fleet = world.fleet()
    ids: set[str] = set()
    for number in range(21):
        ids.update(launch(fleet, world, 10, token=f"t{number}").ids)
        world.late += 1
    assert len(ids) == 210
    assert {machine.id for machine in world.fleet().observe().machines} == ids


def test_what_is_not_ours_is_not_seen_and_not_stopped(world: World) -> None:
    fleet = world.fleet()
    tag = {"key": "tidegate:fleet", "value": "dev/blue"}
    component = {"key": "tidegate:component", "value": "worker"}
    others = [
        world.run(startedBy="somebody"),
        world.run(tags=[]),
        world.run(tags=[tag]),
        world.run(tags=[{"key": "tidegate:fleet", "value": "dev/green"}, component]),
        world.run(taskDefinition="other:1"),
    ]
    (own,) = launch(fleet, world).ids
    (theirs,) = launch(world.fleet(fleet_name="dev/green"), world, token="theirs").ids
    view = fleet.observe([*others, theirs])
    assert [machine.id for machine in view.machines] == [own]
    for machine in (*others, theirs, NOBODY, "nonsense"):
        with pytest.raises(MachineUnknown, match=machine):
            fleet.stop(machine, "never")
    assert all(task["desiredStatus"] == "RUNNING" for task in described(world, [*others, theirs]))


def described(world: World, ids: list[str]) -> list[dict[str, str]]:
    tasks = world.client.describe_tasks(cluster=world.cluster, tasks=ids)["tasks"]
    assert len(tasks) == len(ids)
    return list(tasks)


def test_stopping(world: World) -> None:
    fleet = world.fleet()
    one, other = launch(fleet, world, 2).ids
    world.late += 61
    fleet.observe()
    fleet.stop(one, "too long a reason " * 100)
    view = fleet.observe()
    stopping = [machine.id for machine in view.machines if machine.phase is Phase.STOPPING]
    assert stopping == ([one] if "drains" in world.can else [])
    ended = list(view.ended)
    world.late += 5
    ended += fleet.observe().ended
    assert [(end.id, end.ending, end.capacity) for end in ended] == [(one, Ending.STOPPED, Capacity.SPOT)]
    assert ended[0].reason.startswith("too long a reason too long")
    assert fleet.observe([one]).ended == ()
    fleet.stop(one, "gone already")
    assert [machine.id for machine in fleet.observe().machines] == [other]


def test_stopping_twice(world: World) -> None:
    fleet = world.fleet()
    (machine,) = launch(fleet, world).ids
    fleet.stop(machine, "once")
    fleet.stop(machine, "twice")
    world.late += 120
    assert [end.reason[:4] for end in fleet.observe().ended] == ["once" if "tells why" in world.can else "twic"]


def test_a_restarted_autoscaler_adopts_what_runs(world: World) -> None:
    ids = launch(world.fleet(), world, 4).ids
    fleet = world.fleet()
    with pytest.raises(MachineUnknown):
        fleet.stop(ids[0], "not seen yet")
    assert {machine.id for machine in fleet.observe().machines} == set(ids)
    fleet.stop(ids[0], "seen")


def test_a_restarted_autoscaler_sees_what_drains_when_it_is_told_of_it(world: World) -> None:
    first = world.fleet()
    (machine,) = launch(first, world).ids
    world.late += 61
    first.observe()
    first.stop(machine, "drain")
    second = world.fleet()
    if "drains" in world.can:
        assert second.observe().machines == ()
        (seen,) = second.observe([machine]).machines
        assert seen.phase is Phase.STOPPING
    world.late += 120
    assert [end.id for end in second.observe([machine]).ended] == [machine]
    assert second.observe([machine]).ended == ()


def test_ids_that_nobody_has(world: World) -> None:
    fleet = world.fleet()
    view = fleet.observe([NOBODY, "laptop-0", "", "tcp://10.0.0.1:9000"])
    assert (view.machines, view.ended) == ((), ())


@pytest.mark.parametrize("changes", [{"ecs_cluster": "nowhere"}, {"worker_task_definition": "nothing:1"}])
def test_a_launch_that_cannot_be(world: World, changes: dict[str, str]) -> None:
    with pytest.raises(LaunchRefused, match=r"RunTask of 1 tasks of (worker|nothing):1 was refused: \w+Exception: "):
        launch(world.fleet(**changes), world)


def test_a_cluster_that_is_not_there(world: World) -> None:
    with pytest.raises(FleetUnavailable, match=r"list_tasks of ECS: ClusterNotFoundException: Cluster not found"):
        world.fleet(ecs_cluster="nowhere").observe()


def test_more_than_a_call_may_ask_for(world: World) -> None:
    fleet = world.fleet()
    assert fleet.launch_max == 10
    if "refuses more than ten" in world.can:
        with pytest.raises(LaunchRefused, match="InvalidParameterException: count"):
            launch(fleet, world, 11)


def test_no_quota_is_checked_without_a_client(world: World) -> None:
    assert world.fleet(worker_vcpu=4).check(1_000_000) == ()
