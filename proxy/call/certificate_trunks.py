"""Trunks that are known by the certificate they show, whatever their address (RFC 5922 §7.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.transport.flow import Flow

MARK = "tls:"
"""Stands before the name, where a trunk's sources are listed."""


class Certified:
    """The names in certificates, and whose they are."""

    def __init__(self, sources: Mapping[str, Sequence[str]]) -> None:
        """`sources`: what each trunk may call from; only those with the mark count here."""
        self.names = {
            entry.removeprefix(MARK): trunk
            for trunk, entries in sources.items()
            for entry in entries
            if entry.startswith(MARK)
        }
        """To be read, not written to."""

    def trunk(self, flow: Flow) -> str | None:
        """The trunk whose certificate was shown on this connection; None if none was."""
        if not self.names:
            return None
        return next((self.names[name] for name in flow.peer_names if name in self.names), None)


def by_address(sources: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The other sources: addresses, networks and names to resolve."""
    return {
        trunk: [entry for entry in entries if not entry.startswith(MARK)]
        for trunk, entries in sources.items()
    }
