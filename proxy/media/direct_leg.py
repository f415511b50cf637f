"""One leg of a `direct` session: what its peer has said, and what we have told it."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.media.audio_line import AudioLine, both, unasked
from proxy.media.interface import MediaRefused
from proxy.media.sdp import Direction, Layout


@dataclass(slots=True)
class Proposal:
    """An offer of ours, while it has no answer."""

    line: AudioLine
    body: bytes
    ours: bool
    """It names a port of ours, not that of another leg's peer."""


class ToldLeg:
    """Offers and answers with one peer, in one line of versions whoever they speak for (RFC 3264 §8)."""

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
        """What its peer said, in force."""
        self.willing = Direction.SENDRECV
        """What the peer would say by itself, be it on hold or not."""
        self.told: AudioLine | None = None
        """What the peer was told, in force; and in which words:"""
        self.body = b""
        self.here = False
        """Its packets come to us."""
        self.proposal: Proposal | None = None
        self.offer: AudioLine | None = None
        """The peer's offer, while it has no answer; and in which words:"""
        self.offer_body = b""
        self.offer_layout: Layout = (None,)
        """And the lines around it."""
        self.opening = False
        """That offer came in the INVITE that begins the leg."""
        self.invited_late = False
        """It was called without an offer: the peer is to make the first one."""
        self.wants_ours = False
        """Its peer has refused what another leg had to offer, and is yet to be told of us."""
        self.refusal: int | None = None
        """The status that its offer is to be refused with."""

    def proposed(self, line: AudioLine, host: str, *, ours: bool) -> bytes:
        """Our offer, which says this."""
        self.proposal = Proposal(line, self._words(line, host), ours)
        return self.proposal.body

    def repeated(self) -> bytes:
        """What was told last, as our offer, to the byte."""
        assert self.told is not None
        self.proposal = Proposal(self.told, self.body, self.here)
        return self.body

    def answered(self, body: bytes) -> None:
        """The peer's answer to our offer. Raises MediaRefused."""
        if self.proposal is None:
            raise MediaRefused("an answer without an offer")
        line, _ = AudioLine.read(body)
        if line.protected is not self.proposal.line.protected:
            raise MediaRefused("the answer is not protected as the offer was")
        proposal, self.proposal = self.proposal, None
        if (line, proposal.line) != (self.said, self.told):  # a refresh tells nothing of the peer's wishes
            self.willing = unasked(line.direction, proposal.line.direction)
        self.said = line
        self.told, self.body, self.here = proposal.line, proposal.body, proposal.ours

    def offered(self, body: bytes) -> None:
        """The peer's offer; what was agreed stays in force until it is answered. Raises MediaRefused."""
        self.offer, self.offer_layout = AudioLine.read(body)
        self.offer_body, self.refusal = body, None
        if self.told is None:
            self.layout = self.offer_layout

    def answer(self, line: AudioLine, host: str, *, ours: bool) -> bytes:
        """Our answer to the open offer, which says this; both are in force from now on."""
        assert self.offer is not None
        self.layout = self.offer_layout
        words = self._words(line, host)
        self.said, self.willing, self.offer = self.offer, self.offer.direction, None
        self.told, self.body, self.here = line, words, ours
        self.opening = self.invited_late = False
        self.offer_body = b""
        return words

    def refused(self) -> None:
        """The open offer is refused."""
        self.offer, self.offer_body, self.refusal = None, b"", None

    @property
    def suite(self) -> str | None:
        """The SRTP crypto-suite that both sides of it have named (RFC 4568 §5.1.2)."""
        if self.said is None or self.told is None:
            return None
        return next((suite for suite in self.said.suites if suite in self.told.suites), None)

    def repeats(self) -> bool:
        """Whether the open offer says what the peer had said before: a refresh (RFC 4028 §7.4)."""
        return self.offer == self.said

    def knows(self, line: AudioLine, willing: Direction) -> bool:
        """Whether the peer was told this, as an offer or as the answer to its own."""
        told = self.told
        if told is None or self.here or not told.same_but_direction(line):
            return False
        return told.direction in (willing, both(self.willing, willing))

    def _words(self, line: AudioLine, host: str) -> bytes:
        """In new words only if they say something new."""
        if self.body:
            again = line.write((self.origin_id, self._agreed_version), host, self.layout)
            if again == self.body:
                return again
        self.version += 1
        return line.write((self.origin_id, self.version), host, self.layout)

    @property
    def _agreed_version(self) -> int:
        return int(self.body.split(b" ", 3)[2])
