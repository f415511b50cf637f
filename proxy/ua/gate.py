"""The interface by which the core asks who may talk to it."""

from __future__ import annotations

from typing import Protocol

from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.transport.flow import Flow


class Gate(Protocol):
    """Decides which peers may talk to us outside a dialog."""

    def admits(self, flow: Flow) -> bool: ...
    def bars(self, flow: Flow) -> bool:
        """Whether messages from there are dropped unread; never true for a peer that it admits."""
        ...

    def ignores(self, flow: Flow, data: bytes) -> bool:
        """The same for one message, from a glance at its bytes; counts a stranger's initial requests."""
        ...

    def scans(self, flow: Flow, request: Request) -> bool:
        """Whether the request comes from a SIP scanner; counts it if so."""
        ...

    def refused(self, flow: Flow) -> None:
        """A stranger's request was dropped without a response."""
        ...

    def failed(self, flow: Flow) -> None:
        """A stranger's credentials were wrong."""
        ...

    def proved(self, flow: Flow) -> None:
        """A peer at an unknown address is legitimate: we call it, or it knows a dialog or a password."""
        ...

    def malformed(self, flow: Flow, error: ParseError) -> None:
        """A message could not be parsed."""
        ...
