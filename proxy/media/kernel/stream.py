"""A stream whose packets the kernel sends on, while nobody here needs to see them."""

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
from proxy.media.kernel.forwarder import Forwarder, Hearing, Lane
from proxy.media.negotiation import Agreement
from proxy.media.ports import PortPool
from proxy.media.recorder import WavRecording
from proxy.media.rtcp_timer import Rounds
from proxy.media.stream import Stream
from proxy.media.udp import LARGEST, Address, MediaNetwork, SocketPair

_FIRST_TRY = 5
"""Packets that userspace sees first, so that both sides are latched and there is a line to the other one."""
_TRY_AGAIN = 50
"""Packets until the next try where a stream could not be handed over: a second of speech."""
_GIVE_UP = 5
"""Packets in a row that the kernel left to us: it cannot help this stream for the time being."""
_REST = 250
"""Packets until the next try after that."""
_UNSEEN = 2
"""After so many reports, which are five seconds apart, a packet comes up: so often the firewall of this
machine sees each stream, lets it pass or not, and does not forget it (it keeps UDP in mind for 30 s).
"""
_LONGEST_QUEUE = 500
"""Packets that are read at once at most; a socket holds fewer."""


@lru_cache(maxsize=8)
def _settled(host: str) -> str | None:
    """Where sockets that are bound to this send from; None: each way has an address of its own."""
    return None if ip_address(host).is_unspecified else host


