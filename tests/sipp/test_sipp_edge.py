"""Calls that need an edge of their own: a wrong trunk password, and draining after SIGTERM."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.sipp.edge_process import EdgeProcess, Gate
from tests.sipp.house import House
from tests.sipp.process import until

pytestmark = pytest.mark.network

STOP_S = 10.0


def test_a_wrong_password_does_not_reach_the_phone(gate: Gate, tmp_path: Path) -> None:
    with EdgeProcess(tmp_path, gate, password="wrong") as edge, House(edge, gate, tmp_path) as house:
        phone = house.phone("phone_verifies")
        agent = house.agent("agent_refers_in_vain")
        carrier = house.carrier("carrier_waits")
        house.all_succeed(carrier, agent, phone)
        assert "SIP/2.0 403 Forbidden" in phone.messages
        assert "notified SIP/2.0 403 " in agent.notes
        (record,) = house.records()
        assert record["outcome"]["result"] == "declined"
        house.assert_clean()


def test_after_sigterm_the_live_call_goes_on_and_a_new_one_is_told_to_come_back(
    gate: Gate, tmp_path: Path
) -> None:
    with EdgeProcess(tmp_path, gate) as edge, House(edge, gate, tmp_path) as house:
        agent = house.agent("agent_talks")
        carrier = house.carrier("carrier_hangs_up", talk_s=2.5)
        until(lambda: "leg=caller  answered" in house.log, "the call is answered")
        edge.signal(signal.SIGTERM)
        until(lambda: edge.health["status"] == "draining", "/healthz says draining")
        late = house.carrier("carrier_turned_away")
        house.all_succeed(late)
        assert carrier.exit_code is None, "the live call ended too soon"
        assert edge.calls == 1
        house.all_succeed(carrier, agent)
        assert edge.wait(STOP_S) == 0, edge.said
        (record,) = house.records()
        assert record["outcome"]["result"] == "caller left"
        assert record["ended_by"] == "caller"
        assert " error " not in edge.said
        assert "stopped" in edge.said.splitlines()[-1]
