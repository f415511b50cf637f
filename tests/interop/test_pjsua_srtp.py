"""SRTP with PJSIP, which uses libsrtp (RFC 4568, RFC 8643)."""

from __future__ import annotations

import pytest

from tests.interop.baresip_agent import both_hear
from tests.interop.peers import Peers
from tests.interop.protected import EITHER_POLICY, USUAL, protected
from tests.interop.test_baresip import answer
from tests.sipp.process import until

pytestmark = [pytest.mark.network, EITHER_POLICY]


@pytest.mark.parametrize("suite", [USUAL, "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80"])
def test_a_pjsip_caller_uses_srtp_in_each_of_its_suites(peers: Peers, suite: str) -> None:
    agent = peers.agent(srtp="srtp-mand")
    before = len(protected(peers))
    caller = peers.pjsua_caller(srtp="mandatory", suite=suite)
    answer(agent)
    both_hear(caller, agent)
    caller.command("hangup")
    agent.wait_for("call_closed")
    assert peers.record()["ended_by"] == "caller"
    assert ("caller", suite) in protected(peers)[before:]


@pytest.mark.parametrize("suite", [USUAL, "AES_256_CM_HMAC_SHA1_80"])
def test_a_pjsip_agent_answers_our_srtp_offer_and_reoffers_the_same_key_rfc4568_7_1_4(
    peers: Peers, suite: str
) -> None:
    agent = peers.pjsua_agent(srtp="mandatory", suite=suite)
    before = len(protected(peers))
    caller = peers.caller(srtp="srtp-mand")
    answer(agent)
    both_hear(caller, agent)
    agent.command("offer")
    until(lambda: sum("a=crypto" in text for text in agent.messages("RX")) > 1, "its offer is answered")
    both_hear(caller, agent)
    caller.command("hangup")
    agent.wait_for("call_closed")
    assert peers.record()["ended_by"] == "caller"
    assert ("agent", suite) in protected(peers)[before:]


def test_pjsip_with_optional_srtp_gets_srtp_on_both_legs_rfc8643_3_1(peers: Peers) -> None:
    agent = peers.pjsua_agent(srtp="optional")
    before = len(protected(peers))
    caller = peers.pjsua_caller(srtp="optional")
    answer(agent)
    both_hear(caller, agent)
    caller.command("hangup")
    agent.wait_for("call_closed")
    assert peers.record()["ended_by"] == "caller"
    assert [leg for leg, _ in protected(peers)[before:]] == ["caller", "agent"]
