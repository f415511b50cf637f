"""The `MediaSession` contract, run against every media mode (RFC 3264, RFC 7092)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from proxy.media.audio_line import AudioLine
from proxy.media.direct import DirectSession
from proxy.media.direct_offers import Answer, Offer, Refuse
from proxy.media.interface import Counts, MediaRefused, MediaSession
from proxy.media.sdp import Direction, parse_sdp
from proxy.media.tones import beep
from tests.media.peer import PUBLIC, Peer, Rig, counting

FOREIGN = (b"them", b"secret", b"4711", b"192.0.2.99")
MODES: dict[str, Callable[[Rig], MediaSession]] = {
    "relay": lambda rig: rig.session,
    "direct": lambda rig: DirectSession(rig.session, PUBLIC, counting()),
}


class Party:
    """A call without SIP: three peers, and the offers and answers that the session asks for."""

    def __init__(self, rig: Rig, session: MediaSession) -> None:
        self.rig, self.session = rig, session
        self.received: dict[str, list[bytes]] = {}
        self.directions: dict[str, Direction] = {}
        self.refuses: set[str] = set()

    def peer(self, leg: str) -> Peer:
        return self.rig.peers.get(leg) or self.rig.peer(leg)

    def sdp(self, leg: str) -> bytes:
        return self.peer(leg).sdp("0 8 101", f"a={self.directions.get(leg, Direction.SENDRECV).value}")

    def calls(self, leg: str) -> None:
        """The leg's peer calls us with an offer."""
        self.session.accept(leg, self.sdp(leg))

    def is_answered(self, leg: str) -> None:
        self.receives(leg, self.session.repeat_sdp(leg))

    def is_called(self, leg: str) -> None:
        """We call the leg's peer, which answers our offer; without one, it offers and we answer."""
        offer = self.session.offer(leg)
        if offer:
            self.receives(leg, offer)
            self.session.answered(leg, self.sdp(leg))
        elif answer := self.session.accept(leg, self.sdp(leg)):
            self.receives(leg, answer)

    def offers(self, leg: str) -> int:
        """The leg's peer sends a new offer; returns the status of our answer."""
        try:
            answer = self.session.accept(leg, self.sdp(leg))
        except MediaRefused:
            return 488
        if answer:
            self.receives(leg, answer)
            return 200
        return self.settles().get(leg, 200)

    def settles(self) -> dict[str, int]:
        """Make every move the session asks for; returns the status for each refused leg."""
        refused: dict[str, int] = {}
        for _ in range(20):
            if not isinstance(self.session, DirectSession) or (move := self.session.next_move()) is None:
                return refused
            match move:
                case Offer(leg):
                    offer = self.session.offer(leg)
                    if leg in self.refuses:
                        self.session.offer_rejected(leg, 488)
                    else:
                        self.receives(leg, offer)
                        self.session.answered(leg, self.sdp(leg))
                case Answer(leg):
                    self.receives(leg, self.session.answer(leg))
                case Refuse(leg, status):
                    self.session.refused(leg)
                    refused[leg] = status
        raise AssertionError("never settles")

    def receives(self, leg: str, sdp: bytes) -> None:
        self.received.setdefault(leg, []).append(sdp)

    def talks(self) -> None:
        """Caller and agent are joined."""
        self.calls("caller")
        self.is_called("agent")
        self.session.join("caller", "agent")
        self.is_answered("caller")
        self.settles()

    def switches(self) -> None:
        """The phone takes the agent's place."""
        self.is_called("phone")
        self.session.join("caller", "phone")
        self.settles()
        self.session.release("agent")
        self.settles()


@pytest.fixture(params=list(MODES))
def party(rig: Rig, request: pytest.FixtureRequest) -> Party:
    return Party(rig, MODES[request.param](rig))


def origin(sdp: bytes) -> list[str]:
    return sdp.decode().split("\r\n")[1].split()


async def test_whole_call_returns_every_port(party: Party) -> None:
    party.talks()
    party.switches()
    party.session.release("phone")
    party.session.release("caller")
    party.session.close()
    assert party.rig.ports.lent == 0
    assert party.session.counts("nobody") == Counts()