class KernelStream(Stream):
    """A `Stream` that hands its direction of a call to the kernel and takes it back.

        userspace ── so many packets were judged, and nobody needs to see the next ──▶ kernel
            ▲                                                                            │
            └── `take_back`; a packet of the peer's that the kernel left to us ──────────┘

    Userspace packets drive it, so there is no timer: each that comes brings the counters up to date first, is
    judged by `Stream` as ever, and hands over again. Nothing that changes what a packet becomes is done while
    the kernel forwards: whoever wants that (`agreed`, `hear`, `say`, `record`, `close` and others) takes the
    stream back first. Ours is what our peer says; what it hears is the joined stream's.
    """

    __slots__ = (
        "_forwarder",
        "_fruitless",
        "_host",
        "_in_kernel",
        "_lane",
        "_unseen",
        "_untranslated",
        "_untried",
    )

    def __init__(
        self,
        forwarder: Forwarder,
        network: MediaNetwork,
        ports: PortPool,
        host: str,
        ids: Callable[[int], int],
        clock: Callable[[], float],
        rounds: Rounds,
    ) -> None:
        """Take a pair of ports; `clock` is the system's monotonic one. Raises NoPortFree."""
        Stream.__init__(self, network, ports, host, ids, clock, rounds)  # quicker than by `super()`
        self._forwarder = forwarder
        self._host = host
        self._lane: Lane | None = None
        self._in_kernel = False
        self._untried = _FIRST_TRY
        self._fruitless = self._unseen = 0
        self._untranslated: tuple[Address, Address] | None = None

    @property
    def in_kernel(self) -> bool:
        """What our peer says goes to the joined one without us."""
        return self._in_kernel

    def ring(self, on: bool) -> None:
        """Ringback yields to speech, which must be seen here; see `Speaker`."""
        self.ringing = on
        self._have_back_what_it_hears()

    def reserve(self, on: bool) -> None:
        """A clip is heard instead of the joined peer; see `Speaker`."""
        if on is not self.reserved:
            self.reserved = on
            self._have_back_what_it_hears()

    @property
    def said_at(self) -> float | None:
        """When the peer was last sent something, be it by the kernel; see `Speaker`."""
        line, joined = self._line, self.joined
        if line is None:
            return None
        if isinstance(joined, KernelStream):
            joined._catch_up()
        return line.at

    @property
    def fed_at(self) -> float | None:
        """When the joined stream was last heard here, be it by the kernel; see `Speaker`."""
        if isinstance(self.joined, KernelStream):
            self.joined._catch_up()
        return self._fed_at

    def say(self, frame: bytes, key: str, source: object, sequence: int, timestamp: int) -> None:
        """A sound of our own goes out in place of the joined peer's; see `Stream`."""
        self._have_back_what_it_hears()
        super().say(frame, key, source, sequence, timestamp)

    def press(self, key: str, seconds: float) -> None:
        """A key of ours goes out in place of the joined peer's speech; see `Stream`."""
        self._have_back_what_it_hears()
        super().press(key, seconds)

    def record(self, path: Path, *, both: bool = False, disk: Disk = at_once) -> WavRecording:
        """What the peer says is needed here, and with `both` what it hears; see `Stream`."""
        if both:
            self.recall()
        else:
            self.take_back()
        return super().record(path, both=both, disk=disk)

    def counts(self) -> Counts:
        """The counters so far, the kernel's among them."""
        self._catch_up_both()
        return super().counts()

    def quiet_s(self) -> float | None:
        """Seconds since the peer was heard, be it by the kernel."""
        self._catch_up()
        return super().quiet_s()

    def report(self) -> None:
        """Tell the peer what was sent and heard in the kernel, too; see `Stream`."""
        self._catch_up_both()
        super().report()
        if self._in_kernel and self._lane is not None:
            self._unseen += 1
            if self._unseen >= _UNSEEN:
                self._unseen = 0
                self._lane.stop()

    def recall(self) -> None:
        """What our peer says, and what it hears, comes to userspace; see `Stream`."""
        joined = self.joined
        if joined is not None and joined._reception is not None:
            self._have_back_what_it_hears()
        if self._reception is not None:  # else there was nothing to hand over yet
            self.take_back()

    def take_back(self) -> None:
        """What our peer says comes to userspace, for some packets at least."""
        if self._in_kernel:
            self._pause()
            self._in_kernel = False
        self._untried = _FIRST_TRY
        self._fruitless = 0

    def _have_back_what_it_hears(self) -> None:
        joined = self.joined
        if joined is not None and joined._reception is not None and isinstance(joined, KernelStream):
            joined.take_back()

    def _received(self, packet: memoryview, source: Address) -> None:
        if self._in_kernel:
            self._left_to_us(packet, source)
            return
        super()._received(packet, source)
        self._untried -= 1
        if self._untried == 0:
            self._hand_over()

    def _left_to_us(self, packet: memoryview, source: Address) -> None:
        """A packet that the kernel would not judge. A stranger's changes nothing, unless it is the peer's new
        address.
        """
        holder = self._latched
        if source != holder:
            self._catch_up()  # how long the holder has been silent may decide
        else:
            self._fruitless = 0 if self._pause() else self._fruitless + 1
        super()._received(packet, source)
        if source == holder or self._latched != holder:
            self._renew()

    def _latch(self, packet: memoryview, source: Address) -> bool:
        """See `Stream`; what the peer hears goes to where it is now, whoever sends that on."""
        to = self._to
        admitted = super()._latch(packet, source)
        if self._to != to and isinstance(self.joined, KernelStream):
            self.joined._renew()
        return admitted

    def _renew(self) -> None:
        """Hand over anew, as things are now; not what the kernel never takes."""
        if not self._in_kernel:
            return
        self._pause()
        self._in_kernel = False
        if self._fruitless == _GIVE_UP:
            self._fruitless, self._untried = 0, _REST
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        """Have the kernel send on what our peer says, if that is all there is to do with it."""
        self._untried = _TRY_AGAIN
        other = self.joined
        if not isinstance(other, KernelStream) or self._needed or other._sounds_of_our_own:
            return
        self._hear_what_waits()
        flow, line, reception = self._flow(other), other._line, self._reception
        if flow is None or line is None or reception is None or self._translated(flow):
            return
        sequence, timestamp = line.last_taken
        if (reception.highest - sequence) & 0xFFFF:  # the last one was left out of the line: the next will do
            return
        if self._lane is None:
            self._lane = self._forwarder.lane(self.port)
        # A key's timestamp tells of no moment: then the first packet there is compared with nothing.
        at = reception.at if reception.last_timestamp == timestamp else None
        hearing = Hearing(at, reception.jitter, reception.longest_gap_s)
        self._lane.forward(flow, sequence, timestamp, hearing)
        self._in_kernel = True

    def _translated(self, flow: Flow) -> bool:
        """What leaves for there has another address when it is out: that is decided once for its time."""
        if self._untranslated == (flow.out, flow.to):
            return False
        if self._forwarder.translates(flow.out, flow.to):
            return True
        self._untranslated = flow.out, flow.to
        return False

    def _hear_what_waits(self) -> None:
        """Judge all that has come: the kernel takes the next packet alone, and where we are late, as when
        every stream comes back at once, a queue that never ends would keep each of them here.
        """
        pair = self._pair
        if not isinstance(pair, SocketPair):
            return
        with suppress(OSError):  # nothing left
            for _ in range(_LONGEST_QUEUE):
                packet, source = pair.rtp.recvfrom(LARGEST)
                if len(packet) < LARGEST:
                    super()._received(memoryview(bytearray(packet)), source[:2])

    @property
    def _needed(self) -> bool:
        """What our peer says must be seen here: to be deciphered, or written down."""
        return self._seal is not None or (self.recordings is not None and self.recordings.on)

    @property
    def _sounds_of_our_own(self) -> bool:
        """What our peer hears is not what the joined one says, or must be enciphered or written down here."""
        tapped = self.recordings is not None and self.recordings.on_both
        dials = self._keys is not None and self._keys.at_work
        return self.reserved or self.ringing or dials or self._seal is not None or tapped

    def _flow(self, other: KernelStream) -> Flow | None:
        """What becomes of our peer's packets; None while that takes more than new numbers and addresses."""
        agreement, peer, to, line = self.agreement, self._latched, other._to, other._line
        if agreement is None or peer is None or to is None:
            return None
        if line is None or self._source is None or not line.follows(self._source) or self._reception is None:
            return None
        types = self._types(agreement, other, self._reception.rate)
        came = self._forwarder.way(peer[0], _settled(self._host))
        goes = self._forwarder.way(to[0], _settled(other._host))
        if not types or came is None or goes is None:
            return None
        if came.local != goes.local or (":" in peer[0]) != (":" in to[0]):  # one of each is nothing for it
            return None
        if not {came.interface, goes.interface} <= self._forwarder.interfaces:
            return None
        return Flow(
            peer=peer,
            ours=(came.source, self.port),
            out=(goes.source, other.port),
            to=to,
            ssrc=self._reception.ssrc,
            out_ssrc=line.ssrc,
            sequence_step=line.steps[0],
            timestamp_step=line.steps[1],
            types=types,
            rate=self._reception.rate,
            leaves_by=0 if goes.local else goes.interface,
            only_from=came.interface,  # what comes by another one is for the rules of this machine to judge
        )

    def _types(self, agreement: Agreement, other: KernelStream, rate: int) -> dict[int, int]:
        """Payload types that change their number at most; telephone-events are heard here."""
        types = {}
        for pt, key in agreement.receive.items():
            route = other._route_of(key) if key != EVENT_KEY else None
            if route is None or route.table is not None or clock_rate(key) != rate:
                continue
            if not 64 <= pt < 96:  # RTCP (RFC 5761 §4)
                types[pt] = route.pt
        return types

    def _pause(self) -> bool:
        """The kernel stops; whether it had sent on anything."""
        if self._lane is not None:
            self._lane.stop()
        return self._catch_up()

    def _catch_up_both(self) -> None:
        self._catch_up()
        if isinstance(self.joined, KernelStream):
            self.joined._catch_up()

    def _catch_up(self) -> bool:
        """Count what the kernel sent on as if we had; whether it was anything."""
        if not self._in_kernel or self._lane is None or self._reception is None:
            return False
        packets, octets, timestamp, hearing = self._lane.carried()
        if packets == 0 or hearing.at is None:
            return False
        self._fruitless = 0
        self._reception.went_on(packets, timestamp, hearing.at, hearing.jitter, hearing.longest_gap_s)
        other = self.joined
        if isinstance(other, KernelStream) and other._line is not None:
            other._fed_at = hearing.at
            other._line.went_on(packets, octets, timestamp, hearing.at)
        return True
