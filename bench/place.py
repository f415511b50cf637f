"""The environment of a middle box in one measurement: ports, folder, callee."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """What a middle box needs to start. Everything is on 127.0.0.1."""

    folder: Path
    """For its settings, logs and records; removed afterwards."""
    near: int
    """UDP port where it receives calls."""
    far: int
    """The callee's port: UDP, or TLS if `set_srtp_policy`."""
    secure: bool = False
    probe: int | None = None
    """UDP port of a second callee, for calls to the user ``probe``; None if there is none."""
    core: int | None = 0
    """The CPU it is pinned to; None leaves that to the system."""
    calls: int = 2000
    """The number of concurrent calls it must be able to hold."""
    srtp: bool = False
    """Whether callees use SRTP."""

    @property
    def param(self) -> str:
        """The URI parameters behind the callee's address."""
        return ";transport=tls" if self.secure else ""
