"""Expectations added from the shell apply in the running service, and are counted there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.config import load
from proxy.services import memory_setup, policy_setup
from screening.contract import Ask, Caller, Ring
from screening.memory import lists
from tests.commands.test_commands import TEXT
from tests.sipp.process import until

NUMBER = "+14155551234"


def a_caller(call: str) -> Caller:
    return Caller(call, "+13475550148", None, NUMBER, "local", datetime.now(UTC))


@pytest.mark.network
async def test_after_expect_anybody_the_next_caller_rings_and_the_one_after_is_screened(
    tmp_path: Path,
) -> None:
    file = tmp_path / "sd.toml"
    file.write_text(TEXT.replace("FOLDER", str(tmp_path)))
    settings = load(file, {})
    kept = memory_setup.build_memory(settings, "p1", lambda: datetime.now(UTC))
    assert kept is not None
    screener = policy_setup.screener(settings, lambda: datetime.now(UTC), kept.lists)
    expecting = kept.lists.expecting
    await asyncio.to_thread(kept.memory.start)
    try:
        assert isinstance(await screener.plan(a_caller("c1")), Ask)
        command = ["contacts", "expect", "anybody", "--calls", "1", "--config", str(file)]
        assert CliRunner().invoke(main, command).exit_code == 0
        await asyncio.to_thread(until, lambda: expecting.find(None, a_caller("c2")), "it looks at the lists")
        assert await screener.plan(a_caller("c2")) == Ring("expected: somebody is expected")
        assert isinstance(await screener.plan(a_caller("c3")), Ask)
        assert await kept.memory.ask(lists.find_entries) == []
    finally:
        await asyncio.to_thread(kept.memory.close)
