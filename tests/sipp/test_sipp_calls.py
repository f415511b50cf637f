"""End-to-end calls over real sockets, with SIPp as carrier, agent (over TLS) and phone.

SIPp parses our messages independently; the scenarios define what it must find in them.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.sipp.process import until
from tests.sipp.rtp_endpoint import PACKETS, RtpEndpoint, exchange_audio
from tests.sipp.sipp_peers import SippPeers

pytestmark = pytest.mark.network


def result(record: dict[str, Any]) -> str:
    return str(record["outcome"]["result"])


def test_caller_and_agent_hear_each_other_until_the_caller_hangs_up(peers: SippPeers) -> None:
    with RtpEndpoint(b"A") as agent_audio, RtpEndpoint(b"C") as caller_audio:
        agent = peers.agent("agent_talks", audio=agent_audio.port)
        carrier = peers.carrier("carrier_hangs_up", audio=caller_audio.port, talk_s=1.5)
        until(lambda: peers.ports_of(carrier), "the caller is answered")
        heard = exchange_audio(caller_audio, peers.port_of(carrier), agent_audio, peers.port_of(agent))
    peers.all_succeed(carrier, agent)
    assert min(heard) > PACKETS / 2, f"caller and agent heard {heard} of {PACKETS} packets of each other"
    (record,) = peers.records()
    assert result(record) == "caller left"


def test_an_agents_refer_bridges_caller_and_phone_rfc3515_2_4(peers: SippPeers) -> None:
    with RtpEndpoint(b"P") as phone_audio, RtpEndpoint(b"C") as caller_audio:
        phone = peers.phone("phone_answers", audio=phone_audio.port)
        agent = peers.agent("agent_refers")
        carrier = peers.carrier("carrier_hangs_up", audio=caller_audio.port, talk_s=2.5)
        until(lambda: "result=bridged" in peers.log, "the caller is bridged")
        heard = exchange_audio(caller_audio, peers.port_of(carrier), phone_audio, peers.port_of(phone))
    peers.all_succeed(carrier, agent, phone)
    peers.assert_authenticated(phone)
    assert min(heard) > PACKETS / 2, f"caller and phone heard {heard} of {PACKETS} packets of each other"
    (record,) = peers.records()
    assert (result(record), record["decision"], record["trigger"]) == ("bridged", "ALLOW", "refer")
    assert record["ended_by"] == "caller"


def test_a_bye_to_the_carrier_carries_its_route_set_rfc3261_12_2_1_1(peers: SippPeers) -> None:
    phone = peers.phone("phone_hangs_up")
    agent = peers.agent("agent_refers")
    carrier = peers.carrier("carrier_waits")
    peers.all_succeed(carrier, agent, phone)
    peers.assert_authenticated(phone)
    (record,) = peers.records()
    assert (result(record), record["ended_by"]) == ("bridged", "phone")


def test_a_busy_phone_gives_the_agent_a_486_notify_and_the_call_ends_as_declined(peers: SippPeers) -> None:
    phone = peers.phone("phone_busy")
    agent = peers.agent("agent_refers_in_vain")
    carrier = peers.carrier("carrier_waits")
    peers.all_succeed(carrier, agent, phone)
    peers.assert_authenticated(phone)
    assert "notified SIP/2.0 486 " in agent.notes
    (record,) = peers.records()
    assert (result(record), record["trigger"]) == ("declined", "refer")


def test_a_cancelled_invite_gets_487_and_the_agents_invite_is_cancelled_rfc3261_9(peers: SippPeers) -> None:
    agent = peers.agent("agent_rings")
    carrier = peers.carrier("carrier_cancels")
    peers.all_succeed(carrier, agent)
    (record,) = peers.records()
    assert (result(record), record["answered"]) == ("caller left", None)


def test_sipp_verifies_our_digest_response_to_the_phones_401_rfc3261_22_2(
    peers: SippPeers,
) -> None:
    phone = peers.phone("phone_verifies")
    agent = peers.agent("agent_refers")
    carrier = peers.carrier("carrier_hangs_up", talk_s=1.5)
    peers.all_succeed(carrier, agent, phone)
    (record,) = peers.records()
    assert result(record) == "bridged"


def test_a_carrier_holds_and_resumes_a_bridged_call_and_our_port_stays_rfc3264_8_4(peers: SippPeers) -> None:
    phone = peers.phone("phone_answers")
    agent = peers.agent("agent_refers")
    carrier = peers.carrier("carrier_holds", talk_s=1.5)
    peers.all_succeed(carrier, agent, phone)
    (record,) = peers.records()
    assert result(record) == "bridged"
    ports = peers.ports_of(carrier)
    assert len(ports) == 3
    assert len(set(ports)) == 1, "our port moved"


def test_a_carrier_over_tcp_is_bridged_and_gets_the_bye_on_its_connection(peers: SippPeers) -> None:
    phone = peers.phone("phone_hangs_up")
    agent = peers.agent("agent_refers")
    carrier = peers.carrier("carrier_waits", transport="tcp")
    peers.all_succeed(carrier, agent, phone)
    (record,) = peers.records()
    assert result(record) == "bridged"


def test_twenty_concurrent_calls_are_all_bridged(peers: SippPeers) -> None:
    calls = 20
    phone = peers.phone("phone_answers", calls=calls)
    agent = peers.agent("agent_refers", calls=calls)
    carrier = peers.carrier("carrier_hangs_up", calls=calls, talk_s=4)
    until(lambda: peers.edge.calls == calls, f"{calls} calls at once")
    peers.all_succeed(carrier, agent, phone)
    peers.assert_authenticated(phone)
    assert [result(record) for record in peers.records(calls)] == ["bridged"] * calls
