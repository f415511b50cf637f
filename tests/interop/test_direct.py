"""Direct mode with baresip: audio bypasses the edge (RFC 3725 §4.1, RFC 7092 §3.1)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.interop.baresip_agent import Baresip, both_hear, hold_and_resume
from tests.interop.peers import Peers
from tests.interop.test_baresip import answer
from tests.sipp.edge_process import PHONE, EdgeProcess

pytestmark = pytest.mark.network


MODE = "direct"


def open_media_ports(edge: EdgeProcess) -> list[int]:
    """The audio ports that the edge has open."""
    files = Path(f"/proc/{edge.pid}/fd").iterdir()
    inodes = {name[8:-1] for name in map(os.readlink, files) if name.startswith("socket:[")}
    sockets = [line.split() for line in Path(f"/proc/{edge.pid}/net/udp").read_text().splitlines()[1:]]
    bound = {int(fields[1].rpartition(":")[2], 16) for fields in sockets if fields[9] in inodes}
    return sorted(bound.intersection(edge.media_ports))


def audio_ports(peer: Baresip) -> set[int]:
    """Every audio port in the SDP of the messages that a peer has sent or received."""
    return {int(port) for port in re.findall(r"m=audio (\d+) ", peer.printed)}


def test_caller_and_agent_then_caller_and_phone_exchange_audio_directly_rfc3725_4_1(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    both_hear(caller, agent)
    assert open_media_ports(peers.edge) == []
    agent.command("transfer", f"tel:{PHONE}")
    phone.wait_for("call_incoming")
    both_hear(caller, agent)
    answer(phone)
    assert agent.wait_for("call_closed")["text"] == "Call transfered"
    both_hear(caller, phone)
    assert open_media_ports(peers.edge) == []
    caller.command("send_dtmf", "4")
    assert phone.wait_for("dtmf")["text"] == "4"
    for peer in (caller, agent, phone):
        assert not audio_ports(peer).intersection(peers.edge.media_ports)
    assert audio_ports(caller) & audio_ports(phone)
    caller.command("hangup")
    phone.wait_for("call_closed")
    record = peers.record()
    assert (record["outcome"]["result"], record["trigger"], record["ended_by"]) == (
        "bridged",
        "refer",
        "caller",
    )


def test_a_hold_and_resume_with_direct_media_reach_the_phone_rfc3264_8_4(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    caller.wait_for("call_established")
    agent.command("transfer", f"tel:{PHONE}")
    answer(phone)
    agent.wait_for("call_closed")
    both_hear(caller, phone)
    hold_and_resume(caller, phone)
    phone.command("hangup")
    caller.wait_for("call_closed")
    assert peers.record()["ended_by"] == "phone"
