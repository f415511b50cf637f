"""End-to-end calls over real sockets, with SIPp as carrier, agent (over TLS) and phone.

SIPp parses our messages independently; the scenarios define what it must find in them.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.sipp.ear import PACKETS, Ear, converse
from tests.sipp.house import House
from tests.sipp.process import until

pytestmark = pytest.mark.network


def result(record: dict[str, Any]) -> str:
    return str(record["outcome"]["result"])


def test_an_agent_talks_until_the_caller_hangs_up(house: House) -> None:
    with Ear(b"A") as agents_ear, Ear(b"C") as callers_ear:
        agent = house.agent("agent_talks", audio=agents_ear.port)
        carrier = house.carrier("carrier_hangs_up", audio=callers_ear.port, talk_s=1.5)
        until(lambda: house.ports_of(carrier), "the caller is answered")
        heard = converse(callers_ear, house.port_of(carrier), agents_ear, house.port_of(agent))
    house.all_succeed(carrier, agent)
    assert min(heard) > PACKETS / 2, f"caller and agent heard {heard} of {PACKETS} packets of each other"
    (record,) = house.records()
    assert result(record) == "caller left"


def test_a_refer_rings_the_phone_and_the_caller_is_bridged_rfc3515_2_4(house: House) -> None:
    with Ear(b"P") as phones_ear, Ear(b"C") as callers_ear:
        phone = house.phone("phone_answers", audio=phones_ear.port)
        agent = house.agent("agent_refers")
        carrier = house.carrier("carrier_hangs_up", audio=callers_ear.port, talk_s=2.5)
        until(lambda: "result=bridged" in house.log, "the caller is bridged")
        heard = converse(callers_ear, house.port_of(carrier), phones_ear, house.port_of(phone))
    house.all_succeed(carrier, agent, phone)
    house.assert_authenticated(phone)
    assert min(heard) > PACKETS / 2, f"caller and phone heard {heard} of {PACKETS} packets of each other"
    (record,) = house.records()
    assert (result(record), record["decision"], record["trigger"]) == ("bridged", "ALLOW", "refer")
    assert record["ended_by"] == "caller"


def test_the_bye_to_the_carrier_follows_its_route_set_rfc3261_12_2_1_1(house: House) -> None:
    phone = house.phone("phone_hangs_up")
    agent = house.agent("agent_refers")
    carrier = house.carrier("carrier_waits")
    house.all_succeed(carrier, agent, phone)
    house.assert_authenticated(phone)
    (record,) = house.records()
    assert (result(record), record["ended_by"]) == ("bridged", "phone")


def test_the_agent_hears_that_the_phone_is_busy_and_says_goodbye(house: House) -> None:
    phone = house.phone("phone_busy")
    agent = house.agent("agent_refers_in_vain")
    carrier = house.carrier("carrier_waits")
    house.all_succeed(carrier, agent, phone)
    house.assert_authenticated(phone)
    assert "notified SIP/2.0 486 " in agent.notes
    (record,) = house.records()
    assert (result(record), record["trigger"]) == ("declined", "refer")


def test_a_caller_who_cancels_is_answered_487_and_the_agent_cancelled_rfc3261_9(house: House) -> None:
    agent = house.agent("agent_rings")
    carrier = house.carrier("carrier_cancels")
    house.all_succeed(carrier, agent)
    (record,) = house.records()
    assert (result(record), record["answered"]) == ("caller left", None)


def test_a_server_in_the_phones_way_accepts_our_password_by_its_own_computation_rfc3261_22_2(
    house: House,
) -> None:
    phone = house.phone("phone_verifies")
    agent = house.agent("agent_refers")
    carrier = house.carrier("carrier_hangs_up", talk_s=1.5)
    house.all_succeed(carrier, agent, phone)
    (record,) = house.records()
    assert result(record) == "bridged"


def test_the_carrier_holds_and_resumes_the_bridged_call_rfc3264_8_4(house: House) -> None:
    phone = house.phone("phone_answers")
    agent = house.agent("agent_refers")
    carrier = house.carrier("carrier_holds", talk_s=1.5)
    house.all_succeed(carrier, agent, phone)
    (record,) = house.records()
    assert result(record) == "bridged"
    ports = house.ports_of(carrier)
    assert len(ports) == 3
    assert len(set(ports)) == 1, "our port moved"


def test_a_carrier_over_tcp_is_bridged_and_hung_up_on_over_its_connection(house: House) -> None:
    phone = house.phone("phone_hangs_up")
    agent = house.agent("agent_refers")
    carrier = house.carrier("carrier_waits", transport="tcp")
    house.all_succeed(carrier, agent, phone)
    (record,) = house.records()
    assert result(record) == "bridged"


def test_twenty_calls_at_once_are_all_bridged(house: House) -> None:
    calls = 20
    phone = house.phone("phone_answers", calls=calls)
    agent = house.agent("agent_refers", calls=calls)
    carrier = house.carrier("carrier_hangs_up", calls=calls, talk_s=4)
    until(lambda: house.edge.calls == calls, f"{calls} calls at once")
    house.all_succeed(carrier, agent, phone)
    house.assert_authenticated(phone)
    assert [result(record) for record in house.records(calls)] == ["bridged"] * calls
