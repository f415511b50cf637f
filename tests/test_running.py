"""The edge as a process: shutdown on signals, and draining of live calls."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.app import App
from proxy.config import parse
from proxy.running import run
from proxy.transport.address_set import AddressSetLookup
from tests.test_app import SETTINGS, settings

pytestmark = pytest.mark.network


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the edge has started."""
    begun = asyncio.Event()
    monkeypatch.setattr("proxy.running.disable_automatic_collection", begun.set)
    return begun


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_sigterm_or_sigint_stops_the_edge(tmp_path: Path, number: int, ready: asyncio.Event) -> None:
    running = asyncio.ensure_future(run(settings(tmp_path)))
    await asyncio.wait_for(ready.wait(), 10)
    os.kill(os.getpid(), number)
    assert await asyncio.wait_for(running, 10) == 0


async def test_sigterm_ends_a_start_that_waits_for_a_silent_name_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def never(lookup: AddressSetLookup, name: str) -> tuple[list[str], float]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(AddressSetLookup, "__call__", never)
    text = SETTINGS.replace("PORT", "0").replace("FOLDER", str(tmp_path))
    named = text.replace('from = ["127.0.0.1"]', 'from = ["sip.example.com"]')
    running = asyncio.ensure_future(run(parse(named, {}, file="test.toml", folder=tmp_path)))
    await asyncio.wait_for(asked.wait(), 10)
    before = asyncio.all_tasks()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0
    assert asyncio.all_tasks() <= before


@pytest.fixture
def hang_up() -> Iterator[Callable[[signal.Handlers], None]]:
    """Set the SIGHUP disposition the edge starts with, whatever the test run inherited."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda how: signal.signal(signal.SIGHUP, how) and None
    signal.signal(signal.SIGHUP, before)


async def test_repeated_sighup_drains_live_calls_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hang_up: Callable[[signal.Handlers], None],
    ready: asyncio.Event,
) -> None:
    hang_up(signal.SIG_DFL)
    drained, truly = list[float](), App.drain

    async def drain(app: App, limit_s: float) -> None:
        drained.append(limit_s)
        os.kill(os.getpid(), signal.SIGHUP)
        for _ in range(100):
            await asyncio.sleep(0)
        await truly(app, limit_s)

    monkeypatch.setattr(App, "drain", drain)
    running = asyncio.ensure_future(run(settings(tmp_path)))
    await asyncio.wait_for(ready.wait(), 10)
    os.kill(os.getpid(), signal.SIGHUP)
    assert await asyncio.wait_for(running, 10) == 0
    assert drained == [30.0]


async def test_under_nohup_sighup_stays_ignored(
    tmp_path: Path, hang_up: Callable[[signal.Handlers], None], ready: asyncio.Event
) -> None:
    hang_up(signal.SIG_IGN)
    running = asyncio.ensure_future(run(settings(tmp_path)))
    await asyncio.wait_for(ready.wait(), 10)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0


async def test_the_edge_raises_its_descriptor_limit_to_the_hard_limit(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        running = asyncio.ensure_future(run(settings(tmp_path)))
        await asyncio.sleep(0)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
