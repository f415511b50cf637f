"""Peers identified by what they prove (a password, a registration) instead of by their address."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from proxy.sip.message import Request
from proxy.transport.flow import Flow

if TYPE_CHECKING:
    from proxy.ua.gate import Gate
    from proxy.ua.transactions import ServerTransaction


class AuthResult(enum.Enum):
    """What an authenticator did with a stranger's request."""

    IGNORED = enum.auto()
    """Not for this authenticator, or too frequent: no response is sent."""
    HANDLED = enum.auto()
    """Handled: challenged, or deliberately left without a response."""
    ADMITTED = enum.auto()
    """It has credentials: it gets a transaction, which the authenticator then handles."""


class Authenticator(Protocol):
    """One way for a peer to prove its identity (RFC 3261 §22)."""

    def knows(self, flow: Flow) -> bool:
        """Whether the peer of this flow has proved its identity and may send requests."""
        ...

    def trunk(self, flow: Flow) -> str | None:
        """The trunk that the peer has proved to be, if it is one."""
        ...

    def authenticate(self, request: Request, flow: Flow, size_bytes: int) -> AuthResult:
        """Handle a stranger's request outside any dialog; `size_bytes` is its size on the wire."""
        ...

    def lacks_credentials(self, request: Request, flow: Flow) -> bool:
        """Whether this INVITE of a known peer has yet to bring credentials, and so is not a call yet."""
        ...

    def handle(self, transaction: ServerTransaction) -> bool:
        """Handle a request outside any dialog from an admitted sender; False if it is not for us."""
        ...

    def lost(self, flow: Flow) -> None:
        """A connection is gone."""
        ...


class AuthenticatedPeers:
    """All authenticators of a core; most cores have none."""

    def __init__(self) -> None:
        self._authenticators: list[Authenticator] = []

    def add(self, authenticator: Authenticator) -> None:
        self._authenticators.append(authenticator)

    def knows(self, flow: Flow) -> bool:
        return bool(self._authenticators) and any(each.knows(flow) for each in self._authenticators)

    def trunk(self, flow: Flow) -> str | None:
        """The trunk that the peer of this flow has proved to be; None for everybody else."""
        trunks = (each.trunk(flow) for each in self._authenticators)
        return next((trunk for trunk in trunks if trunk is not None), None)

    def admit(self, request: Request, flow: Flow, size_bytes: int, gate: Gate) -> bool:
        """Whether a stranger's request gets a transaction; the gate is told if nobody handles it."""
        for each in self._authenticators:
            if (result := each.authenticate(request, flow, size_bytes)) is not AuthResult.IGNORED:
                return result is AuthResult.ADMITTED
        gate.refused(flow)
        return False

    def lacks_credentials(self, request: Request, flow: Flow) -> bool:
        ways = self._authenticators
        return bool(ways) and any(each.lacks_credentials(request, flow) for each in ways)

    def handle(self, transaction: ServerTransaction) -> bool:
        return bool(self._authenticators) and any(each.handle(transaction) for each in self._authenticators)

    def lost(self, flow: Flow) -> None:
        for each in self._authenticators:
            each.lost(flow)
