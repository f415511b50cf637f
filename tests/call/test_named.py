"""Destinations chosen by name, and messages that the agent takes itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from proxy.call.outcome import Result
from proxy.call.routing import Destination, Number
from proxy.lab.audio import CALLER_HZ
from screening.contract import Connect, Decline, Message, TakeMessage
from tests.kit.edge import Edge, NewEdge, a_number, summary

WORKSHOP = "+14155550002"
DIALED = f"sip:{WORKSHOP}@trunk.example.com"


def named(**changes: object) -> Number:
    first = a_number().destinations[0]
    other = Destination(DIALED, WORKSHOP, first.trunk, name="workshop")
    return a_number(destinations=(replace(first, name="sales"), other), **changes)


async def test_a_verdict_that_names_a_destination_rings_only_that_one(new_edge: NewEdge) -> None:
    async with new_edge(number=named(at_once=True)) as edge:
        await edge.connects()
        edge.screening.decides(Connect("a repair", "Anna", "workshop"))
        call = await edge.phone.answers()
        assert call.invite.uri == DIALED
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        assert edge.phone_audio.hears(CALLER_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, "ALLOW", "verdict", "caller")
        assert [leg.peer for leg in record.legs if leg.name.startswith("phone")] == [DIALED]
        await edge.assert_clean()


async def test_a_refer_with_a_named_destination_rings_only_that_one(new_edge: NewEdge) -> None:
    async with new_edge(number=named(at_once=True)) as edge:
        await edge.connects()
        edge.screening.decided = Connect("a repair", None, "workshop")
        await edge.agent.refers(f"tel:{WORKSHOP}")
        call = await edge.phone.answers()
        assert call.invite.uri == DIALED
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert [leg.peer for leg in record.legs if leg.name.startswith("phone")] == [DIALED]
        await edge.assert_clean()


@pytest.mark.parametrize("name", [None, "nobody", "+19005550100", "sip:evil@example.com"])
def test_an_unknown_destination_name_selects_all_destinations(name: str | None) -> None:
    number = named()
    assert number.destinations_named(name) == number.destinations
    assert [place.uri for place in number.destinations_named("workshop")] == [DIALED]


async def test_the_record_has_the_time_at_which_the_caller_was_informed(edge: Edge) -> None:
    await edge.connects()
    edge.screening.informed_s = 2.5
    edge.screening.decides(Decline("goodbye"))
    record = await edge.over()
    assert record.informed == record.began + timedelta(seconds=2.5)
    assert json.loads(json.dumps(record.as_dict()))["informed"].startswith("2026-11-22T09:00:02.5")
    await edge.assert_clean()


async def test_a_message_that_the_agent_took_ends_the_call_and_is_not_recorded(edge: Edge) -> None:
    await edge.connects()
    message = Message("The boiler is cold.", "Anna", "+14155550100", True)
    edge.screening.decides(TakeMessage("the agent took a message", "Anna", message))
    await edge.agent.receives("BYE")
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.VOICEMAIL, "VOICEMAIL", None, None)
    assert (record.message, record.voicemail) == (message, None)
    assert not edge.voicemail.exists()
    assert record.as_dict()["message"] == {
        "text": "The boiler is cold.",
        "caller_name": "Anna",
        "call_back": "+14155550100",
        "urgent": True,
    }
    await edge.assert_clean()
