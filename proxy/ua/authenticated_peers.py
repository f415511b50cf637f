"""Doors for peers who are known by what they prove, not by their address."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from proxy.sip.message import Request
from proxy.transport.flow import Flow

if TYPE_CHECKING:
    from proxy.ua.gate import Gate
    from proxy.ua.transactions import ServerTransaction


class Meeting(enum.Enum):
    """What became of a stranger's request at a door."""

    IGNORED = enum.auto()
    """It was not for this door, or came too often: its sender hears nothing."""
    SEEN_TO = enum.auto()
    """Its sender was asked for credentials, or gets no answer on purpose."""
    LET_IN = enum.auto()
    """It brings credentials: it gets a transaction, and the door takes it."""


class Door(Protocol):
    """Lets in who can prove to be one of ours (RFC 3261 §22)."""

    def knows(self, flow: Flow) -> bool:
        """Whether the peer at the other end has proved it, and may send requests of its own."""
        ...

    def trunk(self, flow: Flow) -> str | None:
        """The trunk at the other end, if that is what the peer has proved to be."""
        ...

    def meets(self, request: Request, flow: Flow, size_bytes: int) -> Meeting:
        """A stranger's request outside any dialog; `size_bytes` is what it took on the wire."""
        ...

    def unproven(self, request: Request, flow: Flow) -> bool:
        """Whether this INVITE of a peer that is known brings no proof yet, so that it is no call yet."""
        ...

    def takes(self, transaction: ServerTransaction) -> bool:
        """Whether the door sees to this request outside any dialog, the sender of which was let in."""
        ...

    def lost(self, flow: Flow) -> None:
        """A connection is gone."""
        ...


class Doors:
    """All doors of the house, as the core asks them; most houses have none."""

    def __init__(self) -> None:
        self._doors: list[Door] = []

    def open(self, door: Door) -> None:
        self._doors.append(door)

    def know(self, flow: Flow) -> bool:
        return bool(self._doors) and any(door.knows(flow) for door in self._doors)

    def trunk(self, flow: Flow) -> str | None:
        """The trunk that calls from where no trunk's address is; None for everybody else."""
        return next((trunk for door in self._doors if (trunk := door.trunk(flow)) is not None), None)

    def admit(self, request: Request, flow: Flow, size_bytes: int, gate: Gate) -> bool:
        """Whether a stranger's request gets a transaction; if no door sees to it, the gate hears of it."""
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
