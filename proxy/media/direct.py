"""Direct mode: audio flows between the peers, we only pass their SDP on (signaling-only, RFC 7092 §3.1).

Each leg of a joined pair is sent the other's SDP, under an origin of ours. A `join` states what is wanted.
Where the offers and answers of the INVITEs themselves do not bring it about, `next_move` says which offer or
answer to send next, one at a time, until every leg has the SDP it should have:

    caller -- INVITE, offer --> us -- the same --> agent       the agent's answer becomes the caller's
    us -- INVITE, no offer --> phone -- 200, offer -->         flow I of RFC 3725: the caller stays with
    us -- re-INVITE, the phone's offer --> caller              the agent while the phone rings;
    us -- ACK, the caller's answer --> phone                   `offer_rejected` rolls everybody back
    caller -- re-INVITE --> us -- re-INVITE --> phone          hold, new formats: the phone's answer goes back

Ringback, prompts and recordings need a `RelaySession`: the leg is then sent the SDP of our relay instead. Two
legs that are both relayed, or that cannot talk directly (one is IPv4 and one IPv6, or one refuses the other's
SDP), stay connected through us.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.media.audio_line import AudioLine, answer_direction
from proxy.media.direct_leg import DirectLeg
from proxy.media.direct_offers import NoSignalling
from proxy.media.direct_plan import RELAY, DirectPlan
from proxy.media.dtmf import DEFAULT_PRESS_S
from proxy.media.interface import MediaRefused
from proxy.media.ports import NoPortFree
from proxy.media.sdes import SrtpPolicy
from proxy.media.session import RelaySession


class DirectSession(DirectPlan):
    """The `MediaSession` of direct mode. It sends nothing by itself: see `next_move`.

    A leg is *relayed* while its packets come to our relay, and *opening* while its own INVITE waits for an
    answer. After every first offer, join, change in what a peer says, refusal and release, all legs are
    compared with their `_source` again (`DirectPlan`).
    """

    def __init__(self, relay: RelaySession, host: str, ids: Callable[[int], int]) -> None:
        """`relay`: handles packets that come here; `host`: our address, in the `o=` line of what we send."""
        super().__init__(relay)
        self._host, self._ids = host, ids

    # Calls from the call story.

    def use_ip_version(self, leg: str, ip_version: int, near: tuple[str, str] | None = None) -> None:
        """See `MediaSession`."""
        self._ip_versions[leg] = ip_version
        self._relay.use_ip_version(leg, ip_version, near)

    def offer(self, leg: str) -> bytes:
        """The SDP of the leg's `_source` as our offer; empty if the leg's peer is to make the first one."""
        known = self._legs.get(leg)
        if known is None or (known.sent_line is None and not known.relayed):
            return self._first_offer(leg)
        source = self._source(leg)
        line = known.sent_line if source is None else self._line(source)
        if line is None or (known.relayed and source is None):
            return self._offer_ours(leg)
        return known.propose(line, self._host, ours=False)

    def set_srtp_policy(self, leg: str, policy: SrtpPolicy) -> None:
        """See `MediaSession`. Peers whose policies conflict talk through us."""
        self._policies[leg] = policy
        self._relay.set_srtp_policy(leg, policy)

    def srtp_suite(self, leg: str) -> str | None:
        """The crypto-suite that both sides have named."""
        known = self._legs.get(leg)
        if known is None or known.relayed:
            return self._relay.srtp_suite(leg)
        return known.suite

    def fall_back(self, leg: str) -> bool:
        """See `MediaSession`: if the peer refused another leg's offer, ours is next."""
        known = self._legs.get(leg)
        if known is None or known.peer_line is not None:
            return False
        if known.proposal is not None and known.proposal.ours:
            return self._relay.fall_back(leg)
        if not known.invited_without_offer:
            for other in self._legs.keys() - {leg}:
                self._pairing.require_relay(leg, other)
        known.invited_without_offer, known.needs_our_offer = False, True
        return True

    def repeat_sdp(self, leg: str) -> bytes:
        """The SDP last sent to the leg; or our answer, if its offer is open. See `MediaSession`."""
        known = self._legs.get(leg)
        if known is not None and known.offer is not None:
            return self.answer(leg)
        return self.offer(leg) if known is None or known.sent_line is None else known.repeat()

    def answered(self, leg: str, sdp: bytes) -> None:
        """See `MediaSession`."""
        known = self._legs.get(leg)
        if known is None or known.proposal is None:
            raise MediaRefused("an answer without an offer")
        if known.proposal.ours:
            self._relay.answered(leg, sdp)
        was_relayed = known.relayed
        known.answered(sdp)
        self._took_effect(leg, was_relayed)

    def accept(self, leg: str, sdp: bytes) -> bytes:
        """Take the peer's offer. Empty: the answer depends on another leg, and comes by `repeat_sdp`."""
        known = self._legs.get(leg)
        if known is None:
            known = DirectLeg(self._ids(31))
            known.opening = True
        known.offered(sdp)
        assert known.offer is not None
        self._legs[leg] = known
        if not self._allows(leg, known.offer):
            known.refused()
            raise MediaRefused("its use of SRTP does not match the settings")
        if known.opening or known.invited_without_offer:
            self.signalling.changed()
            return b""
        try:
            if self._source(leg) in (None, RELAY) or known.is_refresh():
                return self.answer(leg)
        except (MediaRefused, NoPortFree):
            known.refused()
            raise
        self.signalling.changed()
        return b""

    def join(self, a: str, b: str) -> None:
        """See `MediaSession`. Legs that are not relayed are connected once every move is made."""
        if self._pairing.partner(a) != b:
            self._part(a)
            self._part(b)
        self._wanted -= {a, b}
        self._relay_refused -= {a, b}
        if a in self._legs and b in self._legs:
            self._pairing.join(a, b)
        self._connect(a)
        self.signalling.changed()

    def part(self, leg: str) -> None:
        """Disconnect the leg: its packets come here."""
        self._part(leg)
        self._wanted.add(leg)
        self._relay_refused.discard(leg)
        self.signalling.changed()

    def ringback(self, leg: str, on: bool, *, after_s: float = 0.0, until_heard: bool = False) -> None:
        """See `MediaSession`. Ringback is relayed, so the leg's packets come here while it is on."""
        before = leg in self._ringing
        super().ringback(leg, on, after_s=after_s, until_heard=until_heard)
        if on or before:
            self.signalling.changed()

    def key_pressed(self, leg: str, digit: str, seconds: float = DEFAULT_PRESS_S) -> None:
        """See `MediaSession`. Where packets do not pass us, the partner is sent the key by signalling."""
        partner = self._pairing.partner(leg)
        if partner is None or self.is_relayed(leg):
            return self._relay.key_pressed(leg, digit, seconds)
        self.signalling.press(partner, digit, seconds)

    async def bring_to_relay(self, leg: str) -> None:
        """Have the packets of the leg and its partner come here, until it is joined to another leg. Returns
        once they do, or once that has failed.
        """
        if leg in self._legs and not self.is_relayed(leg):
            partner = self._pairing.partner(leg)
            if partner is None:
                self._wanted.add(leg)
            else:
                self._pairing.require_relay(leg, partner)
            self.signalling.changed()
            await self.signalling.idle()

    def release(self, leg: str) -> None:
        """The leg is gone: its partner is connected as it was before the join."""
        self._relay.release(leg)
        self._legs.pop(leg, None)
        self._wanted.discard(leg)
        self._relay_refused.discard(leg)
        self.relay_ended(leg)
        self._pairing.forget(leg)
        self._undo_join(leg)
        if self._legs:
            self.signalling.changed()

    def close(self) -> None:
        """Release every leg."""
        self.signalling = NoSignalling()
        self._relay.close()
        self._legs.clear()
        self._pairing.clear()

    # What comes of a move.

    def answer(self, leg: str) -> bytes:
        """Our answer to the leg's open offer. Raises MediaRefused or NoPortFree, leaving it open."""
        known = self._legs[leg]
        assert known.offer is not None
        was_relayed, other = known.relayed, self._legs.get(self._source(leg) or RELAY)
        if not known.relayed and known.is_refresh() and known.sent_line is not None and other is None:
            sdp = known.answer(known.sent_line, self._host, ours=False)
        elif other is None or other.peer_line is None:
            line, _ = AudioLine.read(self._relay.accept(leg, known.offer_body))
            sdp = known.answer(line, self._host, ours=True)
        else:
            line = other.peer_line.with_direction(
                answer_direction(known.offer.direction, other.peer_direction)
            )
            sdp = known.answer(line, self._host, ours=False)
        self._took_effect(leg, was_relayed)
        return sdp

    def refused(self, leg: str) -> None:
        """The leg's open offer was refused, as a `Refuse` move asked."""
        if leg in self._legs:
            self._legs[leg].refused()

    def offer_rejected(self, leg: str, status: int) -> bool:
        """Our offer to the leg was refused with this status; true if there is nothing left to try.

        If the offer came from another leg, its offer is refused too. A join is first retried through our
        relay, then rolled back.
        """
        known = self._legs.get(leg)
        if known is None:
            return True
        proposal, known.proposal = known.proposal, None
        if not known.relayed:
            self._relay.release(leg)
        source = self._source(leg)
        if source is None or (proposal is not None and proposal.ours != (source == RELAY)):
            return False  # something else is wanted by now
        partner = self._pairing.partner(leg)
        other = self._legs.get(partner) if partner is not None else None
        if partner is None or other is None:
            self._relay_refused.add(leg)
            return True
        if other.offer is not None and not other.invited_without_offer:
            other.refusal = status
            return False
        if not self._pairing.requires_relay(leg, partner):
            self._pairing.require_relay(leg, partner)
            return False
        self._undo_join(leg)
        return True

    # How a leg begins and changes.

    def _first_offer(self, leg: str) -> bytes:
        """Pass on the offer of a caller who is not answered yet. A caller in conversation has its answer
        already: then the called side makes the offer, in its 2xx, and the caller is re-INVITEd with it.
        """
        can_reoffer, legs = self.signalling.can_reoffer, self._legs.items()
        asking = next((each.offer for _, each in legs if each.opening), None)
        talking = next(
            (each.peer_line for name, each in legs if each.peer_line is not None and can_reoffer(name)), None
        )
        heard = asking or talking
        known = self._legs.setdefault(leg, DirectLeg(self._ids(31)))
        if heard is None or known.needs_our_offer or not self._can_use(leg, heard):
            return self._offer_ours(leg)
        if asking is not None:
            return known.propose(heard, self._host, ours=False)
        known.invited_without_offer = True
        return b""

    def _offer_ours(self, leg: str) -> bytes:
        known = self._legs.setdefault(leg, DirectLeg(self._ids(31)))
        line, _ = AudioLine.read(self._relay.offer(leg))
        return known.propose(line, self._host, ours=True)

    def _took_effect(self, leg: str, was_relayed: bool) -> None:
        """Something new has come into force for the leg."""
        if was_relayed and not self._legs[leg].relayed:
            self._relay.release(leg)
        if self._legs[leg].relayed and not was_relayed:
            self.relay_began(leg)
        self._connect(leg)
        self.signalling.changed()

    def _connect(self, leg: str) -> None:
        """Connect two legs through our relay, if both are there."""
        partner = self._pairing.partner(leg)
        if partner is not None and self._legs[leg].relayed and self._legs[partner].relayed:
            self._relay.join(leg, partner)

    def _part(self, leg: str) -> None:
        self._relay.part(leg)
        self._pairing.part(leg)

    def _undo_join(self, leg: str) -> None:
        """The join failed: restore the connections from before it."""
        for one in self._pairing.undo_join(leg, self._legs):
            self._connect(one)
