"""What the relay sessions of all calls share: network, ports, clock, disk, RTCP timer. Made once."""

from __future__ import annotations

from collections.abc import Callable

from proxy.media.disk_writer import Disk, at_once
from proxy.media.periodic_timer import PeriodicTimer
from proxy.media.ports import PortPool
from proxy.media.stream import Stream
from proxy.media.udp import MediaNetwork

MediaAddress = tuple[str, str]
"""A local address to bind to, and the public address that leads to it."""


class MediaEngine:
    """The shared dependencies of every `RelaySession`, and our media addresses."""

    __slots__ = (
        "addresses",
        "clock",
        "default_ip_version",
        "disk",
        "ids",
        "make_stream",
        "network",
        "ports",
        "rtcp_timer",
    )

    def __init__(
        self,
        network: MediaNetwork,
        ports: PortPool,
        bind_host: str,
        public_address: str,
        ids: Callable[[int], int],
        clock: Callable[[], float],
        other_address: MediaAddress | None = None,
        rtcp_timer: PeriodicTimer | None = None,
        *,
        disk: Disk = at_once,
        make_stream: Callable[..., Stream] = Stream,
    ) -> None:
        """`public_address` goes into our SDP; `ids(n)` gives n random bits; `clock` is the event loop's time.

        `other_address`: local and public address of the other IP version, if we have one. `rtcp_timer`: the
        one shared by all calls. `disk` writes recordings. `make_stream` takes the arguments of `Stream`.
        """
        self.network, self.ports = network, ports
        self.ids, self.clock = ids, clock
        self.rtcp_timer = PeriodicTimer() if rtcp_timer is None else rtcp_timer
        self.disk, self.make_stream = disk, make_stream
        pairs = (bind_host, public_address), *([other_address] if other_address else [])
        self.addresses: dict[int, MediaAddress] = {}
        for bind, public in pairs:
            self.addresses[_version(public)] = bind, public
        """By IP version."""
        self.default_ip_version = _version(public_address)
        """Default IP version: for an offer to a leg of which nothing else is known."""

    def receives_at(self, address: str) -> bool:
        """Whether our media sockets receive what is sent to this address of ours."""
        return ":" not in address and 4 in self.addresses and self.addresses[4][0] in ("0.0.0.0", address)


def _version(address: str) -> int:
    return 6 if ":" in address else 4