async def test_sdp_sent_to_a_peer_contains_no_other_peer_s_origin_rfc8866_5_2(party: Party) -> None:
    party.talks()
    party.switches()
    assert set(party.received) == {"caller", "agent", "phone"}
    for received in party.received.values():
        for each in received:
            assert not [word for word in FOREIGN if word in each]
            assert origin(each)[5] == PUBLIC


async def test_each_leg_s_origin_version_increases_only_on_change_rfc3264_8(
    party: Party,
) -> None:
    party.talks()
    party.switches()
    for direction in (Direction.SENDONLY, Direction.SENDRECV, Direction.SENDRECV):
        party.directions["caller"] = direction
        assert party.offers("caller") == 200
    ids = {leg: {origin(each)[1] for each in received} for leg, received in party.received.items()}
    assert all(len(each) == 1 for each in ids.values())
    assert len(set.union(*ids.values())) == 3
    for received in party.received.values():
        for before, after in pairwise(received):
            step = int(origin(after)[2]) - int(origin(before)[2])
            assert step == (before != after)


async def test_hold_and_resume_are_answered_with_the_mirrored_direction_rfc3264_8_4(party: Party) -> None:
    party.talks()
    for offered, answer in (
        (Direction.SENDONLY, b"a=recvonly"),
        (Direction.INACTIVE, b"a=inactive"),
        (Direction.SENDRECV, b"a=sendrecv"),
    ):
        party.directions["caller"] = offered
        assert party.offers("caller") == 200
        assert answer in party.received["caller"][-1]


async def test_refresh_gets_an_identical_answer_rfc4028_7_4(party: Party) -> None:
    party.talks()
    party.offers("caller")
    before = party.received["caller"][-1]
    assert party.offers("caller") == 200
    assert party.received["caller"][-1] == before == party.session.repeat_sdp("caller")


@pytest.mark.parametrize("body", [b"", b"nonsense", b"v=0\r\nm=audio 0 RTP/AVP 0\r\n", b"v=0\r\nm=audio\r\n"])
async def test_invalid_reoffer_is_refused_and_the_session_unchanged_rfc3261_14_2(
    party: Party, body: bytes
) -> None:
    party.talks()
    before = party.session.repeat_sdp("caller")
    with pytest.raises(MediaRefused):
        party.session.accept("caller", body)
    assert party.session.repeat_sdp("caller") == before


async def test_refused_media_lines_keep_their_place_in_every_sdp_rfc3264_6(party: Party) -> None:
    video = b"m=video 5000 RTP/AVP 31\r\n"
    party.session.accept("caller", party.sdp("caller") + video)
    party.is_called("agent")
    party.session.join("caller", "agent")
    party.is_answered("caller")
    party.switches()
    for each in party.received["caller"]:
        assert [(media.kind, media.port > 0) for media in parse_sdp(each).media] == [
            ("audio", True), ("video", False),
        ]  # fmt: skip
    assert all(len(parse_sdp(each).media) == 1 for each in party.received["phone"])


async def test_answer_without_an_offer_is_refused(party: Party) -> None:
    with pytest.raises(MediaRefused):
        party.session.answered("agent", party.sdp("agent"))


async def test_parted_caller_can_be_recorded_and_played_to_and_its_port_returns(
    party: Party, tmp_path: Path
) -> None:
    party.talks()
    party.session.release("agent")
    party.session.part("caller")
    party.settles()
    line, _ = AudioLine.read(party.received["caller"][-1])
    assert line.address == PUBLIC
    caller = party.peer("caller")
    caller.remote = (line.address, line.section.port)
    recording = party.session.record("caller", tmp_path / "message.wav")
    await caller.send_speech(50)
    assert recording.close() == pytest.approx(1.0, abs=0.05)
    before = len(caller.heard)
    await party.session.play("caller", beep())
    assert len(caller.heard) - before == 20
    party.session.close()
    assert party.rig.ports.lent == 0


async def test_closing_twice_or_releasing_an_unknown_leg_is_harmless(party: Party) -> None:
    party.session.release("nobody")
    party.session.part("nobody")
    party.session.ringback("nobody", False)
    party.talks()
    party.session.close()
    party.session.close()
    assert party.rig.ports.lent == 0
