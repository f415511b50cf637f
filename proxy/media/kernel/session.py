"""`kernel` mode: a relay whose plain streams the kernel forwards; all others it relays as ever."""

from __future__ import annotations

from collections.abc import Callable

from proxy.media.disk import Disk, at_once
from proxy.media.kernel.forwarder import Forwarder
from proxy.media.kernel.stream import KernelStream
from proxy.media.ports import PortPool
from proxy.media.rounds import Rounds
from proxy.media.session import Home, RelaySession
from proxy.media.udp import MediaNetwork


class KernelSession(RelaySession):
    """A `MediaSession` that relays in the kernel what needs nobody to look at it."""

    __slots__ = ("_forwarder",)

    def __init__(
        self,
        forwarder: Forwarder,
        network: MediaNetwork,
        ports: PortPool,
        bind_host: str,
        public_address: str,
        ids: Callable[[int], int],
        clock: Callable[[], float],
        other_home: Home | None = None,
        rounds: Rounds | None = None,
        *,
        disk: Disk = at_once,
    ) -> None:
        """As for `RelaySession`; `network` must be real sockets and `clock` the system's monotonic one."""
        super().__init__(network, ports, bind_host, public_address, ids, clock, other_home, rounds, disk=disk)
        self._forwarder = forwarder

    def _new_stream(self, bind: str) -> KernelStream:
        told = (self._network, self._ports, bind, self._ids, self._clock, self._rounds)
        return KernelStream(self._forwarder, *told)
