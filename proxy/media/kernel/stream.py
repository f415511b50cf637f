"""A stream whose packets the kernel forwards while nothing in userspace needs them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from proxy.media.disk_writer import Disk, at_once
from proxy.media.formats import EVENT_KEY, clock_rate
from proxy.media.interface import Counts
from proxy.media.kernel.flow import Flow
from proxy.media.kernel.forwarder import Forwarder, PortEntry, ReceptionState
from proxy.media.negotiation import Agreement
from proxy.media.periodic_timer import PeriodicTimer
from proxy.media.ports import PortPool
from proxy.media.recorder import WavRecording
from proxy.media.stream import Stream
from proxy.media.udp import MAX_PACKET_BYTES, Address, MediaNetwork, SocketPair

_FIRST_TRY_PACKETS = 5
"""Packets handled in userspace first, until both sides are latched and the outgoing stream has begun."""
_RETRY_PACKETS = 50
"""Packets until the next try after a stream could not be handed over: a second of speech."""
_GIVE_UP = 5
"""So many packets in a row that the kernel left to us: it cannot help with this stream for now."""
_REST_PACKETS = 250
"""Packets until the next try after giving up."""
_MAX_UNSEEN_REPORTS = 2
"""After so many reports, five seconds apart, one packet passes through userspace. So the host's firewall
keeps seeing each stream: it may block it, and its connection tracking does not forget it (UDP expires after
30 s).
"""
_LONGEST_QUEUE = 500
"""Most packets read from the queue at once; a socket holds fewer."""


@lru_cache(maxsize=8)
def _fixed_source(host: str) -> str | None:
    """The fixed source address of sockets bound to `host`; None for a wildcard, where it depends on the
    route.
    """
    return None if ip_address(host).is_unspecified else host


class KernelStream(Stream):
    """A `Stream` that hands its direction of a call to the kernel, and takes it back.

        userspace ── enough packets were handled, and nobody needs the next one ──▶ kernel
            ▲                                                                         │
            └── `take_back`; a packet of the peer's that the kernel left to us ───────┘

    There is no timer: each packet that comes to userspace first updates the counters, is then handled by
    `Stream` as always, and triggers the next hand-over. Nothing that changes how packets are rewritten
    happens while the kernel forwards: the methods for that (`agreed`, `hear`, `send_frame`, `record`, `close`
    and others) take the stream back first. This stream covers what our peer says; what it hears belongs to
    the joined one.
    """

    __slots__ = (
        "_checked_for_nat",
        "_entry",
        "_forwarder",
        "_host",
        "_in_kernel",
        "_reports_in_kernel",
        "_unforwarded",
        "_until_try",
    )

    def __init__(
        self,
        forwarder: Forwarder,
        network: MediaNetwork,
        ports: PortPool,
        host: str,
        ids: Callable[[int], int],
        clock: Callable[[], float],
        rtcp_timer: PeriodicTimer,
    ) -> None:
        """Bind a free port pair; `clock` must be the system's monotonic clock. Raises NoPortFree."""
        Stream.__init__(self, network, ports, host, ids, clock, rtcp_timer)  # faster than `super()`
        self._forwarder = forwarder
        self._host = host
        self._entry: PortEntry | None = None
        self._in_kernel = False
        self._until_try = _FIRST_TRY_PACKETS
        self._unforwarded = self._reports_in_kernel = 0
        self._checked_for_nat: tuple[Address, Address] | None = None

    @property
    def in_kernel(self) -> bool:
        """The kernel forwards what our peer says to the joined one."""
        return self._in_kernel

    def ring(self, on: bool) -> None:
        """During ringback, userspace must check the joined peer for speech; see `Sender`."""
        self.ringing = on
        self._take_back_joined()

    def reserve(self, on: bool) -> None:
        """A clip replaces the joined peer's audio; see `Sender`."""
        if on is not self.reserved:
            self.reserved = on
            self._take_back_joined()

    @property
    def last_sent_at(self) -> float | None:
        """When the peer was last sent audio, also by the kernel; see `Sender`."""
        timeline, joined = self._timeline, self.joined
        if timeline is None:
            return None
        if isinstance(joined, KernelStream):
            joined._catch_up()
        return timeline.at

    @property
    def last_relayed_at(self) -> float | None:
        """When audio of the joined stream was last relayed, also by the kernel; see `Sender`."""
        if isinstance(self.joined, KernelStream):
            self.joined._catch_up()
        return self._last_relayed_at

    def send_frame(self, frame: bytes, key: str, source: object, sequence: int, timestamp: int) -> None:
        """Send audio of our own in place of the joined peer's; see `Stream`."""
        self._take_back_joined()
        super().send_frame(frame, key, source, sequence, timestamp)

    def send_key(self, key: str, seconds: float) -> None:
        """Send a key press in place of the joined peer's audio; see `Stream`."""
        self._take_back_joined()
        super().send_key(key, seconds)

    def record(self, path: Path, *, both: bool = False, disk: Disk = at_once) -> WavRecording:
        """Recording needs what the peer says, and with `both` what it hears; see `Stream`."""
        if both:
            self.recall()
        else:
            self.take_back()
        return super().record(path, both=both, disk=disk)

    def counts(self) -> Counts:
        """The counters so far, including the kernel's."""
        self._catch_up_both()
        return super().counts()

    def quiet_s(self) -> float | None:
        """Seconds since the peer was heard, also by the kernel."""
        self._catch_up()
        return super().quiet_s()

    def report(self) -> None:
        """Send an RTCP report that includes the kernel's packets; see `Stream`."""
        self._catch_up_both()
        super().report()
        if self._in_kernel and self._entry is not None:
            self._reports_in_kernel += 1
            if self._reports_in_kernel >= _MAX_UNSEEN_REPORTS:
                self._reports_in_kernel = 0
                self._entry.stop()

    def recall(self) -> None:
        """Take both directions back to userspace; see `Stream`."""
        joined = self.joined
        if joined is not None and joined._reception is not None:
            self._take_back_joined()
        if self._reception is not None:  # else nothing was handed over yet
            self.take_back()

    def take_back(self) -> None:
        """Take what our peer says back to userspace, for at least some packets."""
        if self._in_kernel:
            self._pause()
            self._in_kernel = False
        self._until_try = _FIRST_TRY_PACKETS
        self._unforwarded = 0

    def _take_back_joined(self) -> None:
        joined = self.joined
        if joined is not None and joined._reception is not None and isinstance(joined, KernelStream):
            joined.take_back()

    def _received(self, packet: memoryview, source: Address) -> None:
        if self._in_kernel:
            self._received_unforwarded(packet, source)
            return
        super()._received(packet, source)
        self._until_try -= 1
        if self._until_try == 0:
            self._hand_over()

    def _received_unforwarded(self, packet: memoryview, source: Address) -> None:
        """Handle a packet that the kernel did not forward. A stranger's changes nothing, unless it turns out
        to be the peer at a new address.
        """
        holder = self._latched
        if source != holder:
            self._catch_up()  # latching may depend on how long the holder has been silent
        else:
            self._unforwarded = 0 if self._pause() else self._unforwarded + 1
        super()._received(packet, source)
        if source == holder or self._latched != holder:
            self._hand_over_again()

    def _latch(self, packet: memoryview, source: Address) -> bool:
        """See `Stream`. If the peer's address changes, the joined stream must be forwarded there."""
        to = self._destination
        admitted = super()._latch(packet, source)
        if self._destination != to and isinstance(self.joined, KernelStream):
            self.joined._hand_over_again()
        return admitted

    def _hand_over_again(self) -> None:
        """Hand over again under the new circumstances, unless the kernel forwards none of the packets."""
        if not self._in_kernel:
            return
        self._pause()
        self._in_kernel = False
        if self._unforwarded == _GIVE_UP:
            self._unforwarded, self._until_try = 0, _REST_PACKETS
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let the kernel forward what our peer says, if nothing else is to be done with it."""
        self._until_try = _RETRY_PACKETS
        other = self.joined
        if not isinstance(other, KernelStream) or self._needs_userspace or other._sends_own_audio:
            return
        self._drain_queue()
        flow, timeline, reception = self._flow(other), other._timeline, self._reception
        if flow is None or timeline is None or reception is None or self._behind_nat(flow):
            return
        sequence, timestamp = timeline.last_placed
        if (reception.highest - sequence) & 0xFFFF:  # the last packet was not forwarded: wait for the next
            return
        if self._entry is None:
            self._entry = self._forwarder.entry(self.port)
        # A key's timestamp is not a time of sending: then the kernel's first packet is compared with nothing.
        at = reception.at if reception.last_timestamp == timestamp else None
        hearing = ReceptionState(at, reception.jitter, reception.longest_gap_s)
        self._entry.forward(flow, sequence, timestamp, hearing)
        self._in_kernel = True

    def _behind_nat(self, flow: Flow) -> bool:
        """Whether NAT rewrites what we send there; a negative answer is remembered for this flow."""
        if self._checked_for_nat == (flow.out, flow.to):
            return False
        if self._forwarder.translates(flow.out, flow.to):
            return True
        self._checked_for_nat = flow.out, flow.to
        return False

    def _drain_queue(self) -> None:
        """Handle all queued packets first. The kernel takes only the very next packet; if we are late, as
        when all streams come back at once, a queue that never empties would keep each of them here.
        """
        pair = self._pair
        if not isinstance(pair, SocketPair):
            return
        with suppress(OSError):  # the queue is empty
            for _ in range(_LONGEST_QUEUE):
                packet, source = pair.rtp.recvfrom(MAX_PACKET_BYTES)
                if len(packet) < MAX_PACKET_BYTES:
                    super()._received(memoryview(bytearray(packet)), source[:2])

    @property
    def _needs_userspace(self) -> bool:
        """What our peer says must pass through userspace, for decryption or recording."""
        return self._srtp is not None or (self.recordings is not None and self.recordings.active)

    @property
    def _sends_own_audio(self) -> bool:
        """What our peer hears is not just the joined stream, or must be encrypted or recorded here."""
        recorded = self.recordings is not None and self.recordings.active_both
        dialling = self._dtmf is not None and self._dtmf.busy_or_queued
        return self.reserved or self.ringing or dialling or self._srtp is not None or recorded

    def _flow(self, other: KernelStream) -> Flow | None:
        """The forwarding rule for our peer's packets; None while they need more than rewritten headers."""
        agreement, peer, to, timeline = self.agreement, self._latched, other._destination, other._timeline
        if agreement is None or peer is None or to is None:
            return None
        if (
            timeline is None
            or self._source is None
            or not timeline.follows(self._source)
            or self._reception is None
        ):
            return None
        types = self._types(agreement, other, self._reception.rate)
        inbound = self._forwarder.route(peer[0], _fixed_source(self._host))
        outbound = self._forwarder.route(to[0], _fixed_source(other._host))
        if not types or inbound is None or outbound is None:
            return None
        # The program cannot mix these.
        if inbound.local != outbound.local or (":" in peer[0]) != (":" in to[0]):
            return None
        if not {inbound.interface, outbound.interface} <= self._forwarder.interfaces:
            return None
        return Flow(
            peer=peer,
            ours=(inbound.source, self.port),
            out=(outbound.source, other.port),
            to=to,
            ssrc=self._reception.ssrc,
            out_ssrc=timeline.ssrc,
            sequence_step=timeline.offsets[0],
            timestamp_step=timeline.offsets[1],
            types=types,
            rate=self._reception.rate,
            leaves_by=0 if outbound.local else outbound.interface,
            only_from=inbound.interface,  # others are left to the rules of this host
        )

    def _types(self, agreement: Agreement, other: KernelStream, rate: int) -> dict[int, int]:
        """Payload types that need no transcoding; telephone-events are handled in userspace."""
        types = {}
        for pt, key in agreement.receive.items():
            route = other._route_of(key) if key != EVENT_KEY else None
            if route is None or route.table is not None or clock_rate(key) != rate:
                continue
            if not 64 <= pt < 96:  # RTCP (RFC 5761 §4)
                types[pt] = route.pt
        return types

    def _pause(self) -> bool:
        """Stop the kernel; whether it had forwarded anything."""
        if self._entry is not None:
            self._entry.stop()
        return self._catch_up()

    def _catch_up_both(self) -> None:
        self._catch_up()
        if isinstance(self.joined, KernelStream):
            self.joined._catch_up()

    def _catch_up(self) -> bool:
        """Update the counters with what the kernel forwarded; whether that was anything."""
        if not self._in_kernel or self._entry is None or self._reception is None:
            return False
        packets, octets, timestamp, hearing = self._entry.forwarded()
        if packets == 0 or hearing.at is None:
            return False
        self._unforwarded = 0
        self._reception.add_forwarded(packets, timestamp, hearing.at, hearing.jitter, hearing.longest_gap_s)
        other = self.joined
        if isinstance(other, KernelStream) and other._timeline is not None:
            other._last_relayed_at = hearing.at
            other._timeline.add_forwarded(packets, octets, timestamp, hearing.at)
        return True
