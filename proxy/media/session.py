"""`relay` mode: every leg's RTP comes to a port of ours and leaves from there (media-relay of RFC 7092)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Never

from proxy.media.dtmf import USUAL_S, Presses
from proxy.media.engine import House
from proxy.media.formats import G711, PCMU
from proxy.media.interface import Counts, MediaRefused, Recording
from proxy.media.local_sdp import NO_WISH, Said, Terms, Wish, say
from proxy.media.negotiation import Agreement, Answer, formats_to_offer, read_answer, read_offer
from proxy.media.own_address import is_ours
from proxy.media.playback import USUAL_SOUNDS, SoundedLeg, SoundedSession
from proxy.media.quality import UNHEARD, Quality
from proxy.media.recorder import WavRecording
from proxy.media.sdes import SrtpPolicy
from proxy.media.sdp import Direction
from proxy.media.srtp_negotiation import NO_PROTECTION, Protection, answering, offered
from proxy.media.stream import Stream
from proxy.media.udp import Address

_UNSAID = SrtpPolicy.ACCEPT
_NOWHERE: Mapping[str, Never] = {}
_NOTHING = say((), Direction.SENDRECV)


class _Leg(SoundedLeg):
    """One leg's stream and what we last told its peer about it."""

    __slots__ = ("_version", "address", "ip_version", "origin_id", "said")

    def __init__(self, stream: Stream, address: str, ip_version: int, origin_id: int) -> None:
        self.stream, self._player = stream, None
        self.address = address
        """Where the peer is told to send: ours, public."""
        self.ip_version = ip_version
        self.origin_id = origin_id
        self._version = 0  # of our last SDP; 0: there was none
        self.said = _NOTHING
        """What our last SDP says, its formats under our numbers."""

    @property
    def spoken(self) -> str | None:
        """Key of the agreed voice; None before there is one."""
        agreement = self.stream.agreement
        return None if agreement is None else agreement.voice.key

    @property
    def described(self) -> bool:
        """The peer has been told something."""
        return self._version > 0

    def describe(self, said: Said, *, anew: bool) -> bytes:
        """Our SDP; the version grows by one if it says something new, or `anew` (RFC 3264 §8)."""
        if anew or self._version == 0 or said != self.said:
            self._version += 1
            self.said = said
        return said.written((self.origin_id, self._version), (self.address, self.stream.port))

    def again(self) -> bytes:
        """What was described last, to the byte."""
        return self.said.written((self.origin_id, self._version), (self.address, self.stream.port))


