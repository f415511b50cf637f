"""Whether the audio address in a peer's SDP is one of our own."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from proxy.media.ports import PortPool
from proxy.media.udp import Address

_WILDCARDS = ("0.0.0.0", "::")


def is_ours(named: Address | None, addresses: Iterable[tuple[str, str]], ports: PortPool) -> bool:
    """Whether packets sent there reach a port of the pool, lent or not. `addresses`: pairs of a local address
    and the public address that leads there.
    """
    if named is None or named[1] not in ports.range:
        return False
    known = [address for pair in addresses for address in pair]
    anywhere = any(address in _WILDCARDS for address in known)
    return named[0] in known or (anywhere and ip_address(named[0]).is_loopback)
