"""End-to-end calls with baresip as caller, as agent (over TLS) and as phone, each in a process of its own."""

from __future__ import annotations

import pytest

from tests.interop.baresip_agent import Baresip, both_hear
from tests.interop.peers import Peers
from tests.sipp.edge_process import PHONE

pytestmark = pytest.mark.network


def answer(peer: Baresip) -> None:
    peer.wait_for("call_incoming")
    peer.command("answer")
    peer.wait_for("call_established")


def bridge(caller: Baresip, agent: Baresip, phone: Baresip) -> None:
    """The agent answers and refers the caller to the phone, which answers (RFC 3515)."""
    answer(agent)
    caller.wait_for("call_established")
    agent.command("transfer", f"tel:{PHONE}")
    answer(phone)
    agent.wait_for("call_closed")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_agents_refer_bridges_caller_and_phone_until_the_caller_hangs_up_rfc3515(
    peers: Peers, transport: str
) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller(transport=transport)
    answer(agent)
    both_hear(caller, agent)
    agent.command("transfer", f"tel:{PHONE}")
    answer(phone)
    assert agent.wait_for("call_closed")["text"] == "Call transfered"
    both_hear(caller, phone)
    caller.command("send_dtmf", "4")
    assert phone.wait_for("dtmf")["text"] == "4"
    caller.command("hangup")
    phone.wait_for("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "caller")
    assert (record["decision"], record["trigger"]) == ("ALLOW", "refer")


def test_a_bridged_caller_holds_and_resumes_and_the_phone_hangs_up_rfc3264_8_4(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    both_hear(caller, phone)
    caller.command("hold")
    caller.wait_for("did_hold")
    caller.wait_for_silence()
    phone.wait_for_silence()
    caller.command("resume")
    caller.wait_for("did_resume")
    both_hear(caller, phone)
    phone.command("hangup")
    caller.wait_for("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "phone")


def test_a_caller_whose_phone_declines_keeps_talking_to_the_agent_rfc3515_2_4_5(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    caller.wait_for("call_established")
    agent.command("transfer", f"tel:{PHONE}")
    phone.wait_for("call_incoming")
    phone.command("reject")
    agent.wait_for("failed")
    both_hear(caller, agent)
    agent.command("hangup")
    caller.wait_for("call_closed")
    assert peers.record()["outcome"]["result"] == "declined"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_caller_who_cancels_ends_the_agents_ringing_call_rfc3261_9(peers: Peers, transport: str) -> None:
    agent = peers.agent()
    caller = peers.caller(transport=transport)
    agent.wait_for("call_incoming")
    caller.wait_for("call_ringing")
    caller.command("hangup")
    agent.wait_for("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["answered"]) == ("caller left", None)


def test_a_phone_with_auto_answer_is_bridged_rfc3515(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone(auto_answer=True)
    caller = peers.caller()
    answer(agent)
    caller.wait_for("call_established")
    agent.command("transfer", f"tel:{PHONE}")
    phone.wait_for("call_established")
    agent.wait_for("call_closed")
    both_hear(caller, phone)
    caller.command("hangup")
    phone.wait_for("call_closed")
    assert peers.record()["outcome"]["result"] == "bridged"


def test_a_bridged_phone_holds_and_resumes_rfc3264_8_4(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    both_hear(caller, phone)
    phone.command("hold")
    phone.wait_for("did_hold")
    caller.wait_for_silence()
    phone.command("resume")
    phone.wait_for("did_resume")
    both_hear(caller, phone)
    caller.command("hangup")
    phone.wait_for("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "caller")


def test_caller_and_phone_hold_at_once_and_resume_rfc3264_8_4(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    both_hear(caller, phone)
    for peer in (caller, phone):
        peer.command("hold")
    for peer in (caller, phone):
        peer.wait_for("did_hold")
        peer.wait_for_silence()
    for peer in (caller, phone):
        peer.command("resume")
    for peer in (caller, phone):
        peer.wait_for("did_resume")
    both_hear(caller, phone)
    phone.command("hangup")
    caller.wait_for("call_closed")
    assert peers.record()["ended_by"] == "phone"


def test_a_caller_holds_the_agent_and_resumes_rfc3264_8_4(peers: Peers) -> None:
    agent = peers.agent()
    caller = peers.caller()
    answer(agent)
    both_hear(caller, agent)
    caller.command("hold")
    caller.wait_for("did_hold")
    caller.wait_for_silence()
    caller.command("resume")
    caller.wait_for("did_resume")
    both_hear(caller, agent)
    caller.command("hangup")
    agent.wait_for("call_closed")
    assert peers.record()["ended_by"] == "caller"


def test_a_caller_who_hangs_up_while_the_phone_rings_stops_the_ringing_rfc3261_9_1(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    caller.wait_for("call_established")
    agent.command("transfer", f"tel:{PHONE}")
    phone.wait_for("call_incoming")
    caller.command("hangup")
    phone.wait_for("call_closed")
    agent.wait_for("call_closed")
    assert not phone.events("call_established")
    assert peers.record()["outcome"]["result"] == "caller left"


def test_a_phone_that_hangs_up_right_after_answering_ends_the_call_rfc3261_15_1(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    caller.wait_for("call_established")
    agent.command("transfer", f"tel:{PHONE}")
    phone.wait_for("call_incoming")
    phone.command("answer")
    phone.command("hangup")
    caller.wait_for("call_closed")
    agent.wait_for("call_closed")
    assert peers.record()["ended_by"] == "phone"


def test_dtmf_is_relayed_both_ways_and_the_record_has_audio_quality_rfc3550_6_4_1(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    both_hear(caller, phone)
    for speaker, listener, key in ((caller, phone, "4"), (phone, caller, "9"), (caller, phone, "#")):
        before = len(listener.events("dtmf"))
        speaker.command("send_dtmf", key)
        while listener.wait_for("dtmf", before + 1)["text"] != key:  # the release of a key is reported too
            before += 1
    for _ in range(24):  # each takes at least half a second, so RTCP reports are exchanged
        both_hear(caller, phone)
    caller.command("hangup")
    phone.wait_for("call_closed")
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
