"""Direct mode with PJSIP as the caller, connected to the phone by re-INVITE (RFC 3725 §4.1)."""

from __future__ import annotations

import pytest

from tests.interop.baresip_agent import both_hear
from tests.interop.peers import Peers
from tests.interop.test_baresip import answer
from tests.interop.test_direct import open_media_ports
from tests.sipp.edge_process import PHONE

pytestmark = pytest.mark.network

MODE = "direct"


def test_a_pjsua_callers_audio_is_switched_to_the_phone_without_our_relay(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.pjsua_caller()
    answer(agent)
    both_hear(caller, agent)
    agent.command("transfer", f"tel:{PHONE}")
    answer(phone)
    agent.wait_for("call_closed")
    both_hear(caller, phone)
    assert open_media_ports(peers.edge) == []
    phone.command("hangup")
    caller.wait_for("call_closed")
    assert peers.record()["outcome"]["result"] == "bridged"
