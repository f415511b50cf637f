"""Loop detection (RFC 3261 §16.3), and recognition of emergency URNs."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.sip.message import Request
from proxy.sip.values import via_sender

SECURE_PORT, PORT = 5061, 5060


def is_loop(request: Request, host: str, ports: Mapping[str, int]) -> bool:
    """Whether we sent this request: `host` and one of `ports`, by transport, are in a Via or the Contact.

    A proxy that routes our INVITE back to us leaves our Via in it (RFC 3261 §16.3); many a carrier removes
    the Via but leaves the Contact.
    """
    for via in request.headers.split("Via"):
        if host in via:
            transport, sent_by, port = via_sender(via)
            if sent_by == host and _is_ours(transport.lower(), port, ports):
                return True
    contact = request.contact
    if contact is None or contact.uri.host != host:
        return False
    return _is_ours(contact.uri.transport or "udp", contact.uri.port, ports)


def is_emergency(request: Request) -> bool:
    """Whether the target is an emergency service URN (RFC 5031 §4.2), the only URN that is understood."""
    return request.uri.lower().startswith("urn:service:sos")


def _is_ours(transport: str, port: int | None, ports: Mapping[str, int]) -> bool:
    return ports.get(transport) == (port or (SECURE_PORT if transport == "tls" else PORT))
