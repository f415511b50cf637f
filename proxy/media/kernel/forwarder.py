"""The forwarding table shared with the kernel, and the program on the interfaces. One per process."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

import structlog

from proxy.media.kernel import bpf, flow, netlink
from proxy.media.kernel.flow import Flow
from proxy.media.kernel.host import Host
from proxy.media.kernel.netlink import IpRoute
from proxy.media.kernel.program import forwarder

log = structlog.get_logger("screendoor")

_COUNTERS = struct.Struct("=QQQQQ")
_HEARING = struct.Struct("=QQQ")
_LAST = struct.Struct("=Q")
_LIVE = tuple(struct.pack("=I", live) for live in range(3))
_MAX_ROUTES = 4096


class ReceptionState(NamedTuple):
    """Reception statistics of a peer, handed to the kernel to continue, and back."""

    at: float | None
    """When the last packet came, in seconds of the monotonic clock; None: do not compare with it."""
    jitter: float
    """In clock ticks (RFC 3550 A.8)."""
    longest_gap_s: float


class ForwardedCount(NamedTuple):
    """What the kernel has forwarded for one stream since the last query, as consecutive packets."""

    packets: int
    octets: int
    """Octets of payload."""
    timestamp: int
    """Timestamp of the peer's last packet."""
    hearing: ReceptionState


