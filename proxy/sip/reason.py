"""Reason: why a request was sent, in the words of SIP, Q.850 or another protocol (RFC 3326)."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.sip.errors import ParseError
from proxy.sip.grammar import WHITESPACE, number, shown
from proxy.sip.message import Request, Response
from proxy.sip.uri import Params

KNOWN = frozenset({"sip", "q.850", "preemption", "stir"})
"""The registered protocols; what else stands there is a stranger's word, and is not passed on."""
MAX_REASONS = 3
"""Reasons of one message that we look at."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, without its text: that is for people, and may say anything."""

    protocol: str
    """As sent: ``SIP``, ``Q.850`` …"""
    cause: int | None
    """A SIP status, or a Q.850 cause; None where none is told."""

    @classmethod
    def parse(cls, text: str) -> Reason:
        """From `Q.850;cause=16;text="Terminated"`; raises ParseError."""
        protocol, semicolon, rest = text.partition(";")
        protocol = protocol.strip(WHITESPACE)
        if protocol.lower() not in KNOWN:
            raise ParseError(f"no Reason that we know: {shown(text)}")
        cause = Params.parse(semicolon + rest).get("cause")
        return cls(protocol, None if cause is None else number(cause, "Reason cause", 999))

    def __str__(self) -> str:
        return self.protocol if self.cause is None else f"{self.protocol};cause={self.cause}"


def reasons(message: Request | Response) -> str | None:
    """The reasons that a message gives, as `Q.850;cause=16, SIP;cause=200`; None if it gives none.

    What cannot be read is passed over: nothing depends on it.
    """
    if "reason" not in message.headers.first:
        return None
    found: list[str] = []
    for value in message.headers.split("Reason")[:MAX_REASONS]:
        try:
            found.append(str(Reason.parse(value)))
        except ParseError:
            continue
    return ", ".join(found) or None


def blocked_by_network(response: Response) -> bool:
    """Whether a 603 is the word of a network that blocks calls by statistics, and not of whoever was called.

    ATIS-1000099 ("603+"), as carriers of the USA send it: its Reason has a text of `v=analytics1;…`.
    """
    if response.status != 603:
        return False
    told = (value for value in response.headers.get_all("Reason") if "v=analytics" in value.lower())
    return response.reason.lower() == "network blocked" or any(told)
