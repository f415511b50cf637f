"""End-to-end calls with baresip and audio forwarded by the kernel, as shipped."""

from __future__ import annotations

import pytest

from tests.interop.baresip_agent import both_hear
from tests.interop.peers import Peers
from tests.interop.test_baresip import answer, bridge
from tests.media.kernel.able import needs_kernel
from tests.sipp.edge_process import PHONE
from tests.sipp.process import until

pytestmark = [pytest.mark.network, needs_kernel]


def carried(peers: Peers) -> None:
    """Wait until the kernel forwards both directions of the call."""
    until(lambda: peers.edge.kernel_streams == 2, "both streams in the kernel")


def test_a_call_forwarded_by_the_kernel_is_transferred_held_resumed_and_relays_dtmf(peers: Peers) -> None:
    until(lambda: "forwarding audio in the kernel" in peers.edge.printed, "the line that says so")
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    answer(agent)
    both_hear(caller, agent)
    carried(peers)
    agent.command("transfer", f"tel:{PHONE}")
    answer(phone)
    agent.wait_for("call_closed")
    both_hear(caller, phone)
    carried(peers)
    caller.command("send_dtmf", "4")
    assert phone.wait_for("dtmf")["text"] == "4"
    carried(peers)
    caller.command("hold")
    caller.wait_for("did_hold")
    caller.wait_for_silence()
    assert peers.edge.kernel_streams == 0
    caller.command("resume")
    caller.wait_for("did_resume")
    both_hear(caller, phone)
    carried(peers)
    caller.command("hangup")
    phone.wait_for("call_closed")
    until(lambda: peers.edge.kernel_streams == 0, "nothing in the kernel")
    record = peers.record()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "caller")


def test_the_record_has_the_quality_of_audio_forwarded_by_the_kernel(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    both_hear(caller, phone)
    carried(peers)
    both_hear(caller, phone)
    phone.command("hangup")
    caller.wait_for("call_closed")
    for leg in peers.record()["legs"]:
        if leg["name"] != "agent":  # it left after two packets
            heard = leg["quality"]["heard"]
            assert heard["packets"] > 60
            assert (heard["lost"], heard["duplicates"]) == (0, 0)
            assert heard["mos"] > 4
            assert leg["quality"]["sent"]["packets"] > 60
