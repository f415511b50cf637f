"""Registers running processes, so that the calls of one that died are marked as interrupted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete, insert, select, update

from screening.memory.orphaned_files import CallFolders, disown
from screening.memory.schema import CUT, GOING_ON, calls, processes

log = structlog.get_logger("screendoor")

HEARTBEAT_S = 10.0
"""Heartbeat interval."""
HEARTBEAT_TIMEOUT = timedelta(seconds=45)
"""Heartbeat timeout of processes whose pid cannot be checked: on another machine or in another namespace."""
CUT_REASON = "the process ended before the call did"


def process_scope() -> str:
    """Where a process id is meaningful: boot id of this machine and PID namespace; else the host name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return os.uname().nodename


def pid_exists(pid: int) -> bool:
    """Whether a process with this id exists here."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it exists, but belongs to another user
    return True


class ProcessRegistration:
    """This process's entry among those that share the database; methods run inside transactions."""

    def __init__(
        self,
        process: str,
        wall_clock: Callable[[], datetime],
        *,
        place: str | None = None,
        pid: int | None = None,
        alive: Callable[[int], bool] = pid_exists,
        folders: CallFolders | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`process` is its id in the rows of its calls, `folders` where their files are.

        `clock` is monotonic.
        """
        self._process, self._wall_clock, self._alive = process, wall_clock, alive
        self._folders = folders
        self._place, self._pid = place or process_scope(), pid or os.getpid()
        self._began = wall_clock()
        self._clock = clock
        self._heartbeats: dict[str, tuple[datetime, float | None]] = {}
        """Last heartbeat of each other process, and when, on our clock, it changed; None: seen only once."""

    def heartbeat(self, connection: Connection) -> None:
        """Send a heartbeat, remove dead processes, and mark their calls as interrupted."""
        now = self._wall_clock()
        seen = update(processes).where(processes.c.id == self._process).values(seen=now)
        if not connection.execute(seen).rowcount:
            row = {"id": self._process, "place": self._place, "pid": self._pid, "began": self._began}
            connection.execute(insert(processes).values(**row, seen=now))
            self._reopen_own_calls(connection)
        others = connection.execute(select(processes).where(processes.c.id != self._process)).all()
        self._heartbeats = {each.id: self._heartbeat_of(each.id, each.seen) for each in others}
        dead = [
            each.id
            for each in others
            if self._timed_out(each.id, now)
            or (each.place == self._place and (each.pid == self._pid or not self._alive(each.pid)))
        ]
        if dead:
            connection.execute(delete(processes).where(processes.c.id.in_(dead)))
        self._interrupt_calls(connection, now)

    def _heartbeat_of(self, process: str, seen: datetime) -> tuple[datetime, float | None]:
        before = self._heartbeats.get(process, (seen, None))
        return before if before[0] == seen else (seen, self._clock())

    def _timed_out(self, process: str, now: datetime) -> bool:
        """Whether a process has missed its heartbeats.

        Measured on our monotonic clock once we have seen a heartbeat change, because wall clocks may differ
        between machines or be set.
        """
        seen, at = self._heartbeats[process]
        return (
            seen < now - HEARTBEAT_TIMEOUT
            if at is None
            else self._clock() - at > HEARTBEAT_TIMEOUT.total_seconds()
        )

    def _reopen_own_calls(self, connection: Connection) -> None:
        """Reopen our calls that another process marked as interrupted while our database was unreachable."""
        ours = (calls.c.state == CUT) & (calls.c.process == self._process)
        if not (names := connection.execute(select(calls.c.id).where(ours)).scalars().all()):
            return
        again = {"state": GOING_ON, "result": None, "reason": None, "ended": None}
        connection.execute(update(calls).where(calls.c.id.in_(names)).values(again))
        disown(connection, names)

    def leave(self, connection: Connection) -> None:
        """Remove the registration at shutdown."""
        connection.execute(delete(processes).where(processes.c.id == self._process))
        self._interrupt_calls(connection, self._wall_clock())

    def _interrupt_calls(self, connection: Connection, now: datetime) -> None:
        running = select(processes.c.id)
        left = (calls.c.state == GOING_ON) & calls.c.process.not_in(running)
        if not (names := connection.execute(select(calls.c.id).where(left)).scalars().all()):
            return
        ended = update(calls).where(left).values(state=CUT, result="cut", reason=CUT_REASON, ended=now)
        if cut := connection.execute(ended).rowcount:
            log.warning("calls cut", calls=cut, why=CUT_REASON)
        if self._folders is not None:
            self._folders.adopt(connection, names, now)
