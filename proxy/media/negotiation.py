"""SDP offer/answer for one audio line with one peer (RFC 3264): bytes in, agreement out; no sockets.

We answer with a single voice format (and telephone-event if offered), so a peer never switches codec.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from proxy.media.formats import (
    EVENT_KEY,
    EVENTS,
    G711,
    PCMA,
    PCMU,
    TELEPHONE_EVENT,
    TELEPHONE_EVENT_48,
    VOICES,
    AudioFormat,
    carries,
    events_beside,
)
from proxy.media.interface import MediaRefused
from proxy.media.local_sdp import NO_PACKET_TIMES, LocalSdp, PacketTimes, Terms, compose
from proxy.media.sdes import Crypto, SrtpPolicy
from proxy.media.sdp import Description, Direction, Layout, MediaSection, SdpError, number, parse_sdp
from proxy.media.sdp_cache import normalise_ports, rtcp_at
from proxy.media.srtp_negotiation import (
    NO_PROTECTION,
    PLAIN,
    Protection,
    accepted_crypto,
    best_crypto,
    unfit_answer,
    unfit_offer,
)
from proxy.media.udp import Address


@dataclass(slots=True)
class Agreement:
    """The result of offer/answer with one peer; treat as immutable.

    A dataclass, as its fields are faster to read than a tuple's; not frozen, as that is slower to construct,
    and a call makes two.
    """

    remote: Address | None
    """Where the peer's SDP wants our packets; None: nowhere (c=0.0.0.0)."""
    voice: AudioFormat
    """The voice format we send, under the peer's payload type."""
    send: dict[str, int]
    """Payload type of each format the peer accepts, by format key."""
    receive: dict[int, str]
    """Format key of each payload type the peer may send."""
    hears: bool
    """The peer wants our packets; false while it has put us on hold (§8.4)."""
    speaks: bool
    """The peer may send."""
    layout: Layout
    ip_version: int = 4
    """IP version of the address in the peer's SDP, even if that is unspecified."""
    protocol: str = PLAIN
    """RTP profile of the m= lines, ours and the peer's; SRTP may be agreed under either (RFC 8643 §3.1)."""
    crypto: Crypto | None = None
    """The key the peer encrypts with; None: plain RTP."""
    ours: Crypto | None = None
    """The a=crypto line of our offer that the peer took. None after its own offer: we make a new key."""
    rtcp: Address | None = None
    """Where the peer's a=rtcp wants reports (RFC 3605); None without one."""
    mux: bool = False
    """RTCP is multiplexed on the RTP port both ways (RFC 5761)."""
    reports: bool = True
    """The peer takes RTCP; false if its SDP grants RTCP no bandwidth (RFC 3556 §2)."""
    ptime: int | None = None
    """Preferred milliseconds of audio per packet; None if unsaid."""
    maxptime: int | None = None
    """Most milliseconds of audio the peer takes per packet (RFC 8866 §6.4)."""
    event_rate: int = 8000
    """Clock rate of the telephone-events in Hz; their key is `EVENT_KEY` whatever it is."""

    def with_port(self, port: int) -> Agreement:
        """The same with this port, in place of the normalised one of a cached text."""
        return Agreement(  # like `replace`, at a quarter of the cost
            None if self.remote is None else (self.remote[0], port),
            self.voice,
            self.send,
            self.receive,
            self.hears,
            self.speaks,
            self.layout,
            self.ip_version,
            self.protocol,
            self.crypto,
            self.ours,
            None if self.rtcp is None else rtcp_at(self.rtcp, port),
            self.mux,
            self.reports,
            self.ptime,
            self.maxptime,
            self.event_rate,
        )

    @property
    def packet_times(self) -> PacketTimes:
        """The packet lengths the peer wants and takes."""
        return self.ptime, self.maxptime

    @property
    def rtcp_destination(self) -> Address | None:
        """Where the peer's SDP wants RTCP; None: nowhere."""
        if not self.reports or self.remote is None:
            return None
        if self.mux:
            return self.remote
        return self.rtcp or (self.remote[0], self.remote[1] + 1)


@dataclass(slots=True)
class Answer:
    """Our answer to an acceptable offer; treat as immutable."""

    agreement: Agreement
    local_sdp: LocalSdp
    """The content of our answer, still without a key of ours."""


