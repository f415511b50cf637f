"""`direct` mode: audio flows between the peers themselves, we only tell each of the other (RFC 7092 §3.1).

Who is joined is told what the other has said, under an origin of ours. A `join` is a wish: where it does not
come true in the offers and answers of the INVITEs themselves, `next_move` says what has to be said to whom,
one offer or answer at a time, until everybody has been told what he should know:

    caller -- INVITE, offer --> us -- the same --> agent       the agent's answer is the caller's
    us -- INVITE, no offer --> phone -- 200, offer -->         flow I of RFC 3725: the caller is still with
    us -- re-INVITE, the phone's offer --> caller              the agent while the phone rings;
    us -- ACK, the caller's answer --> phone                   `not_taken` has everybody where he was
    caller -- re-INVITE --> us -- re-INVITE --> phone          hold, other formats: the phone's answer is his

What takes packets (ringback, a beep, a recording) takes them through a `RelaySession`: its description is
told to the leg instead. Two legs that are both here, or that cannot talk to each other by themselves (IPv4
and IPv6, one refuses what the other has said), stay with us.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.media.audio_line import AudioLine, both
from proxy.media.direct_leg import ToldLeg
from proxy.media.direct_offers import Answer, Move, NoSignalling, Offer, Refuse, Signalling
from proxy.media.direct_pairing import Pairs
from proxy.media.direct_relay import Packets
from proxy.media.dtmf import USUAL_S
from proxy.media.interface import MediaRefused
from proxy.media.ports import NoPortFree
from proxy.media.sdes import SrtpPolicy
from proxy.media.session import RelaySession

US = "us"
"""Who a leg is told of when its packets are to come here."""


class DirectSession(Packets):
    """A `MediaSession` whose packets pass us by. It says nothing by itself: see `next_move`.

    A leg is *here* while its packets come to us, and *opening* while its own INVITE waits for an answer. Of
    whom a leg should be told is `_source`: its partner; or us, for whom something is to be played or
    recorded, or whose partner is *apart* from it. A leg's first offer, a change of wishes or of what a peer
    says, a refusal, a leg that is gone: after each of them all legs are compared with their `_source` anew.
    """

    def __init__(self, relay: RelaySession, host: str, ids: Callable[[int], int]) -> None:
        """`relay`: for what takes packets; `host`: our address, in the origin of what we say."""
        super().__init__(relay)
        self._host, self._ids = host, ids
        self._legs: dict[str, ToldLeg] = {}
        self._pairs = Pairs()
        self._wanted: set[str] = set()
        """Legs whose packets are wanted here."""
        self._stuck: set[str] = set()
        """Legs that would not have their packets come here."""
        self._over: dict[str, int] = {}
        self._policies: dict[str, SrtpPolicy] = {}
        self.signalling: Signalling = NoSignalling()
        """Who makes the moves."""

    # What the story says.

    def over(self, leg: str, ip_version: int, near: tuple[str, str] | None = None) -> None:
        """See `MediaSession`."""
        self._over[leg] = ip_version
        self._relay.over(leg, ip_version, near)

    def offer(self, leg: str) -> bytes:
        """What the leg is to hear of, as our offer; empty if its peer is to make the first one."""
        known = self._legs.get(leg)
        if known is None or (known.told is None and not known.here):
            return self._first_offer(leg)
        source = self._source(leg)
        line = known.told if source is None else self._line(source)
        if line is None or (known.here and source is None):
            return self._offer_ours(leg)
        return known.proposed(line, self._host, ours=False)

    def secure(self, leg: str, policy: SrtpPolicy) -> None:
        """See `MediaSession`; peers that cannot both have it their way talk through us."""
        self._policies[leg] = policy
        self._relay.secure(leg, policy)

    def secured(self, leg: str) -> str | None:
        """The suite that its peer has named, if the other has taken it."""
        known = self._legs.get(leg)
        if known is None or known.here:
            return self._relay.secured(leg)
        return known.suite

    def concede(self, leg: str) -> bool:
        """See `MediaSession`: what its peer refused came from another leg, and ours is next."""
        known = self._legs.get(leg)
        if known is None or known.said is not None:
            return False
        if known.proposal is not None and known.proposal.ours:
            return self._relay.concede(leg)
        if not known.invited_late:
            for other in self._legs.keys() - {leg}:
                self._pairs.set_apart(leg, other)
        known.invited_late, known.wants_ours = False, True
        return True

    def again(self, leg: str) -> bytes:
        """What the leg was told last; where its offer stands open, our answer. See `MediaSession`."""
        known = self._legs.get(leg)
        if known is not None and known.offer is not None:
            return self.answer(leg)
        return self.offer(leg) if known is None or known.told is None else known.repeated()

    def answered(self, leg: str, sdp: bytes) -> None:
        """See `MediaSession`."""
        known = self._legs.get(leg)
        if known is None or known.proposal is None:
            raise MediaRefused("an answer without an offer")
        if known.proposal.ours:
            self._relay.answered(leg, sdp)
        was_here = known.here
        known.answered(sdp)
        self._moved(leg, was_here)

    def accept(self, leg: str, sdp: bytes) -> bytes:
        """Take the peer's offer. Empty: the answer hangs on another leg, and comes by `again`."""
        known = self._legs.get(leg)
        if known is None:
            known = ToldLeg(self._ids(31))
            known.opening = True
        known.offered(sdp)
        assert known.offer is not None
        self._legs[leg] = known
        if not self._allows(leg, known.offer):
            known.refused()
            raise MediaRefused("its SRTP, or the want of it, is against the settings")
        if known.opening or known.invited_late:
            self.signalling.changed()
            return b""
        try:
            if self._source(leg) in (None, US) or known.repeats():
                return self.answer(leg)
        except (MediaRefused, NoPortFree):
            known.refused()
            raise
        self.signalling.changed()
        return b""

    def join(self, a: str, b: str) -> None:
        """See `MediaSession`; two legs that are not here yet hear each other once every move is made."""
        if self._pairs.partner(a) != b:
            self._unjoin(a)
            self._unjoin(b)
        self._wanted -= {a, b}
        self._stuck -= {a, b}
        if a in self._legs and b in self._legs:
            self._pairs.join(a, b)
        self._link(a)
        self.signalling.changed()

    def part(self, leg: str) -> None:
        """The leg hears nobody: its packets come here."""
        self._unjoin(leg)
        self._wanted.add(leg)
        self._stuck.discard(leg)
        self.signalling.changed()

    def ringback(self, leg: str, on: bool, *, after_s: float = 0.0, until_heard: bool = False) -> None:
        """The tone, while the leg has nobody to talk to past us."""
        before = leg in self._ringing
        super().ringback(leg, on, after_s=after_s, until_heard=until_heard)
        if on or before:
            self.signalling.changed()

    def pressed(self, leg: str, digit: str, seconds: float = USUAL_S) -> None:
        """A key told by signalling, which is how the other leg hears of it where packets pass us by."""
        partner = self._pairs.partner(leg)
        if partner is None or self.is_here(leg):
            return self._relay.pressed(leg, digit, seconds)
        self.signalling.press(partner, digit, seconds)

    async def bring(self, leg: str) -> None:
        """Have its packets and those of its partner come here, until it is joined to another; returns when
        they do, or will not.
        """
        if leg in self._legs and not self.is_here(leg):
            partner = self._pairs.partner(leg)
            if partner is None:
                self._wanted.add(leg)
            else:
                self._pairs.set_apart(leg, partner)
            self.signalling.changed()
            await self.signalling.quiet()

    def release(self, leg: str) -> None:
        """The leg is gone, and with it whatever its partner was to hear."""
        self._relay.release(leg)
        self._legs.pop(leg, None)
        self._wanted.discard(leg)
        self._stuck.discard(leg)
        self.left(leg)
        self._pairs.forget(leg)
        self._take_back(leg)
        if self._legs:
            self.signalling.changed()

    def close(self) -> None:
        """Forget every leg."""
        self.signalling = NoSignalling()
        self._relay.close()
        self._legs.clear()
        self._pairs.clear()

    # What has to be said to whom.

    def next_move(self) -> Move | None:
        """What is to be said next; None when all is as wished."""
        telling: list[str] = []
        for leg, known in self._legs.items():
            if known.offer is None:
                telling.append(leg)
            elif not known.opening and (move := self._settle(leg)) is not None:
                return move
        for leg in telling:
            if (tell := self._tell(leg)) is not None:
                return tell
        return None

    def answer(self, leg: str) -> bytes:
        """Our answer to its open offer. Raises MediaRefused or NoPortFree, and the offer stands."""
        known = self._legs[leg]
        assert known.offer is not None
        was_here, other = known.here, self._legs.get(self._source(leg) or US)
        if not known.here and known.repeats() and known.told is not None and other is None:
            words = known.answer(known.told, self._host, ours=False)
        elif other is None or other.said is None:
            line, _ = AudioLine.read(self._relay.accept(leg, known.offer_body))
            words = known.answer(line, self._host, ours=True)
        else:
            line = other.said.directed(both(known.offer.direction, other.willing))
            words = known.answer(line, self._host, ours=False)
        self._moved(leg, was_here)
        return words

    def refused(self, leg: str) -> None:
        """Its open offer is refused, as a move said."""
        if leg in self._legs:
            self._legs[leg].refused()

    def not_taken(self, leg: str, status: int) -> bool:
        """Our offer to the leg was refused with this status; true if nothing is left to be tried.

        An offer passed on is refused to who made it. A join is tried through us, and then taken back.
        """
        known = self._legs.get(leg)
        if known is None:
            return True
        proposal, known.proposal = known.proposal, None
        if not known.here:
            self._relay.release(leg)
        source = self._source(leg)
        if source is None or (proposal is not None and proposal.ours != (source == US)):
            return False  # something else is wished by now
        partner = self._pairs.partner(leg)
        other = self._legs.get(partner) if partner is not None else None
        if partner is None or other is None:
            self._stuck.add(leg)
            return True
        if other.offer is not None and not other.invited_late:
            other.refusal = status
            return False
        if not self._pairs.are_apart(leg, partner):
            self._pairs.set_apart(leg, partner)
            return False
        self._take_back(leg)
        return True

    def is_here(self, leg: str) -> bool:
        """Whether its packets come to us."""
        return leg in self._legs and self._legs[leg].here

    def _settle(self, leg: str) -> Move | None:
        """For a leg whose offer is open."""
        known, source = self._legs[leg], self._source(leg)
        assert known.offer is not None
        if known.refusal is not None:
            return Refuse(leg, known.refusal)
        if source is None:
            return None
        if source == US:
            return Answer(leg)
        other = self._legs[source]
        if other.opening:
            return None
        if other.offer is not None:  # both have offered (RFC 3261 §14.2); who cannot offer again waits
            return None if known.invited_late else Refuse(leg, 491)
        if other.knows(known.offer, known.offer.direction):
            return Answer(leg)
        begun = other.told is not None and self.signalling.stands(source)
        return Offer(source, patient=known.invited_late) if begun else None

    def _tell(self, leg: str) -> Move | None:
        """For a leg that has no open offer, and no INVITE of its own that waits for its answer."""
        known = self._legs[leg]
        if known.opening or known.told is None or (source := self._source(leg)) is None:
            return None
        if not self.signalling.stands(leg):
            return None
        if source == US:
            return None if known.here else Offer(leg, patient=True)
        other = self._legs[source]
        if other.said is None or other.offer is not None or known.knows(other.said, other.willing):
            return None
        return Offer(leg, patient=True)

    def _source(self, leg: str) -> str | None:
        """Of whom the leg is to be told; None: it is left with what it was told."""
        partner = self._pairs.partner(leg)
        if partner is not None:
            return US if self._is_apart(leg, partner) else partner
        return US if leg in self._wanted | self._ringing.keys() and leg not in self._stuck else None

    def _is_apart(self, leg: str, other: str) -> bool:
        """Whether these two talk through us: already, or because they cannot do it by themselves."""
        if self._pairs.are_apart(leg, other) or (self._legs[leg].here and self._legs[other].here):
            return True
        lines = (leg, self._line(other)), (other, self._line(leg))
        return not all(line is None or self._suits(one, line) for one, line in lines)

    def _suits(self, leg: str, line: AudioLine) -> bool:
        """Whether the leg's peer may be told this: of its IP version, and protected as it is to be."""
        return self._allows(leg, line) and self._over.get(leg, line.ip_version) == line.ip_version

    def _allows(self, leg: str, line: AudioLine) -> bool:
        policy = self._policies.get(leg)
        return policy is not (SrtpPolicy.OFF if line.protected else SrtpPolicy.REQUIRE)

    def _line(self, leg: str) -> AudioLine | None:
        """What that leg's peer would have another know."""
        known = self._legs.get(leg)
        if known is None or (known.offer is None and known.said is None):
            return None
        return known.offer or (known.said and known.said.directed(known.willing))

    # How a leg begins, and where it goes.

    def _first_offer(self, leg: str) -> bytes:
        """The offer of a caller who is not answered yet goes on to whoever is called. One who talks already
        has his answer: then whoever is called makes the offer, in its 2xx, and the caller is re-INVITEd.
        """
        stands, legs = self.signalling.stands, self._legs.items()
        asking = next((each.offer for _, each in legs if each.opening), None)
        talking = next((each.said for name, each in legs if each.said is not None and stands(name)), None)
        heard = asking or talking
        known = self._legs.setdefault(leg, ToldLeg(self._ids(31)))
        if heard is None or known.wants_ours or not self._suits(leg, heard):
            return self._offer_ours(leg)
        if asking is not None:
            return known.proposed(heard, self._host, ours=False)
        known.invited_late = True
        return b""

    def _offer_ours(self, leg: str) -> bytes:
        known = self._legs.setdefault(leg, ToldLeg(self._ids(31)))
        line, _ = AudioLine.read(self._relay.offer(leg))
        return known.proposed(line, self._host, ours=True)

    def _moved(self, leg: str, was_here: bool) -> None:
        """Something new is in force for the leg."""
        if was_here and not self._legs[leg].here:
            self._relay.release(leg)
        if self._legs[leg].here and not was_here:
            self.arrived(leg)
        self._link(leg)
        self.signalling.changed()

    def _link(self, leg: str) -> None:
        """Two legs that are both here hear each other through us."""
        partner = self._pairs.partner(leg)
        if partner is not None and self._legs[leg].here and self._legs[partner].here:
            self._relay.join(leg, partner)

    def _unjoin(self, leg: str) -> None:
        self._relay.part(leg)
        self._pairs.part(leg)

    def _take_back(self, leg: str) -> None:
        """The join has come to nothing: who was joined before is so again."""
        for one in self._pairs.take_back(leg, self._legs):
            self._link(one)
