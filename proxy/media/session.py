"""Relay mode: each leg sends RTP to a port of ours and receives from it (media-relay, RFC 7092 §3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Never

from proxy.media.dtmf import DEFAULT_PRESS_S, KeyQueue
from proxy.media.engine import MediaEngine
from proxy.media.formats import G711, PCMU
from proxy.media.interface import Counts, MediaRefused, Recording
from proxy.media.local_sdp import NO_PACKET_TIMES, LocalSdp, PacketTimes, Terms, compose
from proxy.media.negotiation import Agreement, Answer, formats_to_offer, read_answer, read_offer
from proxy.media.own_address import is_ours
from proxy.media.playback import DEFAULT_SOUNDS, PlaybackLeg, PlaybackSession
from proxy.media.quality import NO_AUDIO, Quality
from proxy.media.recorder import WavRecording
from proxy.media.sdes import SrtpPolicy
from proxy.media.sdp import Direction
from proxy.media.srtp_negotiation import NO_PROTECTION, Protection, protection_to_offer, with_our_key
from proxy.media.stream import Stream
from proxy.media.udp import Address

_DEFAULT_POLICY = SrtpPolicy.ACCEPT
_EMPTY: Mapping[str, Never] = {}
_NO_SDP = compose((), Direction.SENDRECV)


class _Leg(PlaybackLeg):
    """One leg's stream, and the SDP we last sent its peer."""

    __slots__ = ("_version", "address", "ip_version", "local_sdp", "origin_id")

    def __init__(self, stream: Stream, address: str, ip_version: int, origin_id: int) -> None:
        self.stream, self._player = stream, None
        self.address = address
        """The public address of ours that our SDP names."""
        self.ip_version = ip_version
        self.origin_id = origin_id
        self._version = 0  # of our last SDP; 0: none was sent
        self.local_sdp = _NO_SDP
        """Content of our last SDP, with the payload types we assigned."""

    @property
    def voice_key(self) -> str | None:
        """Key of the negotiated voice format; None before the first agreement."""
        agreement = self.stream.agreement
        return None if agreement is None else agreement.voice.key

    @property
    def described(self) -> bool:
        """We have sent the peer at least one SDP."""
        return self._version > 0

    def describe(self, local_sdp: LocalSdp, *, anew: bool) -> bytes:
        """Our SDP; `o=` version + 1 if the content has changed, or if `anew` (RFC 3264 §8)."""
        if anew or self._version == 0 or local_sdp != self.local_sdp:
            self._version += 1
            self.local_sdp = local_sdp
        return local_sdp.encode((self.origin_id, self._version), (self.address, self.stream.port))

    def repeat_sdp(self) -> bytes:
        """Our last SDP, byte for byte."""
        return self.local_sdp.encode((self.origin_id, self._version), (self.address, self.stream.port))


