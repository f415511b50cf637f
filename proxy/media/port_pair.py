"""Bind the port pair of a stream: an even port for RTP, the next for RTCP (RFC 3550 §11)."""

from __future__ import annotations

from proxy.media.ports import NoPortFree, PortPool
from proxy.media.udp import MediaNetwork, OnPacket, PortPair

_BIND_TRIES = 64


def bind_next(
    network: MediaNetwork, ports: PortPool, host: str, on_rtp: OnPacket, on_rtcp: OnPacket
) -> tuple[int, PortPair]:
    """Bind the next pair that no other program uses; returns its RTP port and the pair. Give the port back to
    `ports` once the pair is closed. Raises NoPortFree.
    """
    tries = 0
    while True:
        port, rested = ports.lend()
        try:
            return port, network.bind_pair(host, port, on_rtp, on_rtcp, rested=rested)
        except OSError:
            ports.pass_over(port)
            tries += 1
            if tries >= min(_BIND_TRIES, ports.free):
                break
    taken = f"{ports.lent} pairs in use, {tries} taken by other programs"
    raise NoPortFree(f"no media port free: {taken}")
