"""UDP transport: one socket per listener, drained whenever it is readable (RFC 3261 §18.1, §18.2)."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import structlog

from proxy.transport import stun
from proxy.transport.flow import Address, NotSent, Receiver, TransportFailed
from proxy.transport.identity import NOBODY
from proxy.transport.lookup import route_source

log = structlog.get_logger("screendoor")

KEEPALIVE = b"\r\n\0"
"""The bytes of keep-alive datagrams; they may also precede a start line (RFC 3261 §7.5)."""
MAX_DRAIN = 64
"""Datagrams read in one go, so that a flood on one socket does not starve the others."""
MAX_FLOWS = 1024
"""How many flows are cached for further datagrams; a trunk has a handful of peers, a flood any number."""
WILDCARDS = ("0.0.0.0", "::")
BUFFER_BYTES = 1024 * 1024
"""Socket buffer size requested for each direction; the kernel may grant less."""

ALLOW_FRAGMENTS = 10, 0
"""`IP_MTU_DISCOVER`, `IP_PMTUDISC_DONT` of Linux: routers may fragment a datagram that is too long for their
next link (PPPoE, a VPN). The default sets Don't Fragment; if a firewall then drops the router's ICMP errors,
a message of 1450 bytes never arrives, however often it is retransmitted.
"""


class UdpListener:
    """One bound socket, used by `add_reader` and `sendto`: cheaper than an asyncio datagram endpoint."""

    def __init__(self, bind: Address, receiver: Receiver) -> None:
        """Bind and start receiving; raises OSError if the address cannot be bound."""
        self.family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
        self.closed = False
        self._receiver = receiver
        self._flows: dict[Address, UdpFlow] = {}
        self._loop = asyncio.get_running_loop()
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self.socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            if self.family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            elif sys.platform == "linux":
                with suppress(OSError):  # a Linux emulation may lack the option
                    self.socket.setsockopt(socket.IPPROTO_IP, *ALLOW_FRAGMENTS)
            self.socket.bind(bind)
        except OSError:
            self.socket.close()
            raise
        host, port = self.socket.getsockname()[:2]
        self.local: Address = (str(host), int(port))
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLIN)
        self._poll = poll.poll
        self._loop.add_reader(self.socket.fileno(), self._drain)

    def flow(self, remote: Address) -> UdpFlow:
        """The flow from this socket to a peer; flows to the same peer compare equal."""
        flow = self._flows.get(remote)
        if flow is None:
            if len(self._flows) >= MAX_FLOWS:
                self._flows.clear()
            flow = self._flows[remote] = UdpFlow(self, remote)
        return flow

    def close(self) -> None:
        """Stop receiving and free the port."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self.socket.fileno())
            self.socket.close()

    def _drain(self) -> None:
        alone = True
        for _ in range(MAX_DRAIN):
            try:
                data, address = self.socket.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error concerns one peer only
                if self.closed:
                    return
                log.debug("datagram not received", why=str(error))
                continue
            if data < b"\x0e":  # true for STUN and keep-alives, false for any message
                if self._answer_stun(data, address[:2]):
                    continue
                data = data.lstrip(KEEPALIVE)
                if not data:
                    continue
            try:  # an IPv6 address has two more fields (flow info, scope), which are dropped
                self._receiver.received(self._flows.get(address) or self.flow(address[:2]), data)
            except Exception:  # one bad message must not stop the rest of the queue
                log.exception("receiver failed", source=f"{address[0]} port {address[1]}")
            if alone and not self._poll(0):
                return  # most datagrams come alone; a poll costs a third of a recvfrom that fails
            alone = False

    def _answer_stun(self, data: bytes, remote: Address) -> bool:
        """Answer a STUN keep-alive of a known peer with its address as seen here; False if it is none."""
        response = stun.answer(data, remote)
        if response is None or not self._receiver.welcomes(flow := self.flow(remote)):
            return False
        with suppress(TransportFailed):
            flow.send(response)
        return True


@dataclass(frozen=True, slots=True)
class UdpFlow:
    """A `Flow` over UDP: a listening socket plus a remote address (RFC 5626 §3)."""

    transport: ClassVar[str] = "udp"
    reliable: ClassVar[bool] = False
    mutual: ClassVar[bool] = False
    received_count: ClassVar[int] = 1
    listener: UdpListener
    remote: Address

    @property
    def local(self) -> Address:
        """The address that the listener is bound to."""
        return self.listener.local

    @property
    def closed(self) -> bool:
        """Whether the listener is closed."""
        return self.listener.closed

    @property
    def peer_name(self) -> str | None:
        """Always None: UDP verifies no names."""
        return None

    @property
    def peer_names(self) -> frozenset[str]:
        """Always empty."""
        return NOBODY

    def when_closed(self, then: Callable[[], None]) -> None:
        """Does nothing: a UDP flow is not a connection."""

    def send(self, data: bytes) -> None:
        """Send one message as one datagram; if the send buffer is full it is dropped, as on the wire."""
        listener, remote = self.listener, self.remote
        if listener.closed:
            raise TransportFailed(f"udp listener {listener.local[0]} port {listener.local[1]} is closed")
        try:
            try:
                listener.socket.sendto(data, remote)
            except ConnectionRefusedError:  # ICMP error of an earlier datagram; this one was not sent
                listener.socket.sendto(data, remote)
        except BlockingIOError:
            log.warning("datagram dropped, the send buffer is full", peer=remote[0])
        except OSError as error:
            raise NotSent(f"cannot send to {remote[0]} port {remote[1]}: {error.strerror}") from error

    def close(self) -> None:
        """Does nothing: the socket belongs to the listener."""

    def fail(self, why: TransportFailed) -> None:
        """Does nothing: the next datagram may arrive."""


def pick_listener(
    listeners: list[UdpListener],
    remote: Address,
    source_of: Callable[[str], str | None] = route_source,
) -> UdpListener | None:
    """The listener to send from: of the peer's address family, and on loopback if and only if the peer is.

    Among several, those bound to the source address of the kernel's route (`source_of`) or to any: a carrier
    outside accepts nothing from an internal address. Of those the first, whose port is in our Contact.
    """
    family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
    fit = [listener for listener in listeners if listener.family == family and not listener.closed]
    near = _loopback(remote)
    fit = [listener for listener in fit if _loopback(listener.local) == near] or fit
    if len(fit) > 1:
        there = (source_of(remote[0]), *WILDCARDS)
        fit = [listener for listener in fit if listener.local[0] in there] or fit
    return fit[0] if fit else None


def _loopback(address: Address) -> bool:
    return address[0].startswith("127.") or address[0] == "::1"
