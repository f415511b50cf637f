"""The trace of a call: its SIP messages in order of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from proxy.transport.flow import Address


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """One message as it went over the wire, with its secrets masked."""

    at: float
    """Unix time."""
    leg: str
    """The name of its leg in the call's record: `caller`, `agent`, `phone`, `phone 2` …"""
    sent: bool
    """Whether we sent it; else we received it."""
    transport: str
    """`udp`, `tcp` or `tls`."""
    local: Address
    remote: Address
    octets: bytes

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; octets that are not UTF-8 become lone surrogates such as ``"\\udcff"``."""
        return {
            "at": self.at,
            "leg": self.leg,
            "sent": self.sent,
            "transport": self.transport,
            "local": list(self.local),
            "remote": list(self.remote),
            "message": self.octets.decode("utf-8", "surrogateescape"),
        }

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        (local, local_port), (remote, remote_port) = fields["local"], fields["remote"]
        octets = fields["message"].encode("utf-8", "surrogateescape")
        ends = (local, local_port), (remote, remote_port)
        return cls(fields["at"], fields["leg"], fields["sent"], fields["transport"], *ends, octets)
