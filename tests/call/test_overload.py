"""Overload detection: a late event loop or too much memory is reported, and so is its end."""

from __future__ import annotations

import asyncio

from proxy.call.overload import OverloadMonitor, resident_bytes


async def test_a_loop_that_is_late_again_and_again_is_strained_and_one_hiccup_is_not() -> None:
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


async def test_memory_beyond_its_bound_is_strain_until_it_is_given_back() -> None:
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


async def test_limits_of_zero_do_not_count() -> None:
    overload = OverloadMonitor(0, 0, resident=lambda: 10**12)
    watching = asyncio.ensure_future(overload.watch())
    await asyncio.sleep(2)
    assert overload() is None
    watching.cancel()


def test_the_system_tells_how_much_memory_we_hold() -> None:
    assert 1_000_000 < resident_bytes() < 10**12
