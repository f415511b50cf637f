"""How well a leg was heard: what its packets and reports tell, and the mark that the E-model gives for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.media.rtp import Reception

if TYPE_CHECKING:  # which name what is made here
    from proxy.media.interface import Counts
    from proxy.media.rtcp_session import Control


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a leg."""

    packets: int = 0
    lost: int = 0
    """Packets that never came."""
    jitter_ms: float | None = None
    """Interarrival jitter at the end (RFC 3550 §6.4.1); None if nobody told."""
    reordered: int = 0
    duplicates: int = 0
    longest_gap_ms: float = 0.0
    """Longest time from one packet to the next; long where a peer sends nothing while nobody speaks."""
    mos: float | None = None
    """Estimated mean opinion score, 1 to 4.5; None where too little is known."""


@dataclass(frozen=True, slots=True)
class Quality:
    """One leg's audio, from its first packet to its last or to now."""

    heard: Way = Way()
    """What came from the peer."""
    sent: Way = Way()
    """What went to the peer; loss and jitter as its RTCP reports tell, if it sends any."""
    round_trip_ms: float | None = None
    """Measured by RTCP; None if the peer sends no reports."""
    dropped: int = 0
    """Packets refused: malformed, of an unknown payload type, from a stranger, or not authentic."""
    unauthentic: int = 0
    """Of those, the ones that our SRTP keys do not fit."""
    rtcp_in: int = 0

    @property
    def spoken_to(self) -> bool:
        """We have sent it enough for its silence to be worth a word."""
        return self.sent.packets >= _SPOKEN_PACKETS

    @property
    def silent(self) -> str | None:
        """The likely cause, where we spoke to the peer and have heard nothing usable of it; else None."""
        if not self.spoken_to or self.heard.packets:
            return None
        if self.unauthentic:
            return "its packets are not authentic: the two sides use different SRTP keys"
        if self.dropped:
            return "its packets arrive and are not usable: another format or source than its SDP says"
        return "no packet ever arrived: a firewall, NAT, or a wrong public address in our SDP"

    def as_dict(self) -> dict[str, object]:
        """Plain values, for the record."""
        told: dict[str, object] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            told[name] = _plain(value) if isinstance(value, Way) else value
        return told


UNHEARD = Quality()
"""Of a leg without audio either way, as most legs of a call that comes to nothing."""
_SPOKEN_PACKETS = 100
"""Two seconds of speech to a peer before its silence is worth a word."""
_JUDGED = 50
"""Packets before a mark means anything."""


def mos(loss: float, delay_ms: float) -> float:
    """Mean opinion score of G.711 by the E-model of ITU-T G.107 (2015), its defaults but for two terms.

    Id: as Cole and Rosenbluth simplify it (ACM CCR 31/2, 2001): 0.024 d + 0.11 (d - 177.3) H(d - 177.3).
    Ie-eff: G.107 §7.4 (7-29) with Ie 0 and Bpl 25.1, G.113's values for G.711 with loss concealment, and
    random loss. R to MOS: G.107 Annex B. `loss` from 0 to 1, `delay_ms` from mouth to ear.
    """
    percent = 100 * min(max(loss, 0.0), 1.0)
    delay = 0.024 * delay_ms + 0.11 * max(0.0, delay_ms - 177.3)
    rating = 93.2 - delay - 95 * percent / (percent + 25.1)
    if rating <= 0:
        return 1.0
    return round(min(1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating), 4.5), 2)


def delay_ms(round_trip_ms: float | None, jitter_ms: float) -> float:
    """Delay of one way as known: half the round trip, 20 ms of packet, a buffer of twice the jitter."""
    return 20.0 + 2 * jitter_ms + (round_trip_ms or 0.0) / 2


def measured(
    counts: Counts, reception: Reception | None, control: Control | None, *, g711: bool, rate: int
) -> Quality:
    """What was counted. `g711`: whether the E-model fits the voice; `rate`: the clock of the voice."""
    trip_s = None if control is None else control.round_trip_s
    trip_ms = None if trip_s is None else round(1000 * trip_s, 1)
    heard, sent = Way(), Way(packets=counts.packets_out)
    if reception is not None and counts.packets_in:
        jitter_ms = 1000 * reception.jitter / reception.rate
        came = max(1, counts.packets_in - reception.duplicates)
        loss = reception.lost / (reception.lost + came)
        heard = Way(
            packets=counts.packets_in,
            lost=reception.lost,
            jitter_ms=round(jitter_ms, 2),
            reordered=reception.reordered,
            duplicates=reception.duplicates,
            longest_gap_ms=round(1000 * reception.longest_gap_s, 1),
            mos=mos(loss, delay_ms(trip_ms, jitter_ms)) if g711 and counts.packets_in >= _JUDGED else None,
        )
    told = None if control is None else control.told
    if told is not None and counts.packets_out:
        jitter_ms, lost = 1000 * told.jitter / rate, max(told.lost, 0)
        mark = mos(lost / max(counts.packets_out, lost), delay_ms(trip_ms, jitter_ms))
        judged = g711 and counts.packets_out >= _JUDGED
        sent = Way(counts.packets_out, lost, round(jitter_ms, 2), mos=mark if judged else None)
    return Quality(heard, sent, trip_ms, counts.dropped, counts.unauthentic, counts.rtcp_in)


def _plain(way: Way) -> dict[str, object]:
    return {name: getattr(way, name) for name in way.__slots__}
