"""Direct mode with PJSIP as the caller, connected to the phone by re-INVITE (RFC 3725 §4.1)."""

from __future__ import annotations

import pytest

from tests.interop.baresip_agent import talk
from tests.interop.peers import Peers
from tests.interop.test_baresip import answer
from tests.interop.test_direct import open_media_ports
from tests.sipp.edge_process import PHONE

pytestmark = pytest.mark.network

MODE = "direct"


def test_a_pjsua_caller_is_switched_over_too(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.pjsua_caller()
    answer(agent)
    talk(caller, agent)
    agent.does("transfer", f"tel:{PHONE}")
    answer(phone)
    agent.awaits("call_closed")
    talk(caller, phone)
    assert open_media_ports(peers.edge) == []
    phone.does("hangup")
    caller.awaits("call_closed")
    assert peers.record()["outcome"]["result"] == "bridged"
