"""Direct media: SDP passed between the peers, and fallback to the relay (RFC 3725, RFC 3264)."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.media.direct import DirectSession
from proxy.media.direct_offers import Answer, Offer, Refuse
from proxy.media.engine import MediaEngine
from proxy.media.interface import MediaRefused
from proxy.media.ports import PortPool
from proxy.media.sdes import SrtpPolicy
from proxy.media.sdp import Direction
from proxy.media.session import RelaySession
from tests.kit.media import MemoryMedia
from tests.media.peer import PUBLIC, Peer, Rig, counting
from tests.media.test_every_mode import Party

KEY = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
CRYPTO = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\r\n".encode()


@pytest.fixture
def session(rig: Rig) -> DirectSession:
    return DirectSession(rig.session, PUBLIC, counting())


@pytest.fixture
def party(rig: Rig, session: DirectSession) -> Party:
    return Party(rig, session)


def protected(sdp: bytes) -> bytes:
    return sdp.replace(b"RTP/AVP", b"RTP/SAVP") + CRYPTO


def here(sdp: bytes) -> bool:
    """Whether the SDP names our address."""
    return f"c=IN IP4 {PUBLIC}".encode() in sdp


async def test_the_caller_is_told_of_the_phone_and_then_the_phone_of_him_rfc3725_4_1(
    party: Party,
) -> None:
    party.talks()
    session = party.session
    assert isinstance(session, DirectSession)
    assert session.next_move() is None
    assert session.offer("phone") == b"", "flow I: the phone makes the first offer"
    assert session.accept("phone", party.sdp("phone")) == b""
    assert session.next_move() is None, "nobody is joined to it yet"
    session.join("caller", "phone")
    assert session.next_move() == Offer("caller", patient=True)
    assert party.peer("phone").address[0].encode() in session.offer("caller")
    session.answered("caller", party.sdp("caller"))
    assert session.next_move() == Answer("phone")
    assert party.peer("caller").address[0].encode() in session.answer("phone")
    assert session.next_move() is None
    assert party.rig.ports.lent == 0


async def test_a_caller_that_refuses_is_asked_to_come_here_and_then_left_where_it_was(party: Party) -> None:
    party.talks()
    session = party.session
    assert isinstance(session, DirectSession)
    before = session.repeat_sdp("caller")
    party.is_called("phone")
    session.join("caller", "phone")
    session.offer("caller")
    assert not session.offer_rejected("caller", 488)
    assert session.next_move() == Answer("phone")
    assert here(session.answer("phone"))
    assert session.next_move() == Offer("caller", patient=True)
    assert here(session.offer("caller"))
    assert session.offer_rejected("caller", 488)
    assert session.next_move() is None
    assert session.repeat_sdp("caller") == before
    session.release("phone")
    assert session.next_move() is None
    assert party.rig.ports.lent == 0


async def test_an_offer_is_passed_on_and_its_refusal_handed_back_rfc3261_14_2(party: Party) -> None:
    party.talks()
    session = party.session
    assert isinstance(session, DirectSession)
    party.directions["caller"] = Direction.SENDONLY
    assert session.accept("caller", party.sdp("caller")) == b""
    assert session.next_move() == Offer("agent", patient=False)
    assert b"a=sendonly" in session.offer("agent")
    assert not session.offer_rejected("agent", 491)
    assert session.next_move() == Refuse("caller", 491)
    session.refused("caller")
    assert session.next_move() is None


async def test_offers_of_both_are_491_to_the_one_that_can_make_it_again_rfc3261_14_2(party: Party) -> None:
    party.talks()
    session = party.session
    assert isinstance(session, DirectSession)
    party.is_called("phone")
    party.directions["caller"] = Direction.SENDONLY
    session.accept("caller", party.sdp("caller"))
    session.join("caller", "phone")
    assert session.next_move() == Refuse("caller", 491)
    session.refused("caller")
    assert session.next_move() == Offer("caller", patient=True)


async def test_peers_of_two_ip_versions_talk_through_us_rfc6157(party: Party) -> None:
    party.session.use_ip_version("agent", 6)
    party.calls("caller")
    assert here(party.session.offer("agent"))
    party.session.answered("agent", party.sdp("agent"))
    party.session.join("caller", "agent")
    assert here(party.session.repeat_sdp("caller"))
    assert party.rig.ports.lent == 2


@pytest.mark.parametrize("leg", ["caller", "agent"])
async def test_peers_of_which_one_alone_requires_srtp_talk_through_us_rfc4568(party: Party, leg: str) -> None:
    session = party.session
    session.set_srtp_policy(leg, SrtpPolicy.REQUIRE)
    session.set_srtp_policy("caller" if leg == "agent" else "agent", SrtpPolicy.OFF)
    offer = party.sdp("caller")
    session.accept("caller", protected(offer) if leg == "caller" else offer)
    told = session.offer("agent")
    assert here(told)
    assert (b"RTP/SAVP" in told) is (leg == "agent")


async def test_srtp_goes_from_end_to_end_with_the_peers_own_keys_rfc4568(party: Party) -> None:
    session = party.session
    session.set_srtp_policy("agent", SrtpPolicy.REQUIRE)
    session.accept("caller", protected(party.sdp("caller")))
    assert CRYPTO in session.offer("agent")
    session.answered("agent", protected(party.sdp("agent")))
    session.join("caller", "agent")
    assert CRYPTO in session.repeat_sdp("caller")
    assert session.srtp_suite("caller") == session.srtp_suite("agent") == "AES_CM_128_HMAC_SHA1_80"
    assert party.rig.ports.lent == 0


@pytest.mark.parametrize("policy", [SrtpPolicy.REQUIRE, SrtpPolicy.OFF])
async def test_a_caller_is_held_to_what_is_set_for_it_rfc4568(party: Party, policy: SrtpPolicy) -> None:
    party.session.set_srtp_policy("caller", policy)
    offer = party.sdp("caller")
    with pytest.raises(MediaRefused, match="SRTP"):
        party.session.accept("caller", offer if policy is SrtpPolicy.REQUIRE else protected(offer))


async def test_an_answer_never_downgrades_silently_rfc4568_5_1_2(party: Party) -> None:
    party.session.accept("caller", protected(party.sdp("caller")))
    party.session.offer("agent")
    with pytest.raises(MediaRefused, match="protected"):
        party.session.answered("agent", party.sdp("agent"))


async def test_a_peer_that_has_left_leaves_the_caller_to_our_ringback(party: Party) -> None:
    party.talks()
    session = party.session
    assert isinstance(session, DirectSession)
    session.ringback("caller", True)
    assert session.next_move() is None, "the agent keeps it company"
    session.release("agent")
    assert session.next_move() == Offer("caller", patient=True)
    party.settles()
    assert here(party.told["caller"][-1])
    session.ringback("caller", False)
    party.is_called("phone")
    session.join("caller", "phone")
    party.settles()
    assert not here(party.told["caller"][-1])
    assert party.rig.ports.lent == 0


async def test_a_caller_that_will_not_come_here_is_asked_once(party: Party) -> None:
    party.talks()
    party.refuses.add("caller")
    party.session.release("agent")
    party.session.part("caller")
    party.settles()
    session = party.session
    assert isinstance(session, DirectSession)
    assert session.next_move() is None
    assert party.rig.ports.lent == 0
    session.part("caller")
    assert session.next_move() == Offer("caller", patient=True)


async def test_a_phone_that_is_here_already_is_told_of_the_caller_too(party: Party) -> None:
    party.talks()
    session = party.session
    assert isinstance(session, DirectSession)
    assert session.offer("phone") == b""
    assert session.fall_back("phone"), "it would not make the first offer"
    offer = session.offer("phone")
    assert here(offer)
    session.answered("phone", party.sdp("phone"))
    assert not session.fall_back("phone")
    session.join("caller", "phone")
    party.settles()
    assert not here(party.told["caller"][-1])
    assert not here(party.told["phone"][-1])
    assert party.rig.ports.lent == 0


LEGS = ("caller", "agent", "phone")
WORDS = st.sampled_from(
    ["calls", "is_answered", "is_called", "offers", "release", "part", "join agent", "join phone", "refuses"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(WORDS, st.sampled_from(LEGS), st.sampled_from(list(Direction))), max_size=14))
@example(  # the caller re-offers before the agent, called without an offer, has answered
    [
        ("calls", "caller", Direction.SENDRECV),
        ("is_answered", "caller", Direction.SENDRECV),
        ("is_answered", "agent", Direction.SENDRECV),
        ("join agent", "caller", Direction.SENDRECV),
        ("calls", "caller", Direction.SENDONLY),
    ]
)
def test_whatever_order_things_come_in_all_settles_and_no_port_is_left(
    words: list[tuple[str, str, Direction]],
) -> None:
    """Peers call, answer, hold, refuse and leave in any order."""
    asyncio.run(all_settles(words))


async def all_settles(words: list[tuple[str, str, Direction]]) -> None:
    network, ports = MemoryMedia(), PortPool(20000, 20099)
    relay = RelaySession(MediaEngine(network, ports, "0.0.0.0", PUBLIC, counting(), lambda: 0.0))
    rig = SimpleNamespace(peers={}, ports=ports, network=network)
    rig.peer = lambda leg: rig.peers.setdefault(leg, Peer(network, f"198.51.100.{LEGS.index(leg) + 1}"))
    session = DirectSession(relay, PUBLIC, counting())
    party = Party(rig, session)  # type: ignore[arg-type]
    for word, leg, direction in words:
        party.directions[leg] = direction
        with contextlib.suppress(MediaRefused):
            match word.split():
                case ["join", other]:
                    session.join("caller", other)
                case ["refuses"]:
                    party.refuses ^= {leg}
                case ["release" | "part"]:
                    getattr(session, word)(leg)
                case _:
                    getattr(party, word)(leg)
        party.settles()
    session.close()
    assert ports.lent == 0
