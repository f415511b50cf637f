"""Audio quality of a leg, from its packets and RTCP reports, with an E-model MOS estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.media.rtp import Reception

if TYPE_CHECKING:  # those import this module
    from proxy.media.interface import Counts
    from proxy.media.rtcp_session import RtcpSession


@dataclass(frozen=True, slots=True)
class DirectionQuality:
    """Statistics of one direction of a leg."""

    packets: int = 0
    lost: int = 0
    """Packets that never arrived."""
    jitter_ms: float | None = None
    """Interarrival jitter at the end (RFC 3550 §6.4.1); None if unknown."""
    reordered: int = 0
    duplicates: int = 0
    longest_gap_ms: float = 0.0
    """Longest time between two packets; long for a peer that sends nothing during silence."""
    mos: float | None = None
    """Estimated mean opinion score, 1 to 4.5; None if there is too little to go by."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Audio quality of one leg, from its first packet to its last, or until now."""

    heard: DirectionQuality = DirectionQuality()
    """What we received from the peer."""
    sent: DirectionQuality = DirectionQuality()
    """What we sent to the peer; loss and jitter as its RTCP reports them, if it sends any."""
    round_trip_ms: float | None = None
    """Measured by RTCP; None if the peer sends no reports."""
    dropped: int = 0
    """Packets refused: malformed, of unknown payload type, from another source, or not authentic."""
    unauthentic: int = 0
    """Those of `dropped` that failed SRTP authentication."""
    rtcp_in: int = 0

    @property
    def enough_sent(self) -> bool:
        """We have sent it enough that its silence is worth reporting."""
        return self.sent.packets >= _MIN_SENT_PACKETS

    @property
    def silent(self) -> str | None:
        """The likely cause if we sent audio to the peer but received nothing usable; else None."""
        if not self.enough_sent or self.heard.packets:
            return None
        if self.unauthentic:
            return "its packets are not authentic: the two sides use different SRTP keys"
        if self.dropped:
            return "its packets arrive and are not usable: another format or source than its SDP says"
        return "no packet ever arrived: a firewall, NAT, or a wrong public address in our SDP"

    def as_dict(self) -> dict[str, object]:
        """As plain values, for the call record."""
        values: dict[str, object] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            values[name] = _as_dict(value) if isinstance(value, DirectionQuality) else value
        return values


NO_AUDIO = Quality()
"""For a leg without audio in either direction, as in most calls that fail."""
_MIN_SENT_PACKETS = 100
"""Two seconds of speech sent before the peer's silence is worth reporting."""
_MIN_SCORED_PACKETS = 50
"""Packets below which a score means nothing."""


def mos(loss: float, delay_ms: float) -> float:
    """Mean opinion score of G.711 by the E-model of ITU-T G.107 (2015), with defaults for all but two terms.

    Id: as simplified by Cole and Rosenbluth (ACM CCR 31/2, 2001): 0.024 d + 0.11 (d - 177.3) H(d - 177.3).
    Ie-eff: G.107 §7.4 (7-29) with Ie 0 and Bpl 25.1, the values of G.113 for G.711 with loss concealment, and
    random loss. R to MOS: G.107 Annex B. `loss` is from 0 to 1, `delay_ms` from mouth to ear.
    """
    percent = 100 * min(max(loss, 0.0), 1.0)
    delay = 0.024 * delay_ms + 0.11 * max(0.0, delay_ms - 177.3)
    rating = 93.2 - delay - 95 * percent / (percent + 25.1)
    if rating <= 0:
        return 1.0
    return round(min(1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating), 4.5), 2)


def delay_ms(round_trip_ms: float | None, jitter_ms: float) -> float:
    """Estimated one-way delay: half the round trip, 20 ms of packet, and a buffer of twice the jitter."""
    return 20.0 + 2 * jitter_ms + (round_trip_ms or 0.0) / 2


def quality_of(
    counts: Counts, reception: Reception | None, rtcp: RtcpSession | None, *, g711: bool, rate: int
) -> Quality:
    """Quality from the counters. `g711`: the E-model applies to the voice; `rate`: the voice's clock rate."""
    trip_s = None if rtcp is None else rtcp.round_trip_s
    trip_ms = None if trip_s is None else round(1000 * trip_s, 1)
    heard, sent = DirectionQuality(), DirectionQuality(packets=counts.packets_out)
    if reception is not None and counts.packets_in:
        jitter_ms = 1000 * reception.jitter / reception.rate
        came = max(1, counts.packets_in - reception.duplicates)
        loss = reception.lost / (reception.lost + came)
        heard = DirectionQuality(
            packets=counts.packets_in,
            lost=reception.lost,
            jitter_ms=round(jitter_ms, 2),
            reordered=reception.reordered,
            duplicates=reception.duplicates,
            longest_gap_ms=round(1000 * reception.longest_gap_s, 1),
            mos=mos(loss, delay_ms(trip_ms, jitter_ms))
            if g711 and counts.packets_in >= _MIN_SCORED_PACKETS
            else None,
        )
    block = None if rtcp is None else rtcp.peer_block
    if block is not None and counts.packets_out:
        jitter_ms, lost = 1000 * block.jitter / rate, max(block.lost, 0)
        mark = mos(lost / max(counts.packets_out, lost), delay_ms(trip_ms, jitter_ms))
        judged = g711 and counts.packets_out >= _MIN_SCORED_PACKETS
        sent = DirectionQuality(counts.packets_out, lost, round(jitter_ms, 2), mos=mark if judged else None)
    return Quality(heard, sent, trip_ms, counts.dropped, counts.unauthentic, counts.rtcp_in)


def _as_dict(direction: DirectionQuality) -> dict[str, object]:
    return {name: getattr(direction, name) for name in direction.__slots__}
