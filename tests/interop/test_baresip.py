"""End-to-end calls with baresip as caller, as agent (over TLS) and as phone, each in a process of its own."""

from __future__ import annotations

import pytest

from tests.interop.baresip_agent import Baresip, talk
from tests.interop.peers import Peers
from tests.sipp.edge_process import PHONE

pytestmark = pytest.mark.network


def answer(peer: Baresip) -> None:
    peer.awaits("call_incoming")
    peer.does("answer")
    peer.awaits("call_established")


def bridge(caller: Baresip, agent: Baresip, phone: Baresip) -> None:
    """The agent answers and refers the caller to the phone, which answers (RFC 3515)."""
    answer(agent)
    caller.awaits("call_established")
    agent.does("transfer", f"tel:{PHONE}")
    answer(phone)
    agent.awaits("call_closed")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_caller_is_screened_and_bridged_and_hangs_up_rfc3515(peers: Peers, transport: str) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller(transport=transport)
    answer(agent)
    talk(caller, agent)
    agent.does("transfer", f"tel:{PHONE}")
    answer(phone)
    assert agent.awaits("call_closed")["text"] == "Call transfered"
    talk(caller, phone)
    caller.does("send_dtmf", "4")
    assert phone.awaits("dtmf")["text"] == "4"
    caller.does("hangup")
    phone.awaits("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "caller")
    assert (record["decision"], record["trigger"]) == ("ALLOW", "refer")


def test_a_bridged_caller_holds_and_resumes_and_the_phone_hangs_up_rfc3264_8_4(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    talk(caller, phone)
    caller.does("hold")
    caller.awaits("did_hold")
    caller.hears_nothing()
    phone.hears_nothing()
    caller.does("resume")
    caller.awaits("did_resume")
    talk(caller, phone)
    phone.does("hangup")
    caller.awaits("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "phone")


def test_a_phone_that_declines_sends_the_caller_back_to_the_agent_rfc3515_2_4_5(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    caller.awaits("call_established")
    agent.does("transfer", f"tel:{PHONE}")
    phone.awaits("call_incoming")
    phone.does("reject")
    agent.awaits("failed")
    talk(caller, agent)
    agent.does("hangup")
    caller.awaits("call_closed")
    assert peers.record()["outcome"]["result"] == "declined"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_caller_who_cancels_takes_the_agents_call_with_him_rfc3261_9(peers: Peers, transport: str) -> None:
    agent = peers.agent()
    caller = peers.caller(transport=transport)
    agent.awaits("call_incoming")
    caller.awaits("call_ringing")
    caller.does("hangup")
    agent.awaits("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["answered"]) == ("caller left", None)


def test_a_phone_that_answers_by_itself_is_bridged_rfc3515(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone(by_itself=True)
    caller = peers.caller()
    answer(agent)
    caller.awaits("call_established")
    agent.does("transfer", f"tel:{PHONE}")
    phone.awaits("call_established")
    agent.awaits("call_closed")
    talk(caller, phone)
    caller.does("hangup")
    phone.awaits("call_closed")
    assert peers.record()["outcome"]["result"] == "bridged"


def test_a_phone_holds_and_resumes_rfc3264_8_4(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    talk(caller, phone)
    phone.does("hold")
    phone.awaits("did_hold")
    caller.hears_nothing()
    phone.does("resume")
    phone.awaits("did_resume")
    talk(caller, phone)
    caller.does("hangup")
    phone.awaits("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "caller")


def test_both_hold_at_once_and_talk_again_rfc3264_8_4(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    talk(caller, phone)
    for peer in (caller, phone):
        peer.does("hold")
    for peer in (caller, phone):
        peer.awaits("did_hold")
        peer.hears_nothing()
    for peer in (caller, phone):
        peer.does("resume")
    for peer in (caller, phone):
        peer.awaits("did_resume")
    talk(caller, phone)
    phone.does("hangup")
    caller.awaits("call_closed")
    assert peers.record()["ended_by"] == "phone"


def test_a_caller_holds_the_agent_and_comes_back_rfc3264_8_4(peers: Peers) -> None:
    agent = peers.agent()
    caller = peers.caller()
    answer(agent)
    talk(caller, agent)
    caller.does("hold")
    caller.awaits("did_hold")
    caller.hears_nothing()
    caller.does("resume")
    caller.awaits("did_resume")
    talk(caller, agent)
    caller.does("hangup")
    agent.awaits("call_closed")
    assert peers.record()["ended_by"] == "caller"


def test_a_caller_who_leaves_while_the_phone_rings_stops_it_rfc3261_9_1(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    caller.awaits("call_established")
    agent.does("transfer", f"tel:{PHONE}")
    phone.awaits("call_incoming")
    caller.does("hangup")
    phone.awaits("call_closed")
    agent.awaits("call_closed")
    assert not phone.events("call_established")
    assert peers.record()["outcome"]["result"] == "caller left"


def test_a_phone_that_hangs_up_at_once_ends_the_call_rfc3261_15_1(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    caller.awaits("call_established")
    agent.does("transfer", f"tel:{PHONE}")
    phone.awaits("call_incoming")
    phone.does("answer")
    phone.does("hangup")
    caller.awaits("call_closed")
    agent.awaits("call_closed")
    assert peers.record()["ended_by"] == "phone"


def test_keys_go_both_ways_and_the_record_tells_how_well_all_was_heard_rfc3550_6_4_1(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    talk(caller, phone)
    for speaker, listener, key in ((caller, phone, "4"), (phone, caller, "9"), (caller, phone, "#")):
        before = len(listener.events("dtmf"))
        speaker.does("send_dtmf", key)
        while listener.awaits("dtmf", before + 1)["text"] != key:  # the release of a key is reported too
            before += 1
    for _ in range(24):  # each takes at least half a second, so RTCP reports are exchanged
        talk(caller, phone)
    caller.does("hangup")
    phone.awaits("call_closed")
    legs = {leg["name"]: leg for leg in peers.record()["legs"]}
    for name in ("caller", "phone"):
        quality = legs[name]["quality"]
        assert quality["heard"]["packets"] > 300
        assert quality["heard"]["lost"] == 0
        assert quality["heard"]["mos"] > 4
        assert quality["sent"]["mos"] > 4
        assert 0 <= quality["round_trip_ms"] < 500
        assert quality["rtcp_in"] > 0
        assert legs[name]["silent"] is None
