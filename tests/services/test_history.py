"""State is restored as soon as the database is available."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog

from proxy.services import costs, history, memory_setup, policy_setup
from screening.callers.recent import RecentCalls
from screening.contract import Caller
from screening.costs.caps import Amount
from screening.memory.database import Database
from screening.memory.store import Memory
from tests.screening.memory.records import finish
from tests.services.two_numbers import AT, US, parse_settings

CALLER = "+13475550148"


def call(name: str, at: datetime, minutes: float) -> dict[str, object]:
    cost = {"minutes": minutes, "tokens": 0, "money": None}
    outcome = {"result": "bridged", "reason": "r"}
    who = {
        "call": name,
        "dialed": US,
        "caller": CALLER,
        "began": at.isoformat(),
        "cost": cost,
        "outcome": outcome,
    }
    return who | {"transcript": []}


@pytest.mark.network
async def test_state_restored_late_excludes_calls_counted_since_the_start(tmp_path: Path) -> None:
    """Without the calls since the start, which are already counted."""
    settings = parse_settings(tmp_path, "[costs]\nday_minutes = 3.5")
    accounts, recent = policy_setup.screener(settings, lambda: AT).accounts, RecentCalls()
    memory = Memory(Database(f"sqlite:///{tmp_path}/calls.db"), process="p")
    finish(memory, call("c1", AT - timedelta(hours=1), 1.5))
    finish(memory, call("c2", AT + timedelta(minutes=1), 2.0))
    caller = Caller("c2", CALLER, None, US, "local", AT + timedelta(minutes=1))
    with structlog.testing.capture_logs() as logs:
        for again in (False, True):
            assert not await costs.restore(settings, accounts, memory, AT, again)
            assert not await memory_setup.restore(recent, memory, AT, again)
        assert not recent.record(caller)
        await asyncio.to_thread(memory.start)
        try:
            assert await costs.restore(settings, accounts, memory, AT, True)
            assert await memory_setup.restore(recent, memory, AT, True)
        finally:
            await asyncio.to_thread(memory.close)
    assert accounts.ledger.today()[0] == (None, Amount(1.5), Amount())
    assert list(recent.record(caller)) == [AT - timedelta(hours=1)]
    assert [line["event"] for line in logs] == [
        "costs: what was spent today before this start is not known yet",
        "callers before this start are not known yet",
        "costs of today known",
    ]


@pytest.mark.network
async def test_callers_before_a_restart_are_restored_although_the_clock_is_behind(
    tmp_path: Path,
) -> None:
    recent = RecentCalls()
    memory = Memory(Database(f"sqlite:///{tmp_path}/calls.db"), process="before")
    finish(memory, call("c1", AT - timedelta(minutes=5), 1.5))
    await asyncio.to_thread(memory.start)
    try:
        await memory.ask(lambda connection: None)
        memory.process = "started after the power cut"
        assert await memory_setup.restore(recent, memory, AT - timedelta(hours=2))
    finally:
        await asyncio.to_thread(memory.close)
    assert list(recent.record(Caller("c2", CALLER, None, US, "local", AT))) == [AT - timedelta(minutes=5)]


@pytest.mark.virtual
async def test_restoring_is_retried_every_10_s_until_it_succeeds() -> None:
    loop = asyncio.get_running_loop()
    began, asked = loop.time(), list[tuple[str, float, bool]]()

    def restore_after(name: str, seconds: float) -> history.Restore:
        async def restore(again: bool) -> bool:
            asked.append((name, loop.time() - began, again))
            return loop.time() - began >= seconds

        return restore

    async with history.restored(
        [restore_after("at once", 0), restore_after("soon", 15), restore_after("never", 99)]
    ):
        await asyncio.sleep(35)
    await asyncio.sleep(60)
    assert asked == [
        ("at once", 0, False),
        ("soon", 0, False),
        ("never", 0, False),
        ("soon", 10, True),
        ("never", 10, True),
        ("soon", 20, True),
        ("never", 20, True),
        ("never", 30, True),
    ]
