"""SRTP with baresip, whose stack (libre) is independent of ours (RFC 4568, RFC 8643)."""

from __future__ import annotations

import re

import pytest

from tests.interop.baresip_agent import Baresip, both_hear, hold_and_resume
from tests.interop.peers import Peers
from tests.interop.protected import EITHER_POLICY, USUAL, protected
from tests.interop.test_baresip import answer, bridge

pytestmark = [pytest.mark.network, EITHER_POLICY]


def keys(peer: Baresip) -> list[str]:
    """Every key in the SDP that it sent and received."""
    return re.findall(r"inline:([A-Za-z0-9+/]{38,})", peer.printed)


def test_baresip_uses_srtp_as_caller_agent_and_phone_and_no_key_is_logged_rfc4568_5_1(
    peers: Peers, required: bool
) -> None:
    agent, phone = peers.agent(srtp="srtp-mand"), peers.phone(srtp="srtp-mand" if required else "srtp")
    before = len(protected(peers))
    caller = peers.caller(srtp="srtp-mand", transport="tcp")
    answer(agent)
    both_hear(caller, agent)
    agent.command("transfer", "tel:+14155559876")
    answer(phone)
    both_hear(caller, phone)
    hold_and_resume(caller, phone)
    caller.command("hangup")
    phone.wait_for("call_closed")
    assert peers.record()["outcome"]["result"] == "bridged"
    legs = [leg for leg, _ in protected(peers)[before:]]
    assert legs == ["caller", "agent", "phone"]  # a peer offered plain RTP may switch to SRTP by re-INVITE
    told = peers.edge.printed
    assert keys(caller)
    assert not any(key in told for key in (*keys(caller), *keys(agent), *keys(phone)))


def test_a_caller_that_offers_rtp_avp_with_crypto_gets_srtp_rfc8643_3_1(peers: Peers) -> None:
    agent = peers.agent(srtp="srtp-mand")
    before = len(protected(peers))
    caller = peers.caller(srtp="srtp")
    answer(agent)
    both_hear(caller, agent)
    caller.command("hangup")
    agent.wait_for("call_closed")
    assert peers.record()["ended_by"] == "caller"
    assert protected(peers)[before:] == [("caller", USUAL), ("agent", USUAL)]


def test_peers_without_srtp_get_plain_rtp_or_are_rejected_if_srtp_is_required(
    peers: Peers, required: bool
) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    if required:
        caller.wait_for("call_closed")
        assert "SRTP is required" in peers.record()["outcome"]["reason"]
        return
    bridge(caller, agent, phone)
    both_hear(caller, phone)
    caller.command("hangup")
    phone.wait_for("call_closed")
    assert "audio not protected: agent takes no SRTP" in peers.record()["steps"]
