"""Two neighbouring ports for a peer of the lab: RTP's and RTCP's (RFC 3550 §11)."""

from __future__ import annotations

import errno
from contextlib import suppress

from proxy.media.udp import Address, MediaNetwork, OnPacket, PortPair

_TRIES = 100


def any_pair(network: MediaNetwork, host: str, on_rtp: OnPacket) -> tuple[Address, PortPair]:
    """Bind a free pair; returns where RTP's port is. Raises OSError if none can be had.

    What comes for RTCP is dropped. Its port is held all the same: the edge sends reports there, and whoever
    else on this machine got the port would hear them, with SIP perhaps.
    """
    for _ in range(_TRIES):
        found = network.bind(host, 0, _dropped)
        address = host, found.address[1] & ~1
        found.close()
        with suppress(OSError):
            return address, network.bind_pair(*address, on_rtp, _dropped)
    raise OSError(errno.EADDRINUSE, f"no two free ports in a row on {host}")


def _dropped(packet: memoryview, source: Address) -> None: ...