def read_offer(
    body: bytes,
    *,
    ip_version: int | None,
    voice_key: str | None,
    anchor: str | None,
    srtp: SrtpPolicy = SrtpPolicy.ACCEPT,
    packet_times: PacketTimes = NO_PACKET_TIMES,
) -> Answer:
    """Evaluate a peer's offer (§6). Raises MediaRefused.

    `voice_key`: the voice format in use with this peer, kept if still offered. `anchor`: the voice format of
    the leg it will be joined with; only what that leg can hear is accepted. `packet_times`: that leg's.
    `ip_version`: the only possible one; None: either.
    """
    normalised = normalise_ports(body)
    if normalised is None:
        return _read_offer(body, ip_version, voice_key, anchor, srtp, packet_times)
    answer = _read_offer_cached(normalised[0], ip_version, voice_key, anchor, srtp, packet_times)
    return Answer(answer.agreement.with_port(normalised[1]), answer.local_sdp)


def _read_offer(
    body: bytes,
    ip_version: int | None,
    voice_key: str | None,
    anchor: str | None,
    srtp: SrtpPolicy,
    packet_times: PacketTimes = NO_PACKET_TIMES,
) -> Answer:
    description, section, voices = _audio(body, anchor, lambda section: unfit_offer(section, srtp))
    by_key = {voice.key: voice for voice in reversed(voices)}
    wanted = [key for key in (voice_key, anchor) if key is not None]
    wanted += [voice.key for voice in voices if voice.key in G711]
    voice = next((by_key[key] for key in wanted if key in by_key), voices[0])
    event = events_beside(voice, section.audio_formats())
    ours = (voice.with_pt(voice.pt),) if event is None else (voice.with_pt(voice.pt), event.with_pt(event.pt))
    layout = tuple(None if each is section else each.bare for each in description.media)
    agreement = _agree(description, section, ours, voice, ip_version, layout)
    if (crypto := best_crypto(section, srtp)) is not None:
        agreement = replace(agreement, protocol=section.protocol, crypto=crypto)
    direction = Direction.of(sends=agreement.hears, receives=agreement.speaks)
    terms = Terms.between(agreement.ptime, packet_times, mux=agreement.mux)
    return Answer(agreement, compose(ours, direction, layout, Protection.of(agreement), terms))


def read_answer(
    body: bytes,
    offered: tuple[AudioFormat, ...],
    layout: Layout,
    *,
    ip_version: int | None,
    anchor: str | None,
    offered_protection: Protection = NO_PROTECTION,
    srtp: SrtpPolicy = SrtpPolicy.ACCEPT,
) -> Agreement:
    """Evaluate a peer's answer to our offer (§7). Raises MediaRefused."""
    normalised = normalise_ports(body) if layout == (None,) and not offered_protection.cryptos else None
    if normalised is None:
        return _read_answer(body, offered, layout, ip_version, anchor, offered_protection, srtp)
    return _read_answer_cached(
        normalised[0], offered, layout, ip_version, anchor, offered_protection, srtp
    ).with_port(normalised[1])


def _read_answer(
    body: bytes,
    offered: tuple[AudioFormat, ...],
    layout: Layout,
    ip_version: int | None,
    anchor: str | None,
    offered_protection: Protection,
    srtp: SrtpPolicy,
) -> Agreement:
    description, section, voices = _audio(
        body, anchor, lambda each: unfit_answer(each, offered_protection, srtp)
    )
    keys = {format.key for format in offered}
    shared = [voice for voice in voices if voice.key in keys]
    if not shared:
        raise MediaRefused("the answer names no audio format that was offered")
    agreement = _agree(description, section, offered, shared[0], ip_version, layout)
    if (pair := accepted_crypto(section, offered_protection)) is not None:
        agreement = replace(agreement, protocol=offered_protection.protocol, ours=pair[0], crypto=pair[1])
    return agreement


_read_offer_cached = lru_cache(maxsize=256)(_read_offer)
_read_answer_cached = lru_cache(maxsize=256)(_read_answer)
"""Cached by text: except for what `normalise` takes out, a carrier sends the same SDP in every call."""


