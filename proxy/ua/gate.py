"""The seam between the user agent core and whoever decides who may talk to it."""

from __future__ import annotations

from typing import Protocol

from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.transport.flow import Flow


class Gate(Protocol):
    """Who may talk to us outside a dialog."""

    def admits(self, flow: Flow) -> bool: ...
    def bars(self, flow: Flow) -> bool:
        """Whether what comes from there goes unread; never so for one whom it admits."""
        ...

    def ignores(self, flow: Flow, data: bytes) -> bool:
        """The same of one message, by a glance at it; a stranger's that begins something is counted here."""
        ...

    def scans(self, flow: Flow, request: Request) -> bool:
        """Whether it is the request of a program that looks for open doors; counted here if so."""
        ...

    def refused(self, flow: Flow) -> None:
        """A stranger was turned away in silence."""
        ...

    def failed(self, flow: Flow) -> None:
        """A stranger's credentials were wrong."""
        ...

    def proved(self, flow: Flow) -> None:
        """A peer, though at no address that is admitted: we call it, or it knows a dialog or a password."""
        ...

    def malformed(self, flow: Flow, error: ParseError) -> None:
        """A message could not be read."""
        ...
