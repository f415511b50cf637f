"""What the memory holds of calls when the process is killed: a process of its own, and a database."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from tests.sipp.edge_process import DIALED, EdgeProcess, Gate
from tests.sipp.house import House
from tests.sipp.process import until

pytestmark = pytest.mark.network

CALLS = 20


def states(folder: Path) -> list[tuple[str, str | None, str | None]]:
    """State, result and number called of each call, without a word from whoever wrote them."""
    connection = sqlite3.connect(folder / "screendoor.db")
    try:
        return sorted(connection.execute("SELECT state, result, dialed FROM calls"))
    finally:
        connection.close()


def test_no_call_that_is_over_is_lost_by_a_kill_and_one_that_goes_on_is_known_to_be_cut(
    gate: Gate, tmp_path: Path
) -> None:
    kept = tmp_path / "edge"
    kept.mkdir()
    over = [("over", "caller left", DIALED)] * CALLS
    with EdgeProcess(kept, gate) as edge, House(edge, gate, tmp_path) as house:
        house.agent("agent_talks", calls=CALLS + 1)
        house.carrier("carrier_hangs_up", talk_s=60)
        until(lambda: "after_s=" in house.log, "the long call is answered")
        short = house.carrier("carrier_hangs_up", calls=CALLS)
        house.all_succeed(short)
        until(lambda: edge.finished == CALLS, f"{CALLS} calls are over")
        # What is told waits for GATHER_S; docs/settings.md says that a kill loses so much.
        until(lambda: states(kept).count(over[0]) == CALLS, "the memory has been told")
        edge.signal(signal.SIGKILL)
        assert edge.wait(5) == -signal.SIGKILL
        assert states(kept) == [("going on", None, DIALED), *over]
    with EdgeProcess(kept, gate):
        until(lambda: states(kept) == [("cut", "cut", DIALED), *over], "the call is cut")
