"""The trace of a call: its messages in the order of their coming and going."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from proxy.transport.flow import Address


@dataclass(frozen=True, slots=True)
class Seen:
    """One message as it went over the wire, but for its secrets."""

    at: float
    """Seconds since 1970, UTC."""
    leg: str
    """As the record of the call has it: `caller`, `agent`, `phone`, `phone 2` …"""
    sent: bool
    """By us; else it was received."""
    transport: str
    """`udp`, `tcp` or `tls`."""
    local: Address
    remote: Address
    octets: bytes

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, where octets that are no UTF-8 stand as ``"\\udcff"``."""
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
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From what `as_dict` told."""
        (local, local_port), (remote, remote_port) = told["local"], told["remote"]
        octets = told["message"].encode("utf-8", "surrogateescape")
        ends = (local, local_port), (remote, remote_port)
        return cls(told["at"], told["leg"], told["sent"], told["transport"], *ends, octets)