class RelaySession(SoundedSession[_Leg]):
    """A `MediaSession` that relays. It starts no task; timers run only while packets flow."""

    __slots__ = (
        "_aloud",
        "_early",
        "_house",
        "_last",
        "_near",
        "_offers",
        "_plain",
        "_policies",
    )

    def __init__(self, house: House) -> None:
        self._house = house
        self._legs = {}
        self._sounds, self._held = USUAL_SOUNDS, False
        self._offers: Mapping[str, int] = _NOWHERE
        """IP version of our offers to a leg, where it is not the usual one."""
        self._near: Mapping[str, tuple[str, str]] = _NOWHERE
        """Hosts of the peers that share a private network with us, and our addresses there."""
        self._policies: Mapping[str, SrtpPolicy] = _NOWHERE
        """Of the legs that are secured otherwise than usual."""
        self._plain = False
        """Whether only G.711 is agreed on, where the peer speaks it: all else cannot be recorded."""
        self._early: tuple[str, str] | None = None
        """Who may be heard before he answers, and by whom."""
        self._aloud: tuple[str, str] | None = None
        """Who is heard before anybody has answered, and by whom."""
        self._last: dict[str, tuple[Counts, Quality]] | None = None
        """Of legs that are gone; None while none is."""

    def over(self, leg: str, ip_version: int, near: tuple[str, str] | None = None) -> None:
        """Offers to that leg name an address of this IP version; see `MediaSession`."""
        house = self._house
        if near is not None or self._near:
            self._move(leg, near if near is None or house.hears_at(near[1]) else None)
        if ip_version in house.homes and (ip_version != house.usual or self._offers):
            self._offers = {**self._offers, leg: ip_version}

    def secure(self, leg: str, policy: SrtpPolicy) -> None:
        """How that leg's audio is protected; see `MediaSession`."""
        if policy is not self._policy(leg):
            self._policies = {**self._policies, leg: policy}

    def concede(self, leg: str) -> bool:
        """Offer plain RTP from now on, where policy allows it; see `MediaSession`."""
        ours = self._legs.get(leg)
        if self._policy(leg) is not SrtpPolicy.OFFER or ours is None or ours.spoken is not None:
            return False
        self.secure(leg, SrtpPolicy.ACCEPT)
        return True

    def secured(self, leg: str) -> str | None:
        """The crypto suite in force; see `MediaSession`."""
        ours = self._legs.get(leg)
        agreement = None if ours is None else ours.stream.agreement
        return None if agreement is None or agreement.crypto is None else agreement.crypto.suite.name

    def offer(self, leg: str) -> bytes:
        """Our offer, first or again; see `MediaSession`."""
        ours = self._open(leg, self._offers.get(leg, self._house.usual))
        other = self._other(leg)
        before, said = ours.stream.agreement, ours.said
        anchor, wish = (None, NO_WISH) if other is None else (other.voice.key, other.wish)
        protection = offered(before, said.protection, self._policy(leg), self._house.ids)
        if said is _NOTHING and protection is NO_PROTECTION:
            return ours.describe(_first_offer(anchor, wish), anew=True)
        formats = formats_to_offer(said.formats, anchor)
        terms = Terms.between(None if before is None else before.ptime, wish, mux=True)
        return ours.describe(say(formats, Direction.SENDRECV, said.layout, protection, terms), anew=True)

    def again(self, leg: str) -> bytes:
        """Our last SDP once more; see `MediaSession`."""
        ours = self._legs.get(leg)
        return self.offer(leg) if ours is None or not ours.described else ours.again()

    def answered(self, leg: str, sdp: bytes) -> None:
        """The peer's answer to our offer; see `MediaSession`."""
        self._aloud = None
        ours = self._legs.get(leg)
        if ours is None:
            raise MediaRefused("an answer without an offer")
        said, other = ours.said, self._other(leg)
        agreement = read_answer(
            sdp,
            said.formats,
            said.layout,
            ip_version=ours.ip_version,
            anchor=None if other is None else other.voice.key,
            told=said.protection,
            srtp=self._policies.get(leg, _UNSAID),
        )
        self._elsewhere(agreement)
        ours.stream.agreed(agreement)
        if self._held or not agreement.hears:
            self._heed_hold(agreement)

    def pass_early(self, leg: str, to: str) -> None:
        """What it plays before it answers is for that one."""
        self._early = leg, to

    def early(self, leg: str, sdp: bytes) -> None:
        """What a leg plays before it answers; see `MediaSession`."""
        if self._early is None or self._early[0] != leg:
            return
        to, self._early = self._early[1], None  # of several places where it rings, the first is heard
        with suppress(MediaRefused):
            self.answered(leg, sdp)
            self.join(to, leg)
            self.ringback(to, True, until_heard=True)
            self._aloud = leg, to

    def accept(self, leg: str, sdp: bytes) -> bytes:
        """The peer's offer, first or again; see `MediaSession`."""
        known, other = self._legs.get(leg), self._other(leg)
        house = self._house
        spoken, possible = None, None if len(house.homes) > 1 else house.usual
        if known is not None and (spoken := known.spoken) is not None:
            possible = known.ip_version
        answer = self._read_offer(leg, sdp, possible, spoken, other)
        agreement, said = answer.agreement, answer.said
        self._elsewhere(agreement)
        ours = self._open(leg, agreement.ip_version, agreement.remote)
        if agreement.crypto is not None:
            agreement = answering(agreement, ours.stream.agreement, house.ids)
            said = said.under(Protection.of(agreement))
        ours.stream.agreed(agreement)
        if self._held or not agreement.hears:
            self._heed_hold(agreement)
        return ours.describe(said, anew=False)

    def join(self, a: str, b: str) -> None:
        """a and b hear each other, and nobody else. If one is gone already, the other hears nobody."""
        one, other = self._legs.get(a), self._legs.get(b)
        if one is not None and other is not None and one.stream.joined is other.stream:
            return
        for leg in (one, other):
            if leg is not None and leg.stream.joined is not None:
                self._part(leg.stream)
        if one is not None and other is not None:
            one.stream.hear(other.stream)
            other.stream.hear(one.stream)
            if self._held:
                self._heed_hold()
            for each in (one, other):
                if each.stream.said_at is not None:
                    each.player.cover()

    def part(self, leg: str) -> None:
        """The leg and whoever it was joined to hear nobody."""
        stream = self._stream(leg)
        if stream is not None:
            self._part(stream)

    async def digit(self, leg: str) -> str:
        """The next key that the leg has pressed; see `MediaSession`."""
        stream = self._stream(leg)
        return await (Presses() if stream is None else stream.presses).next()

    def pressed(self, leg: str, digit: str, seconds: float = USUAL_S) -> None:
        """A key told by signalling; see `MediaSession`."""
        stream = self._stream(leg)
        if stream is not None and stream.told(digit) and stream.joined is not None:
            stream.joined.press(digit, seconds)

    def record(self, leg: str, path: Path) -> Recording:
        """Record what the leg says; of a leg that is gone, silence of no length. See `MediaSession`."""
        stream = self._stream(leg)
        if stream is None:
            return WavRecording(path, lambda recording: None, disk=self._house.disk)
        return _check_recorded(stream).record(path, disk=self._house.disk)

    def record_both(self, caller: str, path: Path) -> Recording:
        """Record in stereo what the leg says and what it hears; see `MediaSession`."""
        stream = _check_recorded(self._stream(caller))
        return stream.record(path, both=True, disk=self._house.disk)

    def plain(self) -> None:
        """Agree on G.711 wherever the peer speaks it; see `MediaSession`."""
        self._plain = True

    def release(self, leg: str) -> None:
        """The leg is gone: nobody hears it, its ports go back."""
        ours = self._legs.pop(leg, None)
        if ours is None:
            return
        stream = ours.stream
        if stream.joined is not None:
            self._part(stream)
        if self._aloud is not None and self._aloud[0] == leg:
            self.ringback(self._aloud[1], True)  # others may ring on, and nothing else is heard
            self._aloud = None
        ours.close()
        if stream.touched or self._last:
            self._last = {**(self._last or {}), leg: (stream.counts(), stream.quality())}

    def counts(self, leg: str) -> Counts:
        """The leg's counters; zeros if it never was."""
        stream = self._stream(leg)
        if stream is not None:
            return stream.counts()
        return self._last[leg][0] if self._last and leg in self._last else Counts()

    def quality(self, leg: str) -> Quality:
        """How well the leg was heard; see `MediaSession`."""
        ours = self._legs.get(leg)
        if ours is not None:
            return ours.stream.quality()
        return self._last[leg][1] if self._last and leg in self._last else UNHEARD

    def quiet_s(self, leg: str) -> float | None:
        """How long the leg has been silent; see `MediaSession`."""
        stream = self._stream(leg)
        return None if stream is None else stream.quiet_s()

    def address(self, leg: str) -> Address | None:
        """Our public RTP address towards a leg; None while it has no port."""
        ours = self._legs.get(leg)
        return None if ours is None else (ours.address, ours.stream.port)

    def close(self) -> None:
        """Release every leg."""
        for leg in tuple(self._legs):
            self.release(leg)

    def _part(self, stream: Stream) -> None:
        if stream.joined is not None:
            stream.joined.hear(None)
            stream.hear(None)
            if self._held:
                self._heed_hold()

    def _stream(self, leg: str) -> Stream | None:
        ours = self._legs.get(leg)
        return None if ours is None else ours.stream

    def _policy(self, leg: str) -> SrtpPolicy:
        return self._policies.get(leg, _UNSAID)

    def _open(self, leg: str, ip_version: int, named: Address | None = None) -> _Leg:
        """The leg's stream; one of the other IP version gives way to a new one, unless it is in use.

        `named`: where its peer wants audio, if that is known.
        """
        ours = self._legs.get(leg)
        if ours is not None:
            if ours.ip_version == ip_version or ours.spoken is not None:
                return ours
            self.release(leg)
        house = self._house
        bind, public = house.homes[ip_version]
        if ip_version == 4 and (near := self._near.get(leg)) and (named is None or named[0] == near[0]):
            public = near[1]
        stream = house.make_stream(house.network, house.ports, bind, house.ids, house.clock, house.rounds)
        ours = self._legs[leg] = _Leg(stream, public, ip_version, house.ids(31))
        return ours

    def _move(self, leg: str, near: tuple[str, str] | None) -> None:
        """From now on that leg is near, or elsewhere; the next offer says so, until one is answered."""
        others = {name: each for name, each in self._near.items() if name != leg}
        self._near = others if near is None else {**others, leg: near}
        ours = self._legs.get(leg)
        if ours is not None and ours.spoken is None and ours.ip_version == 4:
            ours.address = self._house.homes[4][1] if near is None else near[1]

    def _homes(self) -> list[tuple[str, str]]:
        return [*self._house.homes.values(), *((ours, ours) for _, ours in self._near.values())]

    def _read_offer(
        self, leg: str, sdp: bytes, ip_version: int | None, spoken: str | None, other: Agreement | None
    ) -> Answer:
        policy = self._policies.get(leg, _UNSAID)
        if other is not None:
            anchor, wish = other.voice.key, other.wish
            return read_offer(
                sdp, ip_version=ip_version, spoken=spoken, anchor=anchor, srtp=policy, wish=wish
            )
        if self._plain:
            with suppress(MediaRefused):
                return read_offer(sdp, ip_version=ip_version, spoken=spoken, anchor=PCMU.key, srtp=policy)
        return read_offer(sdp, ip_version=ip_version, spoken=spoken, anchor=None, srtp=policy)

    def _elsewhere(self, agreement: Agreement) -> None:
        """What we send to ourselves would go round without end, or into another call. Raises MediaRefused."""
        named, house = agreement.remote, self._house
        if named and named[1] in house.ports.range and is_ours(named, self._homes(), house.ports):
            raise MediaRefused("the audio address is one of ours")

    def _other(self, leg: str) -> Agreement | None:
        """What is agreed with the leg this one will be joined with: the first other that has agreed."""
        for name, other in self._legs.items():
            if name != leg and other.stream.agreement is not None:
                return other.stream.agreement
        return None


def _check_recorded(stream: Stream | None) -> Stream:
    """The stream of a leg whose audio can be recorded. Raises MediaRefused."""
    spoken = stream and stream.agreement and stream.agreement.voice.key
    if stream is None or spoken not in G711:
        raise MediaRefused(f"{spoken or 'no audio'} cannot be recorded, only G.711")
    return stream


@lru_cache(maxsize=256)
def _first_offer(anchor: str | None, wish: Wish) -> Said:
    """What a peer is offered of whom nothing is known, where nothing protects it."""
    return say(formats_to_offer((), anchor), Direction.SENDRECV, terms=Terms.between(None, wish, mux=True))
