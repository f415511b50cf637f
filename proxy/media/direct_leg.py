"""One leg of a direct session: the SDP its peer has sent, and the SDP we have sent it."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.media.audio_line import AudioLine, both, unasked
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
        "body",
        "here",
        "invited_late",
        "layout",
        "offer",
        "offer_body",
        "offer_layout",
        "opening",
        "origin_id",
        "proposal",
        "refusal",
        "said",
        "told",
        "version",
        "wants_ours",
        "willing",
    )

    def __init__(self, origin_id: int) -> None:
        self.origin_id, self.version = origin_id, 0
        self.layout: Layout = (None,)
        self.said: AudioLine | None = None
        """The peer's audio line in force."""
        self.willing = Direction.SENDRECV
        """The direction the peer itself wants, apart from any hold by the other side."""
        self.told: AudioLine | None = None
        """The audio line in force that we sent the peer, and the SDP it was in:"""
        self.body = b""
        self.here = False
        """Its packets come to our relay."""
        self.proposal: Proposal | None = None
        self.offer: AudioLine | None = None
        """The peer's unanswered offer, and the SDP it was in:"""
        self.offer_body = b""
        self.offer_layout: Layout = (None,)
        """The m= lines of that offer."""
        self.opening = False
        """That offer came in the INVITE that created the leg."""
        self.invited_late = False
        """It was called without an offer: the peer makes the first one."""
        self.wants_ours = False
        """Its peer refused another leg's SDP, and is to be offered our relay next."""
        self.refusal: int | None = None
        """Status to refuse its open offer with."""

    def proposed(self, line: AudioLine, host: str, *, ours: bool) -> bytes:
        """Offer this line to the peer; returns the SDP."""
        self.proposal = Proposal(line, self._words(line, host), ours)
        return self.proposal.body

    def repeated(self) -> bytes:
        """Offer again what was last sent, byte for byte."""
        assert self.told is not None
        self.proposal = Proposal(self.told, self.body, self.here)
        return self.body

    def answered(self, body: bytes) -> None:
        """Take the peer's answer to our offer. Raises MediaRefused."""
        if self.proposal is None:
            raise MediaRefused("an answer without an offer")
        line, _ = AudioLine.read(body)
        if line.protected is not self.proposal.line.protected:
            raise MediaRefused("the answer is not protected as the offer was")
        proposal, self.proposal = self.proposal, None
        if (line, proposal.line) != (self.said, self.told):  # a refresh says nothing of what the peer wants
            self.willing = unasked(line.direction, proposal.line.direction)
        self.said = line
        self.told, self.body, self.here = proposal.line, proposal.body, proposal.ours

    def offered(self, body: bytes) -> None:
        """Take the peer's offer; the old agreement holds until it is answered. Raises MediaRefused."""
        self.offer, self.offer_layout = AudioLine.read(body)
        self.offer_body, self.refusal = body, None
        if self.told is None:
            self.layout = self.offer_layout

    def answer(self, line: AudioLine, host: str, *, ours: bool) -> bytes:
        """Answer the open offer with this line; both come into force. Returns the SDP."""
        assert self.offer is not None
        self.layout = self.offer_layout
        words = self._words(line, host)
        self.said, self.willing, self.offer = self.offer, self.offer.direction, None
        self.told, self.body, self.here = line, words, ours
        self.opening = self.invited_late = False
        self.offer_body = b""
        return words

    def refused(self) -> None:
        """Drop the open offer, which was refused."""
        self.offer, self.offer_body, self.refusal = None, b"", None

    @property
    def suite(self) -> str | None:
        """The SRTP crypto-suite named by both sides (RFC 4568 §5.1.2)."""
        if self.said is None or self.told is None:
            return None
        return next((suite for suite in self.said.suites if suite in self.told.suites), None)

    def repeats(self) -> bool:
        """Whether the open offer repeats what the peer said before: a session refresh (RFC 4028 §7.4)."""
        return self.offer == self.said

    def knows(self, line: AudioLine, willing: Direction) -> bool:
        """Whether the peer has this line already, from our offer or our answer."""
        told = self.told
        if told is None or self.here or not told.same_but_direction(line):
            return False
        return told.direction in (willing, both(self.willing, willing))

    def _words(self, line: AudioLine, host: str) -> bytes:
        """The SDP for this line, with a new `o=` version only if the content changes."""
        if self.body:
            again = line.write((self.origin_id, self._agreed_version), host, self.layout)
            if again == self.body:
                return again
        self.version += 1
        return line.write((self.origin_id, self.version), host, self.layout)

    @property
    def _agreed_version(self) -> int:
        return int(self.body.split(b" ", 3)[2])
