"""Where a middle box stands in one measurement: its ports, its folder, whom it calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """What a middle box is told when it is started. Everything is on 127.0.0.1."""

    folder: Path
    """For its settings, logs and records; removed afterwards."""
    near: int
    """UDP port where it takes calls."""
    far: int
    """Port where the callee is: UDP, or TLS if `secure`."""
    secure: bool = False
    probe: int | None = None
    """UDP port of a second callee, for calls to the user ``probe``; None if there is none."""
    core: int | None = 0
    """The CPU it has to itself; None leaves that to the system."""
    calls: int = 2000
    """It must be able to hold so many at once."""
    srtp: bool = False
    """Whether callees speak SRTP."""

    @property
    def param(self) -> str:
        """What stands behind the callee's address in a URI."""
        return ";transport=tls" if self.secure else ""
