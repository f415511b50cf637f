"""Fallback to the userspace relay where the user may not load eBPF programs into the kernel."""

from __future__ import annotations

import sys

import pytest

from tests.interop.baresip_agent import both_hear
from tests.interop.peers import Peers
from tests.interop.test_baresip import bridge
from tests.media.kernel.able import needs_kernel

pytestmark = [pytest.mark.network, needs_kernel]

POWERLESS = """
from proxy.cli import main
from tests.media.kernel.privilege import keep_capabilities
keep_capabilities(set())
main()
"""
SCREENDOOR = [sys.executable, "-c", POWERLESS]


def test_without_kernel_forwarding_a_call_is_relayed_and_one_line_logs_why_rfc3515(peers: Peers) -> None:
    agent, phone = peers.agent(), peers.phone()
    caller = peers.caller()
    bridge(caller, agent, phone)
    both_hear(caller, phone)
    assert peers.edge.kernel_streams == 0
    (line,) = (line for line in peers.edge.printed.splitlines() if "kernel" in line)
    assert "info" in line
    assert "CAP_BPF and CAP_NET_ADMIN" in line
    caller.command("hangup")
    phone.wait_for("call_closed")
    assert peers.record()["outcome"]["result"] == "bridged"