@lru_cache(maxsize=256)
def formats_to_offer(listed: tuple[AudioFormat, ...], anchor: str | None) -> tuple[AudioFormat, ...]:
    """The formats we offer a peer: those listed to it before, under the same payload types (§8.3.2), or else
    the voice format of the leg it will be joined with; and always PCMU, PCMA and telephone-event, the last
    for each clock rate among them.
    """
    chosen = [format for format in listed if format.key not in EVENTS]
    if not chosen and anchor is not None:
        chosen.append(VOICES[anchor])
    known = {format.key: format for format in listed}
    wide = [TELEPHONE_EVENT_48] if any(format.rate == TELEPHONE_EVENT_48.rate for format in chosen) else []
    for more in (PCMU, PCMA, *(known.get(event.key, event) for event in (*wide, TELEPHONE_EVENT))):
        if more.key not in {format.key for format in chosen}:
            chosen.append(_renumbered(more, {format.pt for format in (*chosen, *listed)}, listed))
    return tuple(chosen)


def _audio(
    body: bytes, anchor: str | None, unfit: Callable[[MediaSection], str | None]
) -> tuple[Description, MediaSection, list[AudioFormat]]:
    """The first usable audio section, and its voice formats that `anchor` can hear. `unfit` returns why a
    section's protection is not acceptable, or None.
    """
    try:
        description = parse_sdp(body)
    except SdpError as error:
        raise MediaRefused(f"SDP not understood: {error}") from error
    reason = "no audio line"
    for section in description.media:
        if section.kind != "audio":
            continue
        voices = [each for each in section.audio_formats() if each.key in VOICES]
        heard = [each for each in voices if anchor is None or carries(each.key, anchor)]
        if section.port == 0:
            reason = "audio refused (port 0)"
        elif (why := unfit(section)) is not None:
            reason = why
        elif not voices:
            reason = "no audio format in common"
        elif not heard:
            reason = f"no audio format in common with the other leg ({anchor})"
        else:
            return description, section, heard
    raise MediaRefused(reason)


def _agree(
    description: Description,
    section: MediaSection,
    ours: Sequence[AudioFormat],
    voice: AudioFormat,
    ip_version: int | None,
    layout: Layout,
) -> Agreement:
    host, address = _place(description, section, ip_version)
    keys = {format.key for format in ours}
    shared = [format for format in section.audio_formats() if format.key in keys]
    receive = {format.pt: _key(format) for format in ours}
    for format in shared:  # some peers send under their own numbers where ours are due (§5.1)
        receive.setdefault(format.pt, _key(format))
    send = {format.key: format.pt for format in reversed(shared) if format.key not in EVENTS}
    event = events_beside(voice, shared)
    if event is not None:
        send[EVENT_KEY] = event.pt
    direction = description.direction(section)
    return Agreement(
        remote=None if address.is_unspecified else (host, section.port),
        voice=voice,
        send=send,
        receive=receive,
        hears=direction.receives and not address.is_unspecified,
        speaks=direction.sends,
        layout=layout,
        ip_version=address.version,
        rtcp=section.rtcp(host),
        mux=section.has_attribute("rtcp-mux"),
        reports=not {"RS:0", "RR:0"} <= section.bandwidths,
        ptime=_packet_ms(section.attribute("ptime")),
        maxptime=_packet_ms(section.attribute("maxptime")),
        event_rate=TELEPHONE_EVENT.rate if event is None else event.rate,
    )


def _place(
    description: Description, section: MediaSection, ip_version: int | None
) -> tuple[str, IPv4Address | IPv6Address]:
    """The address for our packets, as written and as parsed."""
    try:
        host = description.connection(section)
    except SdpError as error:
        raise MediaRefused(f"SDP not understood: {error}") from error
    address = _address(host)
    if ip_version not in (None, address.version):
        raise MediaRefused(f"media over IPv{address.version} is not possible here")
    return host, address


def _packet_ms(value: str | None) -> int | None:
    """The value of a=ptime or a=maxptime from 10 to 200 ms; other values make no sense for speech."""
    length_ms = None if value is None else number(value.strip(), 200)
    return length_ms if length_ms is not None and length_ms >= 10 else None


_address = lru_cache(maxsize=1024)(ip_address)


def _key(format: AudioFormat) -> str:
    return EVENT_KEY if format.key in EVENTS else format.key


def _renumbered(format: AudioFormat, taken: set[int], listed: Sequence[AudioFormat]) -> AudioFormat:
    """The format under its usual payload type, or the first free dynamic one (§8.3.2: never re-used)."""
    if format in listed or format.pt not in taken:
        return format
    return format.with_pt(next(pt for pt in range(96, 128) if pt not in taken))
