"""End-to-end calls with PJSIP as the agent, which sends REFER over TLS."""

from __future__ import annotations

import pytest

from tests.interop.baresip_agent import both_hear
from tests.interop.peers import Peers
from tests.interop.test_baresip import answer
from tests.sipp.edge_process import PHONE

pytestmark = pytest.mark.network


@pytest.mark.parametrize("hangs_up", ["caller", "phone"])
def test_an_agents_refer_over_tls_gets_notify_100_and_200_rfc3515_2_4_4(peers: Peers, hangs_up: str) -> None:
    agent, phone = peers.pjsua_agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    both_hear(caller, agent)
    agent.command("transfer", f"tel:{PHONE}")
    answer(phone)
    agent.wait_for("call_closed")
    assert agent.notified() == [100, 200]
    both_hear(caller, phone)
    first, other = (caller, phone) if hangs_up == "caller" else (phone, caller)
    first.command("hangup")
    other.wait_for("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", hangs_up)
    assert (record["decision"], record["trigger"]) == ("ALLOW", "refer")


def test_a_declined_refer_gets_notify_486_and_the_agents_call_continues_rfc3515_2_4_5(peers: Peers) -> None:
    agent, phone = peers.pjsua_agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    agent.command("transfer", f"tel:{PHONE}")
    phone.wait_for("call_incoming")
    phone.command("reject")
    assert agent.notified() == [100, 486]
    both_hear(caller, agent)
    agent.command("hangup")
    caller.wait_for("call_closed")
    assert peers.record()["outcome"]["result"] == "declined"


def test_a_caller_who_hangs_up_ends_the_agents_call(peers: Peers) -> None:
    agent = peers.pjsua_agent()
    caller = peers.caller()
    answer(agent)
    both_hear(caller, agent)
    caller.command("hangup")
    agent.wait_for("call_closed")
    assert peers.record()["ended_by"] == "caller"


def test_an_agent_that_hangs_up_after_its_refer_does_not_stop_the_transfer_rfc3515_2_4_6(
    peers: Peers,
) -> None:
    agent, phone = peers.pjsua_agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    caller.wait_for("call_established")
    agent.command("transfer", f"tel:{PHONE}")
    phone.wait_for("call_incoming")
    agent.command("hangup")
    agent.wait_for("call_closed")
    answer(phone)
    both_hear(caller, phone)
    phone.command("hangup")
    caller.wait_for("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "phone")
