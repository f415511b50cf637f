"""The two sockets of a stream: RTP's on an even port, RTCP's on the next (RFC 3550 §11)."""

from __future__ import annotations

from proxy.media.ports import NoPortFree, PortPool
from proxy.media.udp import MediaNetwork, OnPacket

_BIND_TRIES = 64


class Pair:
    """Bound until closed."""

    __slots__ = ("_ports", "port", "rtcp", "rtp")

    def __init__(
        self, network: MediaNetwork, ports: PortPool, host: str, on_rtp: OnPacket, on_rtcp: OnPacket
    ) -> None:
        """Bind the next pair that another program has not taken. Raises NoPortFree."""
        self._ports = ports
        for _ in range(min(_BIND_TRIES, ports.free)):
            self.port, rested = ports.lend()
            try:
                self.rtp = network.bind(host, self.port, on_rtp, rested=rested)
            except OSError:
                ports.give_back(self.port)
                continue
            try:
                self.rtcp = network.bind(host, self.port + 1, on_rtcp, rested=rested)
                return
            except OSError:
                self.rtp.close()
                ports.give_back(self.port)
        taken = f"{ports.lent} pairs in use, {ports.free} taken by other programs"
        raise NoPortFree(f"no media port free: {taken}")

    def close(self) -> None:
        """Both go; the pair is free for another. To be called once."""
        self.rtp.close()
        self.rtcp.close()
        self._ports.give_back(self.port)
