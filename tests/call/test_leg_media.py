"""What media cannot do is said with the status that we owe."""

from __future__ import annotations

import asyncio

import pytest

from proxy.call.leg_media import LegMedia
from proxy.media.ports import PortPool
from proxy.media.session import RelaySession
from proxy.ua.errors import OfferRefused
from tests.kit.edge import EDGE
from tests.kit.ids import CountingIds
from tests.kit.media import MemoryMedia


def a_session(ports: PortPool) -> RelaySession:
    return RelaySession(MemoryMedia(), ports, EDGE, EDGE, CountingIds().bits, asyncio.get_running_loop().time)


async def test_a_leg_offers_and_takes_the_answer() -> None:
    session = a_session(PortPool(20000, 20009))
    caller, agent = LegMedia(session, "caller"), LegMedia(session, "agent")
    offer = caller.offer()
    answer = agent.accept(offer)
    caller.answered(answer)
    assert caller.again() == offer
    assert b"m=audio 20000" in offer
    assert b"m=audio 20002" in answer
    session.close()


async def test_a_description_that_cannot_be_used_is_488() -> None:
    caller = LegMedia(a_session(PortPool(20000, 20009)), "caller")
    with pytest.raises(OfferRefused) as refusal:
        caller.accept(b"nonsense")
    assert refusal.value.status == 488


async def test_no_free_port_is_503() -> None:
    ports = PortPool(20000, 20001)
    ports.take()
    with pytest.raises(OfferRefused) as refusal:
        LegMedia(a_session(ports), "caller").offer()
    assert refusal.value.status == 503
