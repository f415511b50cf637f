"""Whose SDP each leg of a direct session should have, and the next offer or answer that brings it about."""

from __future__ import annotations

from proxy.media.audio_line import AudioLine
from proxy.media.direct_leg import DirectLeg
from proxy.media.direct_offers import Answer, Move, NoSignalling, Offer, Refuse, Signalling
from proxy.media.direct_pairing import DirectPairing
from proxy.media.direct_relay import DirectRelay
from proxy.media.sdes import SrtpPolicy
from proxy.media.session import RelaySession

RELAY = "us"
"""Stands for our relay where a leg's partner is named."""


class DirectPlan(DirectRelay):
    """The legs of a direct session, what is wanted of them, and the move to make next; it changes no leg.

    `_source` says whose SDP a leg should have: its partner's; or ours, if something is to be played or
    recorded, or if the two cannot talk directly.
    """

    def __init__(self, relay: RelaySession) -> None:
        super().__init__(relay)
        self._legs: dict[str, DirectLeg] = {}
        self._pairing = DirectPairing()
        self._wanted: set[str] = set()
        """Legs whose packets should come to our relay."""
        self._relay_refused: set[str] = set()
        """Legs that refused to have their packets come here."""
        self._ip_versions: dict[str, int] = {}
        self._policies: dict[str, SrtpPolicy] = {}
        self.signalling: Signalling = NoSignalling()
        """Carries out the moves."""

    def next_move(self) -> Move | None:
        """The next offer, answer or refusal to send; None when every leg has the SDP it should have."""
        without_offer: list[str] = []
        for leg, known in self._legs.items():
            if known.offer is None:
                without_offer.append(leg)
            elif not known.opening and (move := self._move_for_offer(leg)) is not None:
                return move
        for leg in without_offer:
            if (offer := self._move_without_offer(leg)) is not None:
                return offer
        return None

    def is_relayed(self, leg: str) -> bool:
        """Whether the leg's packets come to us."""
        return leg in self._legs and self._legs[leg].relayed

    def _move_for_offer(self, leg: str) -> Move | None:
        """The next move for a leg whose offer is open."""
        known, source = self._legs[leg], self._source(leg)
        assert known.offer is not None
        if known.refusal is not None:
            return Refuse(leg, known.refusal)
        if source is None:
            return None
        if source == RELAY:
            return Answer(leg)
        other = self._legs[source]
        if other.opening:
            return None
        if other.offer is not None:  # glare: both have offered (RFC 3261 §14.2); who cannot offer again waits
            return None if known.invited_without_offer else Refuse(leg, 491)
        if other.has_line(known.offer, known.offer.direction):
            return Answer(leg)
        begun = other.sent_line is not None and self.signalling.can_reoffer(source)
        return Offer(source, patient=known.invited_without_offer) if begun else None

    def _move_without_offer(self, leg: str) -> Move | None:
        """The next move for a leg without an open offer, unless its own INVITE awaits an answer."""
        known = self._legs[leg]
        if known.opening or known.sent_line is None or (source := self._source(leg)) is None:
            return None
        if not self.signalling.can_reoffer(leg):
            return None
        if source == RELAY:
            return None if known.relayed else Offer(leg, patient=True)
        other = self._legs[source]
        if (
            other.peer_line is None
            or other.offer is not None
            or known.has_line(other.peer_line, other.peer_direction)
        ):
            return None
        return Offer(leg, patient=True)

    def _source(self, leg: str) -> str | None:
        """Whose SDP the leg should have, by leg name or `RELAY`; None: it keeps what it has."""
        partner = self._pairing.partner(leg)
        if partner is not None:
            return RELAY if self._must_relay(leg, partner) else partner
        return (
            RELAY if leg in self._wanted | self._ringing.keys() and leg not in self._relay_refused else None
        )

    def _must_relay(self, leg: str, other: str) -> bool:
        """Whether the two must talk through us: they do already, or cannot talk directly."""
        if self._pairing.requires_relay(leg, other) or (
            self._legs[leg].relayed and self._legs[other].relayed
        ):
            return True
        lines = (leg, self._line(other)), (other, self._line(leg))
        return not all(line is None or self._can_use(one, line) for one, line in lines)

    def _can_use(self, leg: str, line: AudioLine) -> bool:
        """Whether the leg's peer can use this SDP: right IP version, and SRTP as its policy wants it."""
        return self._allows(leg, line) and self._ip_versions.get(leg, line.ip_version) == line.ip_version

    def _allows(self, leg: str, line: AudioLine) -> bool:
        policy = self._policies.get(leg)
        return policy is not (SrtpPolicy.OFF if line.protected else SrtpPolicy.REQUIRE)

    def _line(self, leg: str) -> AudioLine | None:
        """What that leg's peer would say to another leg."""
        known = self._legs.get(leg)
        if known is None or (known.offer is None and known.peer_line is None):
            return None
        return known.offer or (known.peer_line and known.peer_line.with_direction(known.peer_direction))
