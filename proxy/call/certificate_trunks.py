"""Trunks identified by their TLS client certificate, whatever their address (RFC 5922 §7.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.transport.flow import Flow

MARK = "tls:"
"""Prefix of a certificate name among the sources of a trunk (setting ``from``)."""


class CertificateTrunks:
    """Certificate names, and the trunk that each stands for."""

    def __init__(self, sources: Mapping[str, Sequence[str]]) -> None:
        """`sources`: the sources of each trunk; only those that begin with MARK are used here."""
        self.names = {
            entry.removeprefix(MARK): trunk
            for trunk, entries in sources.items()
            for entry in entries
            if entry.startswith(MARK)
        }
        """Trunk by certificate name; read-only."""

    def trunk(self, flow: Flow) -> str | None:
        """The trunk whose certificate was presented on this connection; None if there is none."""
        if not self.names:
            return None
        return next((self.names[name] for name in flow.peer_names if name in self.names), None)


def by_address(sources: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The sources of each trunk without MARK: addresses, networks and names to resolve."""
    return {
        trunk: [entry for entry in entries if not entry.startswith(MARK)]
        for trunk, entries in sources.items()
    }
