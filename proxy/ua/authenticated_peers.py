"""Peers identified by what they prove (a password, a registration) instead of by their address."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from proxy.sip.message import Request
from proxy.transport.flow import Flow

if TYPE_CHECKING:
    from proxy.ua.gate import Gate
    from proxy.ua.transactions import ServerTransaction


class Meeting(enum.Enum):
    """What a door did with a stranger's request."""

    IGNORED = enum.auto()
    """Not for this door, or too frequent: no response is sent."""
    SEEN_TO = enum.auto()
    """Handled: challenged, or deliberately left without a response."""
    LET_IN = enum.auto()
    """It has credentials: it gets a transaction, which the door then takes."""


class Door(Protocol):
    """One way for a peer to prove its identity (RFC 3261 §22)."""

    def knows(self, flow: Flow) -> bool:
        """Whether the peer of this flow has proved its identity and may send requests."""
        ...

    def trunk(self, flow: Flow) -> str | None:
        """The trunk that the peer has proved to be, if it is one."""
        ...

    def meets(self, request: Request, flow: Flow, size_bytes: int) -> Meeting:
        """Handle a stranger's request outside any dialog; `size_bytes` is its size on the wire."""
        ...

    def unproven(self, request: Request, flow: Flow) -> bool:
        """Whether this INVITE of a known peer has yet to bring credentials, and so is not a call yet."""
        ...

    def takes(self, transaction: ServerTransaction) -> bool:
        """Handle a request outside any dialog whose sender was let in; False if it is not for this door."""
        ...

    def lost(self, flow: Flow) -> None:
        """A connection is gone."""
        ...


class Doors:
    """All doors of a core; most have none."""

    def __init__(self) -> None:
        self._doors: list[Door] = []

    def open(self, door: Door) -> None:
        self._doors.append(door)

    def know(self, flow: Flow) -> bool:
        return bool(self._doors) and any(door.knows(flow) for door in self._doors)

    def trunk(self, flow: Flow) -> str | None:
        """The trunk that the peer of this flow has proved to be; None for everybody else."""
        return next((trunk for door in self._doors if (trunk := door.trunk(flow)) is not None), None)

    def admit(self, request: Request, flow: Flow, size_bytes: int, gate: Gate) -> bool:
        """Whether a stranger's request gets a transaction; the gate is told if no door handles it."""
        for door in self._doors:
            if (meeting := door.meets(request, flow, size_bytes)) is not Meeting.IGNORED:
                return meeting is Meeting.LET_IN
        gate.refused(flow)
        return False

    def unproven(self, request: Request, flow: Flow) -> bool:
        return bool(self._doors) and any(door.unproven(request, flow) for door in self._doors)

    def take(self, transaction: ServerTransaction) -> bool:
        return bool(self._doors) and any(door.takes(transaction) for door in self._doors)

    def lost(self, flow: Flow) -> None:
        for door in self._doors:
            door.lost(flow)
