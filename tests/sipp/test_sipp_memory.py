"""Calls in the database survive a killed edge, and `screendoor trace` reads those of a running one."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.sipp.edge_process import COMMAND, DIALED, PHONE, ROOT, EdgeProcess, StunnelServer
from tests.sipp.process import until
from tests.sipp.sipp_peers import SippPeers

pytestmark = pytest.mark.network

CALLS = 20


def states(folder: Path) -> list[tuple[str, str | None, str | None]]:
    """State, result and dialed number of each call, read without our own database code."""
    connection = sqlite3.connect(folder / "screendoor.db")
    try:
        return sorted(connection.execute("SELECT state, result, dialed FROM calls"))
    finally:
        connection.close()


def test_after_sigkill_ended_calls_are_stored_and_the_active_call_is_marked_cut(
    stunnel: StunnelServer, tmp_path: Path
) -> None:
    kept = tmp_path / "edge"
    kept.mkdir()
    over = [("over", "caller left", DIALED)] * CALLS
    with EdgeProcess(kept, stunnel) as edge, SippPeers(edge, stunnel, tmp_path) as peers:
        peers.agent("agent_talks", calls=CALLS + 1)
        peers.carrier("carrier_hangs_up", talk_s=60)
        until(lambda: "after_s=" in peers.log, "the long call is answered")
        short = peers.carrier("carrier_hangs_up", calls=CALLS)
        peers.all_succeed(short)
        until(lambda: edge.finished == CALLS, f"{CALLS} calls are over")
        # Writes are batched for GATHER_S; docs/settings.md says that a kill loses that much.
        until(lambda: states(kept).count(over[0]) == CALLS, "the memory has been told")
        edge.signal(signal.SIGKILL)
        assert edge.wait(5) == -signal.SIGKILL
        assert states(kept) == [("going on", None, DIALED), *over]
    with EdgeProcess(kept, stunnel):
        until(lambda: states(kept) == [("cut", "cut", DIALED), *over], "the call is cut")


def traced(edge: EdgeProcess, *options: str) -> str:
    """The output of `screendoor trace` for the only call, or its error message."""
    [record] = edge.records
    command = [*COMMAND, "trace", record["call"], *options, "--config", str(edge.settings)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, env={"PYTHONPATH": str(ROOT)})
    return told.stdout or told.stderr


def test_trace_shows_the_sip_of_a_call_including_tls_while_the_edge_runs(
    stunnel: StunnelServer, tmp_path: Path
) -> None:
    kept = tmp_path / "edge"
    kept.mkdir()
    with (
        EdgeProcess(kept, stunnel, memory=', sip = "on"') as edge,
        SippPeers(edge, stunnel, tmp_path) as peers,
    ):
        phone, agent = peers.phone("phone_hangs_up"), peers.agent("agent_refers")
        peers.all_succeed(peers.carrier("carrier_waits"), agent, phone)
        until(lambda: bool(edge.records), "the call is over")
        until(lambda: "no SIP is kept" not in traced(edge), "its trace is kept")
        ladder, whole = traced(edge), traced(edge, "--whole")
        legs = [leg["call_ids"] for leg in edge.records[0]["legs"]]
    said = {line.split("▶ ")[-1].split("── ")[-1] for line in ladder.splitlines()[3:]}
    assert {
        f"INVITE {DIALED}",
        f"REFER tel:{PHONE}",
        "NOTIFY 200 OK",
        "407 Proxy",
        "200 OK (BYE)",
    } <= said
    assert [f"| Call-ID: {call_id}" in whole for [call_id] in legs] == [True] * 3
    assert "agent, TLS 127.0.0.1:" in whole
    assert "Proxy-Authorization: Digest" in whole
    assert re.search(r"response=x+\b", whole)
