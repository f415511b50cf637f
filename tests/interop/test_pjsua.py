"""Whole calls with PJSIP as the agent that refers over TLS, and as a caller that would rather have SRTP."""

from __future__ import annotations

import re

import pytest

from tests.interop.baresip_agent import talk
from tests.interop.peers import Peers
from tests.interop.pjsua_agent import Pjsua
from tests.interop.test_baresip import answer
from tests.sipp.edge_process import PHONE
from tests.sipp.process import until

pytestmark = pytest.mark.network

PLAIN = "RTP/AVP"


def audio_lines(peer: Pjsua, direction: str) -> list[str]:
    """The audio of every SDP that it sent ("TX") or received ("RX"), with its keys."""
    found = []
    for message in peer.messages(direction):
        if media := re.search(r"^m=audio \d+ (\S+) ", message, re.M):
            found.append(f"{media[1]}{' crypto' if 'a=crypto:' in message else ''}")
    return found


@pytest.mark.parametrize("hangs_up", ["caller", "phone"])
def test_it_refers_over_tls_and_hears_100_and_200_rfc3515_2_4_4(peers: Peers, hangs_up: str) -> None:
    agent, phone = peers.pjsua_agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    talk(caller, agent)
    agent.does("transfer", f"tel:{PHONE}")
    answer(phone)
    agent.awaits("call_closed")
    assert agent.notified() == [100, 200]
    talk(caller, phone)
    first, other = (caller, phone) if hangs_up == "caller" else (phone, caller)
    first.does("hangup")
    other.awaits("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", hangs_up)
    assert (record["decision"], record["trigger"]) == ("ALLOW", "refer")


def test_it_hears_that_the_phone_declined_and_talks_on_rfc3515_2_4_5(peers: Peers) -> None:
    agent, phone = peers.pjsua_agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    agent.does("transfer", f"tel:{PHONE}")
    phone.awaits("call_incoming")
    phone.does("reject")
    assert agent.notified() == [100, 486]
    talk(caller, agent)
    agent.does("hangup")
    caller.awaits("call_closed")
    assert peers.record()["outcome"]["result"] == "declined"


def test_the_caller_hangs_up_on_it(peers: Peers) -> None:
    agent = peers.pjsua_agent()
    caller = peers.caller()
    answer(agent)
    talk(caller, agent)
    caller.does("hangup")
    agent.awaits("call_closed")
    assert peers.record()["ended_by"] == "caller"


def test_an_agent_that_takes_srtp_agrees_to_our_rtp_avp_and_its_offer_of_keys_is_declined_rfc4568_5_1_2(
    peers: Peers,
) -> None:
    """SRTP is of a later version: until then, what is optional is left out, and audio flows."""
    agent = peers.pjsua_agent(srtp="optional")
    caller = peers.caller()
    answer(agent)
    talk(caller, agent)
    assert audio_lines(agent, "RX")[0] == audio_lines(agent, "TX")[0] == PLAIN
    agent.does("offer")
    until(lambda: len(audio_lines(agent, "RX")) > 1, "its re-INVITE is answered")
    assert audio_lines(agent, "RX")[1] == PLAIN
    talk(caller, agent)
    caller.does("hangup")
    agent.awaits("call_closed")


def test_a_caller_that_offers_optional_srtp_is_answered_with_rtp_avp_rfc4568_5_1_2(peers: Peers) -> None:
    agent = peers.agent()
    caller = peers.pjsua_caller(srtp="optional")
    answer(agent)
    talk(caller, agent)
    assert audio_lines(caller, "TX")[0] == f"{PLAIN} crypto"
    assert audio_lines(caller, "RX") == [PLAIN]
    caller.does("hangup")
    agent.awaits("call_closed")
    assert peers.record()["ended_by"] == "caller"


def test_an_agent_that_leaves_after_its_refer_does_not_end_the_call_rfc3515_2_4_6(peers: Peers) -> None:
    agent, phone = peers.pjsua_agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    caller.awaits("call_established")
    agent.does("transfer", f"tel:{PHONE}")
    phone.awaits("call_incoming")
    agent.does("hangup")
    agent.awaits("call_closed")
    answer(phone)
    talk(caller, phone)
    phone.does("hangup")
    caller.awaits("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "phone")
