"""The fleet of processes on this machine: one worker supervisor each, children of this process that end with it.

A machine here costs nothing to start and is there within seconds; what runs on AWS in minutes can be watched in
seconds. There is nothing to adopt after a restart, since no machine outlives its autoscaler.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from services.autoscaler.fleet import nothing
from services.autoscaler.model import Capacity, Ended, Ending, FleetView, Launch, Launched, Machine, Phase
from services.autoscaler.settings import LocalFleetSettings

log = structlog.get_logger(__name__)

REVISION: Final = "local"
STOP_MARGIN_S: Final = 25.0
"""Beyond the workers' grace, until a machine that does not end is killed."""
POLL_S: Final = 0.05


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    created_at: float
    capacity: Capacity
    stop_by: float | None = None


class LocalFleet:
    """Machines as processes.

    Args:
        settings: grace and log file.
        environment: of the workers; each gets its name besides.
        command: what a machine runs.
        clock: seconds since the epoch.
    """

    launch_max = 10
    revision = REVISION

    def __init__(
        self,
        settings: LocalFleetSettings,
        environment: Mapping[str, str],
        command: Sequence[str] = (sys.executable, "-m", "services.worker"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._environment = dict(environment)
        self._command = list(command)
        self._clock = clock
        self._machines: dict[str, _Running] = {}
        self._launches: dict[str, tuple[str, ...]] = {}
        # Held open for as long as this process lives, and by nobody else: its end is the end of every machine.
        self._life, self._held = os.pipe()

    def observe(self, known: Sequence[str] = (), between: Callable[[], None] = nothing) -> FleetView:
        """Look at all processes; those that were to stop and do not are killed."""
        del between
        ended = []
        for machine, running in list(self._machines.items()):
            status = running.process.poll()
            if status is not None:
                del self._machines[machine]
                asked = running.stop_by is not None
                ending = Ending.STOPPED if asked else Ending.EXITED
                ended.append(Ended(machine, ending, running.capacity, f"exit status {status}", self._clock()))
            elif running.stop_by is not None and self._clock() > running.stop_by:
                log.warning("machine did not stop in time and is killed", machine=machine)
                running.process.kill()
        gone = {each.id for each in ended} | self._machines.keys()
        # Launched by a predecessor, which they did not outlive.
        ended += [
            Ended(machine, Ending.STOPPED, Capacity.ON_DEMAND, "ended with its autoscaler", self._clock())
            for machine in known
            if machine not in gone
        ]
        machines = [_machine(name, running) for name, running in self._machines.items()]
        return FleetView(machines, ended, frozenset([*gone, *known]))

    def launch(self, launch: Launch) -> Launched:
        """Start processes; a repeated token starts nothing."""
        known = self._launches.get(launch.token)
        if known is not None:
            return Launched(known)
        ids: list[str] = []
        refused = []
        for _ in range(launch.count):
            machine = f"local-{secrets.token_hex(3)}"
            try:
                self._machines[machine] = _Running(self._start(machine), self._clock(), launch.capacity)
            except OSError as error:
                refused.append(f"worker process cannot be started: {error}")
            else:
                ids.append(machine)
        self._launches = {launch.token: tuple(ids)}  # only the last one can be repeated
        return Launched(tuple(ids), tuple(refused))

    def _start(self, machine: str) -> subprocess.Popen[bytes]:
        log_file = self._settings.local_fleet_log
        with contextlib.ExitStack() as files:
            output = None if log_file is None else files.enter_context(log_file.open("ab"))
            return subprocess.Popen(  # noqa: S603  (the command is ours)
                [*self._command, "--life", str(self._life), "--parent", str(os.getpid())],
                env={**self._environment, "WORKER_NAME": machine},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(self._life,),
            )

    def stop(self, machine: str, reason: str) -> None:
        """Tell a process to drain and leave."""
        running = self._machines.get(machine)
        if running is None or running.stop_by is not None:
            return
        running.stop_by = self._clock() + self._settings.worker_grace + STOP_MARGIN_S
        running.process.send_signal(signal.SIGTERM)
        log.info("machine is told to stop", machine=machine, reason=reason)

    def check(self, maximum: int) -> Sequence[str]:
        """Nothing stands in the way of processes."""
        del maximum
        return ()

    def close(self) -> None:
        """Stop all machines and wait for them, at most for their grace."""
        for machine in list(self._machines):
            self.stop(machine, "the autoscaler ends")
        until = self._clock() + self._settings.worker_grace + STOP_MARGIN_S
        while self._machines and self._clock() < until:
            self.observe()
            time.sleep(POLL_S)
        for running in self._machines.values():
            running.process.kill()
            running.process.wait()
        self._machines.clear()
        os.close(self._held)
        os.close(self._life)


def _machine(name: str, running: _Running) -> Machine:
    phase = Phase.RUNNING if running.stop_by is None else Phase.STOPPING
    return Machine(name, phase, running.capacity, REVISION, running.created_at, running.created_at)
