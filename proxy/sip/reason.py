"""The Reason header: why a request was sent, as a SIP status, Q.850 cause or the like (RFC 3326)."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.sip.errors import ParseError
from proxy.sip.grammar import WHITESPACE, number, shown
from proxy.sip.message import Request, Response
from proxy.sip.uri import Params

KNOWN = frozenset({"sip", "q.850", "preemption", "stir"})
"""The registered protocols, in lower case; reasons of any other protocol are not passed on."""
MAX_REASONS = 3
"""How many reasons of one message are read; the rest are ignored."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason value. Its `text` parameter is dropped: it is free-form, for humans."""

    protocol: str
    """As sent: ``SIP``, ``Q.850`` …"""
    cause: int | None
    """A SIP status or a Q.850 cause; None if the parameter is absent."""

    @classmethod
    def parse(cls, text: str) -> Reason:
        """From `Q.850;cause=16;text="Terminated"`; raises ParseError."""
        protocol, semicolon, rest = text.partition(";")
        protocol = protocol.strip(WHITESPACE)
        if protocol.lower() not in KNOWN:
            raise ParseError(f"unknown Reason protocol: {shown(text)}")
        cause = Params.parse(semicolon + rest).get("cause")
        return cls(protocol, None if cause is None else number(cause, "Reason cause", 999))

    def __str__(self) -> str:
        return self.protocol if self.cause is None else f"{self.protocol};cause={self.cause}"


def reasons(message: Request | Response) -> str | None:
    """The reasons of a message, as `Q.850;cause=16, SIP;cause=200`; None if it has none.

    Malformed values are skipped: nothing depends on them.
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
    """Whether a 603 comes from a network that blocks calls by analytics, not from the called party.

    US carriers send it as ATIS-1000099 ("603+") defines: the Reason text is `v=analytics1;…`.
    """
    if response.status != 603:
        return False
    told = (value for value in response.headers.get_all("Reason") if "v=analytics" in value.lower())
    return response.reason.lower() == "network blocked" or any(told)
