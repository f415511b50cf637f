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


def names_our_address(sdp: bytes) -> bool:
    """Whether the SDP names our address."""
    return f"c=IN IP4 {PUBLIC}".encode() in sdp


async def test_phone_s_offer_goes_to_the_caller_and_the_answer_to_the_phone_rfc3725_4_1(
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


async def test_caller_that_refuses_the_phone_s_sdp_and_the_relay_keeps_its_session(party: Party) -> None:
    party.talks()
    session = party.session
    assert isinstance(session, DirectSession)
    before = session.repeat_sdp("caller")
    party.is_called("phone")
    session.join("caller", "phone")
    session.offer("caller")
    assert not session.offer_rejected("caller", 488)
    assert session.next_move() == Answer("phone")
    assert names_our_address(session.answer("phone"))
    assert session.next_move() == Offer("caller", patient=True)
    assert names_our_address(session.offer("caller"))
    assert session.offer_rejected("caller", 488)
    assert session.next_move() is None
    assert session.repeat_sdp("caller") == before
    session.release("phone")
    assert session.next_move() is None
    assert party.rig.ports.lent == 0


async def test_reoffer_is_passed_on_and_its_rejection_returned_rfc3261_14_2(party: Party) -> None:
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


async def test_caller_s_reoffer_that_crosses_our_offer_gets_491_rfc3261_14_2(party: Party) -> None:
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


async def test_peers_of_different_ip_versions_are_relayed_rfc6157(party: Party) -> None:
    party.session.use_ip_version("agent", 6)
    party.calls("caller")
    assert names_our_address(party.session.offer("agent"))
    party.session.answered("agent", party.sdp("agent"))
    party.session.join("caller", "agent")
    assert names_our_address(party.session.repeat_sdp("caller"))
    assert party.rig.ports.lent == 2


@pytest.mark.parametrize("leg", ["caller", "agent"])
async def test_peers_are_relayed_if_only_one_requires_srtp_rfc4568(party: Party, leg: str) -> None:
    session = party.session
    session.set_srtp_policy(leg, SrtpPolicy.REQUIRE)
    session.set_srtp_policy("caller" if leg == "agent" else "agent", SrtpPolicy.OFF)
    offer = party.sdp("caller")
    session.accept("caller", protected(offer) if leg == "caller" else offer)
    received = session.offer("agent")
    assert names_our_address(received)
    assert (b"RTP/SAVP" in received) is (leg == "agent")


async def test_srtp_is_end_to_end_with_the_peers_own_keys_rfc4568(party: Party) -> None:
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
async def test_caller_s_offer_against_its_srtp_policy_is_refused_rfc4568(
    party: Party, policy: SrtpPolicy
) -> None:
    party.session.set_srtp_policy("caller", policy)
    offer = party.sdp("caller")
    with pytest.raises(MediaRefused, match="SRTP"):
        party.session.accept("caller", offer if policy is SrtpPolicy.REQUIRE else protected(offer))


async def test_plain_rtp_answer_to_an_srtp_offer_is_refused_rfc4568_5_1_2(party: Party) -> None:
    party.session.accept("caller", protected(party.sdp("caller")))
    party.session.offer("agent")
    with pytest.raises(MediaRefused, match="protected"):
        party.session.answered("agent", party.sdp("agent"))


async def test_caller_is_relayed_for_ringback_after_the_agent_leaves_and_direct_again_with_the_phone(
    party: Party,
) -> None:
    party.talks()
    session = party.session
    assert isinstance(session, DirectSession)
    session.ringback("caller", True)
    assert session.next_move() is None, "the agent keeps it company"
    session.release("agent")
    assert session.next_move() == Offer("caller", patient=True)
    party.settles()
    assert names_our_address(party.received["caller"][-1])
    session.ringback("caller", False)
    party.is_called("phone")
    session.join("caller", "phone")
    party.settles()
    assert not names_our_address(party.received["caller"][-1])
    assert party.rig.ports.lent == 0


async def test_caller_that_refuses_the_relay_is_offered_it_once_per_part(party: Party) -> None:
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


async def test_phone_that_began_on_the_relay_is_moved_to_direct_media(party: Party) -> None:
    party.talks()
    session = party.session
    assert isinstance(session, DirectSession)
    assert session.offer("phone") == b""
    assert session.fall_back("phone"), "it would not make the first offer"
    offer = session.offer("phone")
    assert names_our_address(offer)
    session.answered("phone", party.sdp("phone"))
    assert not session.fall_back("phone")
    session.join("caller", "phone")
    party.settles()
    assert not names_our_address(party.received["caller"][-1])
    assert not names_our_address(party.received["phone"][-1])
    assert party.rig.ports.lent == 0


LEGS = ("caller", "agent", "phone")
ACTIONS = st.sampled_from(
    ["calls", "is_answered", "is_called", "offers", "release", "part", "join agent", "join phone", "refuses"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ACTIONS, st.sampled_from(LEGS), st.sampled_from(list(Direction))), max_size=14))
@example(  # the caller re-offers before the agent, called without an offer, has answered
    [
        ("calls", "caller", Direction.SENDRECV),
        ("is_answered", "caller", Direction.SENDRECV),
        ("is_answered", "agent", Direction.SENDRECV),
        ("join agent", "caller", Direction.SENDRECV),
        ("calls", "caller", Direction.SENDONLY),
    ]
)
def test_any_order_of_events_settles_and_returns_every_port(
    actions: list[tuple[str, str, Direction]],
) -> None:
    """Peers call, answer, hold, refuse and leave in any order."""
    asyncio.run(all_settles(actions))


async def all_settles(actions: list[tuple[str, str, Direction]]) -> None:
    network, ports = MemoryMedia(), PortPool(20000, 20099)
    relay = RelaySession(MediaEngine(network, ports, "0.0.0.0", PUBLIC, counting(), lambda: 0.0))
    rig = SimpleNamespace(peers={}, ports=ports, network=network)
    rig.peer = lambda leg: rig.peers.setdefault(leg, Peer(network, f"198.51.100.{LEGS.index(leg) + 1}"))
    session = DirectSession(relay, PUBLIC, counting())
    party = Party(rig, session)  # type: ignore[arg-type]
    for action, leg, direction in actions:
        party.directions[leg] = direction
        with contextlib.suppress(MediaRefused):
            match action.split():
                case ["join", other]:
                    session.join("caller", other)
                case ["refuses"]:
                    party.refuses ^= {leg}
                case ["release" | "part"]:
                    getattr(session, action)(leg)
                case _:
                    getattr(party, action)(leg)
        party.settles()
    session.close()
    assert ports.lent == 0
