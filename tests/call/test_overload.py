"""Overload detection: a late event loop or too much memory is reported, and so is its end."""

from __future__ import annotations

import asyncio

from proxy.call.overload import OverloadMonitor, resident_bytes


async def test_a_repeatedly_late_event_loop_is_overload_and_a_single_delay_is_not() -> None:
    overload = OverloadMonitor(0.5, 0)
    watching = asyncio.ensure_future(overload.watch())
    await asyncio.sleep(0.05)
    found = []
    for busy_s in (0.0, 0.7, 0.0, 0.7, 0.7, 0.0):
        asyncio.get_running_loop()._now += busy_s  # as if one callback had blocked the loop that long
        await asyncio.sleep(0.1 if not busy_s else 0.0)
        for _ in range(4):
            await asyncio.sleep(0)
        found.append(overload())
    watching.cancel()
    assert found == [None, None, None, None, "the event loop is late", None]


async def test_memory_over_its_limit_is_overload_until_it_is_freed() -> None:
    held = [100]
    overload = OverloadMonitor(0.5, 150, resident=lambda: held[0])
    watching = asyncio.ensure_future(overload.watch())
    found = []
    for size in (100, 200, 100):
        held[0] = size
        await asyncio.sleep(1.2)
        found.append(overload())
    watching.cancel()
    assert found == [None, "too much memory is in use", None]


async def test_limits_of_zero_disable_the_overload_checks() -> None:
    overload = OverloadMonitor(0, 0, resident=lambda: 10**12)
    watching = asyncio.ensure_future(overload.watch())
    await asyncio.sleep(2)
    assert overload() is None
    watching.cancel()


def test_resident_bytes_reads_our_memory_from_the_system() -> None:
    assert 1_000_000 < resident_bytes() < 10**12
