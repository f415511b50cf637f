"""Media failures are reported with the SIP status that the peer is owed."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from proxy.call.journal import Journal
from proxy.call.leg_media import LegMedia
from proxy.call.record import CallRecord
from proxy.media.engine import MediaEngine
from proxy.media.ports import PortPool
from proxy.media.sdes import SrtpPolicy
from proxy.media.session import RelaySession
from proxy.ua.errors import OfferRefused
from tests.kit.edge import BEGAN, EDGE
from tests.kit.ids import CountingIds
from tests.kit.media import MemoryMedia


def a_leg(
    session: RelaySession,
    name: str,
    policy: SrtpPolicy = SrtpPolicy.ACCEPT,
    steps: CallRecord | None = None,
) -> LegMedia:
    record = steps or CallRecord("7f3a", None, "+14155551234", BEGAN)
    return LegMedia(session, name, policy, Journal(record, lambda: BEGAN))


def a_session(ports: PortPool) -> RelaySession:
    return RelaySession(
        MediaEngine(MemoryMedia(), ports, EDGE, EDGE, CountingIds().bits, asyncio.get_running_loop().time)
    )


def elsewhere(description: bytes) -> bytes:
    """The description with a foreign address, because audio to one of our own ports is refused."""
    return description.replace(EDGE.encode(), b"192.0.2.112")


async def test_a_leg_makes_an_offer_and_accepts_the_answer() -> None:
    session = a_session(PortPool(20000, 20009))
    caller, agent = a_leg(session, "caller"), a_leg(session, "agent")
    offer = caller.offer()
    answer = agent.accept(elsewhere(offer))
    caller.answered(elsewhere(answer))
    assert caller.repeat_sdp() == offer
    assert b"m=audio 20000" in offer
    assert b"m=audio 20002" in answer
    session.close()


async def test_an_unusable_offer_is_488() -> None:
    caller = a_leg(a_session(PortPool(20000, 20009)), "caller")
    with pytest.raises(OfferRefused) as refusal:
        caller.accept(b"nonsense")
    assert refusal.value.status == 488


async def test_no_free_port_is_503() -> None:
    ports = PortPool(20000, 20001)
    ports.take()
    with pytest.raises(OfferRefused) as refusal:
        a_leg(a_session(ports), "caller").offer()
    assert refusal.value.status == 503


async def test_the_srtp_suite_of_a_leg_is_logged_once_without_its_key() -> None:
    session, record = a_session(PortPool(20000, 20009)), CallRecord("7f3a", None, "+14155551234", BEGAN)
    caller = a_leg(session, "caller", SrtpPolicy.REQUIRE, record)
    agent = a_leg(session, "agent", SrtpPolicy.ACCEPT, record)
    with capture_logs() as logs:
        offer = caller.offer()
        caller.answered(elsewhere(agent.accept(elsewhere(offer))))
        agent.accept(elsewhere(offer))
    suite = "AES_CM_128_HMAC_SHA1_80"
    assert [(each["event"], each["leg"], each["suite"]) for each in logs] == [
        ("audio protected", "agent", suite),
        ("audio protected", "caller", suite),
    ]
    assert record.steps == []
    session.close()


async def test_a_peer_without_srtp_is_recorded_as_a_step_each_time_it_drops_srtp() -> None:
    session, record = a_session(PortPool(20000, 20009)), CallRecord("7f3a", None, "+14155551234", BEGAN)
    offering = a_leg(session, "agent", SrtpPolicy.OFFER, record)
    keyed, plain = a_leg(session, "other", SrtpPolicy.REQUIRE), a_leg(session, "plain", SrtpPolicy.OFF)
    offer, without = elsewhere(keyed.offer()), elsewhere(plain.offer())
    offering.accept(without)
    assert record.steps == ["audio not protected: agent takes no SRTP"]
    offering.accept(without)
    offering.accept(offer)
    assert len(record.steps) == 1
    offering.accept(without)
    assert record.steps[1:] == ["audio not protected: agent takes no SRTP"]
    session.close()