class RelaySession(PlaybackSession[_Leg]):
    """The `MediaSession` of relay mode. It starts no task; its timers run only while packets flow."""

    __slots__ = (
        "_early",
        "_early_heard",
        "_engine",
        "_g711_only",
        "_near",
        "_offers",
        "_policies",
        "_released",
    )

    def __init__(self, engine: MediaEngine) -> None:
        self._engine = engine
        self._legs = {}
        self._sounds, self._held = DEFAULT_SOUNDS, False
        self._offers: Mapping[str, int] = _EMPTY
        """IP version to offer a leg, where it differs from the default."""
        self._near: Mapping[str, tuple[str, str]] = _EMPTY
        """By leg: the peer's host in a private network we share with it, and our address there."""
        self._policies: Mapping[str, SrtpPolicy] = _EMPTY
        """SRTP policy of each leg that does not use the default."""
        self._g711_only = False
        """Negotiate G.711 only, where the peer supports it: nothing else can be recorded."""
        self._early: tuple[str, str] | None = None
        """The leg whose early media may be heard, and the leg that hears it."""
        self._early_heard: tuple[str, str] | None = None
        """The leg whose early media is heard now, and the leg that hears it."""
        self._released: dict[str, tuple[Counts, Quality]] | None = None
        """Final counters of released legs; None while there are none."""

    def use_ip_version(self, leg: str, ip_version: int, near: tuple[str, str] | None = None) -> None:
        """Offer that leg an address of this IP version; see `MediaSession`."""
        engine = self._engine
        if near is not None or self._near:
            self._set_near(leg, near if near is None or engine.receives_at(near[1]) else None)
        if ip_version in engine.addresses and (ip_version != engine.default_ip_version or self._offers):
            self._offers = {**self._offers, leg: ip_version}

    def set_srtp_policy(self, leg: str, policy: SrtpPolicy) -> None:
        """Set the leg's SRTP policy; see `MediaSession`."""
        if policy is not self._policy(leg):
            self._policies = {**self._policies, leg: policy}

    def fall_back(self, leg: str) -> bool:
        """Fall back to offering plain RTP, where the policy allows it; see `MediaSession`."""
        ours = self._legs.get(leg)
        if self._policy(leg) is not SrtpPolicy.OFFER or ours is None or ours.voice_key is not None:
            return False
        self.set_srtp_policy(leg, SrtpPolicy.ACCEPT)
        return True

    def srtp_suite(self, leg: str) -> str | None:
        """Name of the SRTP crypto-suite in force; see `MediaSession`."""
        ours = self._legs.get(leg)
        agreement = None if ours is None else ours.stream.agreement
        return None if agreement is None or agreement.crypto is None else agreement.crypto.suite.name

    def offer(self, leg: str) -> bytes:
        """Our first or next offer; see `MediaSession`."""
        ours = self._open(leg, self._offers.get(leg, self._engine.default_ip_version))
        other = self._other(leg)
        before, local_sdp = ours.stream.agreement, ours.local_sdp
        anchor, packet_times = (
            (None, NO_PACKET_TIMES) if other is None else (other.voice.key, other.packet_times)
        )
        protection = protection_to_offer(before, local_sdp.protection, self._policy(leg), self._engine.ids)
        if local_sdp is _NO_SDP and protection is NO_PROTECTION:
            return ours.describe(_first_offer(anchor, packet_times), anew=True)
        formats = formats_to_offer(local_sdp.formats, anchor)
        terms = Terms.between(None if before is None else before.ptime, packet_times, mux=True)
        return ours.describe(
            compose(formats, Direction.SENDRECV, local_sdp.layout, protection, terms), anew=True
        )

    def repeat_sdp(self, leg: str) -> bytes:
        """Our last SDP again; see `MediaSession`."""
        ours = self._legs.get(leg)
        return self.offer(leg) if ours is None or not ours.described else ours.repeat_sdp()

    def answered(self, leg: str, sdp: bytes) -> None:
        """Take the peer's answer to our offer; see `MediaSession`."""
        self._early_heard = None
        ours = self._legs.get(leg)
        if ours is None:
            raise MediaRefused("an answer without an offer")
        local_sdp, other = ours.local_sdp, self._other(leg)
        agreement = read_answer(
            sdp,
            local_sdp.formats,
            local_sdp.layout,
            ip_version=ours.ip_version,
            anchor=None if other is None else other.voice.key,
            offered_protection=local_sdp.protection,
            srtp=self._policies.get(leg, _DEFAULT_POLICY),
        )
        self._refuse_own_address(agreement)
        ours.stream.agreed(agreement)
        if self._held or not agreement.hears:
            self._update_hold(agreement)

    def pass_early_media(self, leg: str, to: str) -> None:
        """Let `to` hear that leg's early media; see `MediaSession`."""
        self._early = leg, to

    def take_early_media(self, leg: str, sdp: bytes) -> None:
        """Take the SDP of a leg's early media; see `MediaSession`."""
        if self._early is None or self._early[0] != leg:
            return
        to, self._early = self._early[1], None  # when several phones ring, the first one is heard
        with suppress(MediaRefused):
            self.answered(leg, sdp)
            self.join(to, leg)
            self.ringback(to, True, until_heard=True)
            self._early_heard = leg, to

    def accept(self, leg: str, sdp: bytes) -> bytes:
        """Answer the peer's first or next offer; see `MediaSession`."""
        known, other = self._legs.get(leg), self._other(leg)
        engine = self._engine
        voice_key, possible = None, None if len(engine.addresses) > 1 else engine.default_ip_version
        if known is not None and (voice_key := known.voice_key) is not None:
            possible = known.ip_version
        answer = self._read_offer(leg, sdp, possible, voice_key, other)
        agreement, local_sdp = answer.agreement, answer.local_sdp
        self._refuse_own_address(agreement)
        ours = self._open(leg, agreement.ip_version, agreement.remote)
        if agreement.crypto is not None:
            agreement = with_our_key(agreement, ours.stream.agreement, engine.ids)
            local_sdp = local_sdp.with_protection(Protection.of(agreement))
        ours.stream.agreed(agreement)
        if self._held or not agreement.hears:
            self._update_hold(agreement)
        return ours.describe(local_sdp, anew=False)

    def join(self, a: str, b: str) -> None:
        """Connect a and b to each other only. If one has been released, the other hears nobody."""
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
                self._update_hold()
            for each in (one, other):
                if each.stream.last_sent_at is not None:
                    each.player.fill_gap()

    def part(self, leg: str) -> None:
        """Disconnect the leg and the one it is joined to."""
        stream = self._stream(leg)
        if stream is not None:
            self._part(stream)

    async def digit(self, leg: str) -> str:
        """The next key pressed on the leg; see `MediaSession`."""
        stream = self._stream(leg)
        return await (KeyQueue() if stream is None else stream.pressed_keys).next()

    def key_pressed(self, leg: str, digit: str, seconds: float = DEFAULT_PRESS_S) -> None:
        """A key press reported by signalling; see `MediaSession`."""
        stream = self._stream(leg)
        if stream is not None and stream.key_signalled(digit) and stream.joined is not None:
            stream.joined.send_key(digit, seconds)

    def record(self, leg: str, path: Path) -> Recording:
        """Record what the peer sends; for a released leg, an empty file. See `MediaSession`."""
        stream = self._stream(leg)
        if stream is None:
            return WavRecording(path, lambda recording: None, disk=self._engine.disk)
        return _check_recorded(stream).record(path, disk=self._engine.disk)

    def record_both(self, caller: str, path: Path) -> Recording:
        """Record in stereo what the peer sends and what it is sent; see `MediaSession`."""
        stream = _check_recorded(self._stream(caller))
        return stream.record(path, both=True, disk=self._engine.disk)

    def prefer_g711(self) -> None:
        """Prefer G.711 from now on; see `MediaSession`."""
        self._g711_only = True

    def release(self, leg: str) -> None:
        """Disconnect the leg and return its ports."""
        ours = self._legs.pop(leg, None)
        if ours is None:
            return
        stream = ours.stream
        if stream.joined is not None:
            self._part(stream)
        if self._early_heard is not None and self._early_heard[0] == leg:
            # Other phones may still be ringing, without early media.
            self.ringback(self._early_heard[1], True)
            self._early_heard = None
        ours.close()
        if stream.has_traffic or self._released:
            self._released = {**(self._released or {}), leg: (stream.counts(), stream.quality())}

    def counts(self, leg: str) -> Counts:
        """The leg's packet counters; all zero for an unknown leg."""
        stream = self._stream(leg)
        if stream is not None:
            return stream.counts()
        return self._released[leg][0] if self._released and leg in self._released else Counts()

    def quality(self, leg: str) -> Quality:
        """Audio quality of the leg; see `MediaSession`."""
        ours = self._legs.get(leg)
        if ours is not None:
            return ours.stream.quality()
        return self._released[leg][1] if self._released and leg in self._released else NO_AUDIO

    def quiet_s(self, leg: str) -> float | None:
        """Seconds since the leg was last heard; see `MediaSession`."""
        stream = self._stream(leg)
        return None if stream is None else stream.quiet_s()

    def address(self, leg: str) -> Address | None:
        """The public RTP address we offer the leg; None while it has no port."""
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
                self._update_hold()

    def _stream(self, leg: str) -> Stream | None:
        ours = self._legs.get(leg)
        return None if ours is None else ours.stream

    def _policy(self, leg: str) -> SrtpPolicy:
        return self._policies.get(leg, _DEFAULT_POLICY)

    def _open(self, leg: str, ip_version: int, named: Address | None = None) -> _Leg:
        """The leg's state, made on first use; replaced if it has the other IP version and no agreement yet.

        `named`: where the peer's SDP wants audio, if known.
        """
        ours = self._legs.get(leg)
        if ours is not None:
            if ours.ip_version == ip_version or ours.voice_key is not None:
                return ours
            self.release(leg)
        engine = self._engine
        bind, public = engine.addresses[ip_version]
        if ip_version == 4 and (near := self._near.get(leg)) and (named is None or named[0] == near[0]):
            public = near[1]
        stream = engine.make_stream(
            engine.network, engine.ports, bind, engine.ids, engine.clock, engine.rtcp_timer
        )
        ours = self._legs[leg] = _Leg(stream, public, ip_version, engine.ids(31))
        return ours

    def _set_near(self, leg: str, near: tuple[str, str] | None) -> None:
        """Use the private-network address for that leg, or stop using it, from our next offer on. Has no
        effect on a leg that has an agreement.
        """
        others = {name: each for name, each in self._near.items() if name != leg}
        self._near = others if near is None else {**others, leg: near}
        ours = self._legs.get(leg)
        if ours is not None and ours.voice_key is None and ours.ip_version == 4:
            ours.address = self._engine.addresses[4][1] if near is None else near[1]

    def _addresses(self) -> list[tuple[str, str]]:
        return [*self._engine.addresses.values(), *((ours, ours) for _, ours in self._near.values())]

    def _read_offer(
        self, leg: str, sdp: bytes, ip_version: int | None, voice_key: str | None, other: Agreement | None
    ) -> Answer:
        policy = self._policies.get(leg, _DEFAULT_POLICY)
        if other is not None:
            anchor, packet_times = other.voice.key, other.packet_times
            return read_offer(
                sdp,
                ip_version=ip_version,
                voice_key=voice_key,
                anchor=anchor,
                srtp=policy,
                packet_times=packet_times,
            )
        if self._g711_only:
            with suppress(MediaRefused):
                return read_offer(
                    sdp, ip_version=ip_version, voice_key=voice_key, anchor=PCMU.key, srtp=policy
                )
        return read_offer(sdp, ip_version=ip_version, voice_key=voice_key, anchor=None, srtp=policy)

    def _refuse_own_address(self, agreement: Agreement) -> None:
        """Refuse our own address: audio would loop, or reach another call. Raises MediaRefused."""
        named, engine = agreement.remote, self._engine
        if named and named[1] in engine.ports.range and is_ours(named, self._addresses(), engine.ports):
            raise MediaRefused("the audio address is one of ours")

    def _other(self, leg: str) -> Agreement | None:
        """The agreement of the leg this one will be joined with: the first other leg that has one."""
        for name, other in self._legs.items():
            if name != leg and other.stream.agreement is not None:
                return other.stream.agreement
        return None


def _check_recorded(stream: Stream | None) -> Stream:
    """The stream of a leg whose audio can be recorded. Raises MediaRefused."""
    voice_key = stream and stream.agreement and stream.agreement.voice.key
    if stream is None or voice_key not in G711:
        raise MediaRefused(f"{voice_key or 'no audio'} cannot be recorded, only G.711")
    return stream


@lru_cache(maxsize=256)
def _first_offer(anchor: str | None, packet_times: PacketTimes) -> LocalSdp:
    """Content of an offer to a peer we know nothing about, without SRTP."""
    return compose(
        formats_to_offer((), anchor), Direction.SENDRECV, terms=Terms.between(None, packet_times, mux=True)
    )
