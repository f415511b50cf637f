"""SRTP with stacks that are not ours: baresip has its own, in libre; PJSIP drives libsrtp."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests.interop.baresip_agent import Baresip, talk
from tests.interop.peers import AgentDoor, Peers
from tests.interop.test_baresip import answer, bridge
from tests.sipp.edge_process import HOST, EdgeProcess
from tests.sipp.process import until

pytestmark = pytest.mark.network

USUAL = "AES_CM_128_HMAC_SHA1_80"
has_pjsua = pytest.mark.skipif(sys.version_info >= (3, 13), reason="pjsua2-python has no wheel for it")


POLICIES = {"offer": ("offer", "accept"), "require": ("require", "require")}
"""Of the agent and of the trunk."""


@pytest.fixture(scope="module", params=POLICIES)
def edge(
    request: pytest.FixtureRequest, door: AgentDoor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EdgeProcess]:
    with EdgeProcess(tmp_path_factory.mktemp("edge"), door, host=HOST, srtp=POLICIES[request.param]) as edge:
        yield edge


@pytest.fixture
def required(edge: EdgeProcess) -> bool:
    return 'srtp = "require"' in (edge.folder / "screendoor.toml").read_text()


def protected(peers: Peers) -> list[tuple[str, str]]:
    """The legs whose audio is SRTP, with the suite, as the log tells of this test."""
    return re.findall(r"leg=(\S+)\s+audio protected suite=(\S+)", peers.edge.said)


def keys(peer: Baresip) -> list[str]:
    """Every key that travelled in its SDP."""
    return re.findall(r"inline:([A-Za-z0-9+/]{38,})", peer.said)


def test_baresip_speaks_srtp_as_caller_agent_and_phone_rfc4568_5_1(peers: Peers, required: bool) -> None:
    agent, phone = peers.agent(srtp="srtp-mand"), peers.phone(srtp="srtp-mand" if required else "srtp")
    before = len(protected(peers))
    caller = peers.caller(srtp="srtp-mand", transport="tcp")
    answer(agent)
    talk(caller, agent)
    agent.does("transfer", "tel:+14155559876")
    answer(phone)
    talk(caller, phone)
    caller.does("hold")
    caller.awaits("did_hold")
    caller.hears_nothing()
    caller.does("resume")
    caller.awaits("did_resume")
    talk(caller, phone)
    caller.does("hangup")
    phone.awaits("call_closed")
    assert peers.record()["outcome"]["result"] == "bridged"
    legs = [leg for leg, _ in protected(peers)[before:]]
    assert legs == ["caller", "agent", "phone"]  # that is offered plain RTP may change it by a re-INVITE
    told = peers.edge.said
    assert keys(caller)
    assert not any(key in told for key in (*keys(caller), *keys(agent), *keys(phone)))


def test_a_caller_by_rtp_avp_with_keys_gets_srtp_rfc8643_3_1(peers: Peers) -> None:
    agent = peers.agent(srtp="srtp-mand")
    before = len(protected(peers))
    caller = peers.caller(srtp="srtp")
    answer(agent)
    talk(caller, agent)
    caller.does("hangup")
    agent.awaits("call_closed")
    assert peers.record()["ended_by"] == "caller"
    assert protected(peers)[before:] == [("caller", USUAL), ("agent", USUAL)]


def test_peers_without_srtp_talk_plainly_or_not_at_all_by_policy(peers: Peers, required: bool) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    if required:
        caller.awaits("call_closed")
        assert "SRTP is required" in peers.record()["outcome"]["reason"]
        return
    bridge(caller, agent, phone)
    talk(caller, phone)
    caller.does("hangup")
    phone.awaits("call_closed")
    assert "audio not protected: agent takes no SRTP" in peers.record()["steps"]


@has_pjsua
@pytest.mark.parametrize("suite", [USUAL, "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80"])
def test_pjsip_speaks_each_of_its_suites_as_a_caller(peers: Peers, suite: str) -> None:
    agent = peers.agent(srtp="srtp-mand")
    before = len(protected(peers))
    caller = peers.pjsua_caller(srtp="mandatory", suite=suite)
    answer(agent)
    talk(caller, agent)
    caller.does("hangup")
    agent.awaits("call_closed")
    assert peers.record()["ended_by"] == "caller"
    assert ("caller", suite) in protected(peers)[before:]


@has_pjsua
@pytest.mark.parametrize("suite", [USUAL, "AES_256_CM_HMAC_SHA1_80"])
def test_pjsip_answers_our_offer_over_tls_and_re_offers_the_same_key_rfc4568_7_1_4(
    peers: Peers, suite: str
) -> None:
    agent = peers.pjsua_agent(srtp="mandatory", suite=suite)
    before = len(protected(peers))
    caller = peers.caller(srtp="srtp-mand")
    answer(agent)
    talk(caller, agent)
    agent.does("offer")
    until(lambda: sum("a=crypto" in text for text in agent.messages("RX")) > 1, "its offer is answered")
    talk(caller, agent)
    caller.does("hangup")
    agent.awaits("call_closed")
    assert peers.record()["ended_by"] == "caller"
    assert ("agent", suite) in protected(peers)[before:]


@has_pjsua
def test_pjsip_that_would_rather_have_srtp_gets_it_rfc8643_3_1(peers: Peers) -> None:
    agent = peers.pjsua_agent(srtp="optional")
    before = len(protected(peers))
    caller = peers.pjsua_caller(srtp="optional")
    answer(agent)
    talk(caller, agent)
    caller.does("hangup")
    agent.awaits("call_closed")
    assert peers.record()["ended_by"] == "caller"
    assert [leg for leg, _ in protected(peers)[before:]] == ["caller", "agent"]
