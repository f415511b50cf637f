"""Finds our address in a private network shared with a peer.

Few NAT routers support hairpinning: a peer inside cannot reach us at our public address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

from proxy.transport.lookup import route_source

ROUTES = Path("/proc/net/route")
PRIVATE = tuple(IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918."""


def is_private(host: str) -> bool:
    """Whether the host is a private IPv4 address (RFC 1918)."""
    if not host.startswith(("10.", "172.", "192.168.")):
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return isinstance(address, IPv4Address) and any(address in each for each in PRIVATE)


def local_address_near(
    peer: str, routes: Path = ROUTES, source_of: Callable[[str], str | None] = route_source
) -> str | None:
    """Our address in the private network of the peer, if no router is in between; else None.

    Reads the routing table of Linux; None on other systems.
    """
    if not is_private(peer):
        return None
    try:
        known = [*_routes(routes.read_text(encoding="ascii"))]
    except (OSError, ValueError):
        return None
    leading = [each for each in known if IPv4Address(peer) in each[0]]
    if not leading or not max(leading, key=lambda each: each[0].prefixlen)[1]:
        return None
    ours = source_of(peer)
    return ours if ours is not None and ours != peer and is_private(ours) else None


def _routes(table: str) -> Iterator[tuple[IPv4Network, bool]]:
    """Each network, and whether it is directly connected. Numbers in the table are in host byte order."""
    for line in table.splitlines()[1:]:
        _, destination, gateway, _, _, _, _, mask, *_ = line.split()
        where = IPv4Address(bytes.fromhex(destination)[::-1])
        ones = bytes.fromhex(mask)
        yield IPv4Network((where, int.from_bytes(ones).bit_count())), int(gateway, 16) == 0
