"""Adjacent ports for RTP and RTCP (RFC 3550 §11) of a peer in the lab."""

from __future__ import annotations

import errno
from contextlib import suppress

from proxy.media.udp import Address, MediaNetwork, OnPacket, PortPair

_TRIES = 100


def any_pair(network: MediaNetwork, host: str, on_rtp: OnPacket) -> tuple[Address, PortPair]:
    """Bind a free pair; returns the address for RTP. Raises OSError if there is none.

    RTCP packets are dropped. The port is bound nevertheless: the edge sends reports to it, which another
    program with that port would receive, perhaps as SIP.
    """
    for _ in range(_TRIES):
        found = network.bind(host, 0, _dropped)
        address = host, found.address[1] & ~1
        found.close()
        with suppress(OSError):
            return address, network.bind_pair(*address, on_rtp, _dropped)
    raise OSError(errno.EADDRINUSE, f"no two free ports in a row on {host}")


def _dropped(packet: memoryview, source: Address) -> None: ...