class Forwarder:
    """Has the kernel forward packets for a range of ports.

    Nothing outlives the process: program, map and links go away with their last descriptor.
    """

    def __init__(self, low: int, high: int, binds: Iterable[str]) -> None:
        """`binds`: the local addresses where media is received; a wildcard means every interface.

        Raises KernelRefused.
        """
        self._low = low + low % 2
        records = max(1, (high - self._low + 1) // 2)
        self._binds = tuple(binds)
        self._open: list[int] = []
        self._links: dict[int, int] = {}
        self._live: set[PortEntry] = set()
        self._changes: list[socket.socket] = []
        try:
            self._netlink = netlink.Netlink()
            self._host = Host(self._netlink)
        except OSError as error:
            raise bpf.KernelRefused(f"no netlink: {error.strerror}") from error
        self.obstacle: str | None = None
        """Why nothing is forwarded at present, in words for people; None: forwarding works."""
        try:
            table = self._keep_open(bpf.create_array("screendoor", flow.RECORD_BYTES, records))
            self.memory = bpf.map_memory(table, flow.RECORD_BYTES, records)
            self.program = self._keep_open(bpf.load("screendoor", forwarder(table, self._low)))
            self._attach()
            self.obstacle = self._host.obstacle()
        except (OSError, bpf.KernelRefused) as error:
            self.close()
            if isinstance(error, OSError):
                raise bpf.KernelRefused(f"the kernel refuses: {error.strerror}") from error
            raise
        self.route = lru_cache(_MAX_ROUTES)(self._look_up)
        self.translates = self._host.translates

    def watch(self) -> None:
        """Watch for changes of routes and interfaces. On each one, all streams come back to userspace, to be
        handed over again by their new routes, and the program is attached to new interfaces. Needs a running
        event loop.
        """
        self._changes = [each for each in (netlink.changes(), self._host.changes()) if each is not None]
        for each in self._changes:
            asyncio.get_running_loop().add_reader(each, self._changed, each)

    @property
    def interfaces(self) -> frozenset[int]:
        """Indices of the interfaces that the program is attached to."""
        return frozenset(self._links)

    @property
    def forwarding(self) -> int:
        """Number of streams the kernel forwards now; a call has two."""
        return len(self._live)

    def entry(self, port: int) -> PortEntry:
        """The kernel's record for this RTP port of ours; it forwards nothing yet."""
        return PortEntry(self, (port - self._low) // 2 * flow.RECORD_BYTES)

    def close(self) -> None:
        """Stop all forwarding; calling it again does nothing."""
        for changed in self._changes:
            asyncio.get_running_loop().remove_reader(changed)
            changed.close()
        self._changes.clear()
        for descriptor in (*self._links.values(), *self._open):
            os.close(descriptor)
        self._links.clear()
        self._open.clear()
        self._netlink.close()
        self._host.close()

    def set_live(self, entry: PortEntry, live: bool) -> None:
        """An entry has started or stopped forwarding."""
        (self._live.add if live else self._live.discard)(entry)

    def _look_up(self, to: str, source: str | None) -> IpRoute | None:
        if self.obstacle is not None:
            return None
        try:
            return self._netlink.route(to, source)
        except OSError:
            return None

    def _changed(self, changed: socket.socket) -> None:
        with suppress(OSError):
            while changed.recv(65536):
                pass
        self.route.cache_clear()
        for entry in tuple(self._live):
            entry.stop()
        with suppress(OSError, bpf.KernelRefused):  # if it fails, packets come to userspace
            self._attach()
        self._check_obstacle()

    def _check_obstacle(self) -> None:
        before = self.obstacle
        try:
            self.obstacle = self._host.obstacle()
        except OSError:
            return
        if self.obstacle != before:
            if self.obstacle is None:
                log.info("forwarding audio in the kernel again")
            else:
                log.info("relaying audio here, not in the kernel", why=self.obstacle)

    def _keep_open(self, descriptor: int) -> int:
        self._open.append(descriptor)
        return descriptor

    def _attach(self) -> None:
        there, wanted = self._netlink.interfaces(), set[int]()
        for bind in self._binds:
            any_address = ip_address(bind).is_unspecified
            wanted |= set(there) if any_address else there.keys() & self._netlink.interfaces_of(bind)
        if not wanted:
            raise bpf.KernelRefused("no interface with Ethernet frames has the address of the media sockets")
        for gone in self._links.keys() - wanted:
            os.close(self._links.pop(gone))
        for interface in sorted(wanted - self._links.keys()):
            with suppress(bpf.NoInterface):  # gone since the query: containers come and go
                self._links[interface] = bpf.attach(self.program, interface)


class PortEntry:
    """One RTP port of ours in the forwarding table."""

    __slots__ = ("_asked", "_at", "_forwarder", "_live")

    def __init__(self, forwarder: Forwarder, at: int) -> None:
        self._forwarder = forwarder
        self._at = at
        self._live = 0
        self._asked = (0, 0)
        forwarder.memory[at : at + flow.RECORD_BYTES] = bytes(flow.RECORD_BYTES)

    def forward(self, wanted: Flow, sequence: int, timestamp: int, hearing: ReceptionState) -> None:
        """Forward what matches the flow, from the next packet on; the numbers are those of the peer's last
        packet. Call `forwarded` before the next `forward`.
        """
        self._live = 1 if self._live != 1 else 2  # the other slot: the kernel may be reading this one
        heard_ns = 0 if hearing.at is None else round(hearing.at * 1e9)
        counted = round(hearing.jitter * 16), round(hearing.longest_gap_s * 1e9)
        _HEARING.pack_into(self._forwarder.memory, self._at + flow.LAST_NS, heard_ns, *counted)
        memory, at = self._forwarder.memory, self._at + flow.FLOWS + (self._live - 1) * flow.FLOW_BYTES
        memory[at : at + flow.FLOW_BYTES] = wanted.packed(sequence, timestamp)
        self._say(self._live)
        self._forwarder.set_live(self, True)

    def stop(self) -> None:
        """Leave everything to userspace, from the next packet on."""
        self._say(0)
        self._forwarder.set_live(self, False)

    def forwarded(self) -> ForwardedCount:
        """What was forwarded since the last call, or since `forward`."""
        memory, at = self._forwarder.memory, self._at
        packets, octets, at_ns, jitter, longest_ns = _COUNTERS.unpack_from(memory, at + flow.PACKETS)
        place = at + flow.FLOWS + (max(self._live, 1) - 1) * flow.FLOW_BYTES + flow.LAST
        (last,) = _LAST.unpack_from(memory, place)
        before, self._asked = self._asked, (packets, octets)
        hearing = ReceptionState(at_ns / 1e9, jitter / 16, longest_ns / 1e9)
        return ForwardedCount(packets - before[0], octets - before[1], last & 0xFFFFFFFF, hearing)

    def _say(self, live: int) -> None:
        at = self._at + flow.LIVE
        self._forwarder.memory[at : at + 4] = _LIVE[live]
