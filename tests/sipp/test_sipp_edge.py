"""Calls that need an edge of their own: a wrong trunk password, and draining after SIGTERM."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.sipp.edge_process import EdgeProcess, StunnelServer
from tests.sipp.process import until
from tests.sipp.sipp_peers import SippPeers

pytestmark = pytest.mark.network

STOP_S = 10.0


def test_a_wrong_trunk_password_gets_403_and_the_agent_is_notified(
    stunnel: StunnelServer, tmp_path: Path
) -> None:
    with (
        EdgeProcess(tmp_path, stunnel, password="wrong") as edge,
        SippPeers(edge, stunnel, tmp_path) as peers,
    ):
        phone = peers.phone("phone_verifies")
        agent = peers.agent("agent_refers_in_vain")
        carrier = peers.carrier("carrier_waits")
        peers.all_succeed(carrier, agent, phone)
        assert "SIP/2.0 403 Forbidden" in phone.messages
        assert "notified SIP/2.0 403 " in agent.notes
        (record,) = peers.records()
        assert record["outcome"]["result"] == "declined"
        peers.assert_clean()


def test_after_sigterm_active_calls_continue_and_new_ones_are_rejected(
    stunnel: StunnelServer, tmp_path: Path
) -> None:
    with EdgeProcess(tmp_path, stunnel) as edge, SippPeers(edge, stunnel, tmp_path) as peers:
        agent = peers.agent("agent_talks")
        carrier = peers.carrier("carrier_hangs_up", talk_s=2.5)
        until(lambda: "leg=caller  answered" in peers.log, "the call is answered")
        edge.signal(signal.SIGTERM)
        until(lambda: edge.health["status"] == "draining", "/healthz says draining")
        late = peers.carrier("carrier_turned_away")
        peers.all_succeed(late)
        assert carrier.exit_code is None, "the live call ended too soon"
        assert edge.calls == 1
        peers.all_succeed(carrier, agent)
        assert edge.wait(STOP_S) == 0, edge.printed
        (record,) = peers.records()
        assert record["outcome"]["result"] == "caller left"
        assert record["ended_by"] == "caller"
        assert " error " not in edge.printed
        assert "stopped" in edge.printed.splitlines()[-1]
