"""One leg of a direct session: the SDP its peer has sent, and the SDP we have sent it."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.media.audio_line import AudioLine, answer_direction, own_direction
from proxy.media.interface import MediaRefused
from proxy.media.sdp import Direction, Layout


@dataclass(slots=True)
class Proposal:
    """An offer of ours that has no answer yet."""

    line: AudioLine
    body: bytes
    ours: bool
    """It names a port of ours, rather than another leg's peer."""


class DirectLeg:
    """Offer/answer state with one peer: one series of `o=` versions, whoever's SDP is sent (RFC 3264 §8)."""

    __slots__ = (
        "invited_without_offer",
        "layout",
        "needs_our_offer",
        "offer",
        "offer_body",
        "offer_layout",
        "opening",
        "origin_id",
        "peer_direction",
        "peer_line",
        "proposal",
        "refusal",
        "relayed",
        "sent_line",
        "sent_sdp",
        "version",
    )

    def __init__(self, origin_id: int) -> None:
        self.origin_id, self.version = origin_id, 0
        self.layout: Layout = (None,)
        self.peer_line: AudioLine | None = None
        """The peer's audio line in force."""
        self.peer_direction = Direction.SENDRECV
        """The direction the peer itself wants, apart from any hold by the other side."""
        self.sent_line: AudioLine | None = None
        """The audio line in force that we sent the peer, and the SDP it was in:"""
        self.sent_sdp = b""
        self.relayed = False
        """Its packets come to our relay."""
        self.proposal: Proposal | None = None
        self.offer: AudioLine | None = None
        """The peer's unanswered offer, and the SDP it was in:"""
        self.offer_body = b""
        self.offer_layout: Layout = (None,)
        """The m= lines of that offer."""
        self.opening = False
        """That offer came in the INVITE that created the leg."""
        self.invited_without_offer = False
        """It was called without an offer: the peer makes the first one."""
        self.needs_our_offer = False
        """Its peer refused another leg's SDP, and is to be offered our relay next."""
        self.refusal: int | None = None
        """Status to refuse its open offer with."""

    def propose(self, line: AudioLine, host: str, *, ours: bool) -> bytes:
        """Offer this line to the peer; returns the SDP."""
        self.proposal = Proposal(line, self._sdp_for(line, host), ours)
        return self.proposal.body

    def repeat(self) -> bytes:
        """Offer again what was last sent, byte for byte."""
        assert self.sent_line is not None
        self.proposal = Proposal(self.sent_line, self.sent_sdp, self.relayed)
        return self.sent_sdp

    def answered(self, body: bytes) -> None:
        """Take the peer's answer to our offer. Raises MediaRefused."""
        if self.proposal is None:
            raise MediaRefused("an answer without an offer")
        line, _ = AudioLine.read(body)
        if line.protected is not self.proposal.line.protected:
            raise MediaRefused("the answer is not protected as the offer was")
        proposal, self.proposal = self.proposal, None
        # A refresh says nothing of what the peer wants.
        if (line, proposal.line) != (self.peer_line, self.sent_line):
            self.peer_direction = own_direction(line.direction, proposal.line.direction)
        self.peer_line = line
        self.sent_line, self.sent_sdp, self.relayed = proposal.line, proposal.body, proposal.ours

    def offered(self, body: bytes) -> None:
        """Take the peer's offer; the old agreement holds until it is answered. Raises MediaRefused."""
        self.offer, self.offer_layout = AudioLine.read(body)
        self.offer_body, self.refusal = body, None
        if self.sent_line is None:
            self.layout = self.offer_layout

    def answer(self, line: AudioLine, host: str, *, ours: bool) -> bytes:
        """Answer the open offer with this line; both come into force. Returns the SDP."""
        assert self.offer is not None
        self.layout = self.offer_layout
        sdp = self._sdp_for(line, host)
        self.peer_line, self.peer_direction, self.offer = self.offer, self.offer.direction, None
        self.sent_line, self.sent_sdp, self.relayed = line, sdp, ours
        self.opening = self.invited_without_offer = False
        self.offer_body = b""
        return sdp

    def refused(self) -> None:
        """Drop the open offer, which was refused."""
        self.offer, self.offer_body, self.refusal = None, b"", None

    @property
    def suite(self) -> str | None:
        """The SRTP crypto-suite named by both sides (RFC 4568 §5.1.2)."""
        if self.peer_line is None or self.sent_line is None:
            return None
        return next((suite for suite in self.peer_line.suites if suite in self.sent_line.suites), None)

    def is_refresh(self) -> bool:
        """Whether the open offer repeats what the peer said before: a session refresh (RFC 4028 §7.4)."""
        return self.offer == self.peer_line

    def has_line(self, line: AudioLine, direction: Direction) -> bool:
        """Whether the peer has this line already, from our offer or our answer."""
        sent = self.sent_line
        if sent is None or self.relayed or not sent.same_but_direction(line):
            return False
        return sent.direction in (direction, answer_direction(self.peer_direction, direction))

    def _sdp_for(self, line: AudioLine, host: str) -> bytes:
        """The SDP for this line, with a new `o=` version only if the content changes."""
        if self.sent_sdp:
            again = line.write((self.origin_id, self._agreed_version), host, self.layout)
            if again == self.sent_sdp:
                return again
        self.version += 1
        return line.write((self.origin_id, self.version), host, self.layout)

    @property
    def _agreed_version(self) -> int:
        return int(self.sent_sdp.split(b" ", 3)[2])
