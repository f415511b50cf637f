"""The collector looks at everything when no call is going on, or after a quarter of an hour."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from proxy.garbage_collection import (
    LATEST_S,
    LOOK_S,
    OF_A_CALL,
    PILE_OBJECTS,
    QUIET_S,
    collect_in_quiet,
    grown_objects,
    spare_the_calls,
)


@pytest.fixture
def _collector_as_before() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


@pytest.fixture
def looks() -> Iterator[list[float]]:
    """When all generations were looked through, by the loop's time."""
    seen: list[float] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(asyncio.get_running_loop().time())

    gc.callbacks.append(look)
    yield seen
    gc.callbacks.remove(look)


@pytest.mark.usefixtures("_collector_as_before")
def test_what_stands_at_the_start_is_not_looked_at_again() -> None:
    spare_the_calls()
    assert gc.get_freeze_count() > 10_000
    assert not gc.isenabled()


@pytest.mark.virtual
@pytest.mark.usefixtures("_collector_as_before")
async def test_everything_is_looked_at_in_quiet_or_in_the_end(looks: list[float]) -> None:
    spare_the_calls()
    looks.clear()
    calls, start = [1], asyncio.get_running_loop().time()
    looking = asyncio.ensure_future(collect_in_quiet(lambda: calls[0], lambda: 0))
    await asyncio.sleep(LATEST_S - 1)
    assert looks == []
    await asyncio.sleep(2)
    assert [at - start for at in looks] == [LATEST_S]
    calls[0] = 0
    await asyncio.sleep(2 * QUIET_S)
    assert [at - start for at in looks[1:]] == [LATEST_S + QUIET_S, LATEST_S + 2 * QUIET_S]
    looking.cancel()


@pytest.mark.virtual
@pytest.mark.usefixtures("_collector_as_before")
async def test_what_piles_up_is_looked_at_though_calls_go_on(looks: list[float]) -> None:
    spare_the_calls()
    looks.clear()
    calls = [10]
    looking = asyncio.ensure_future(collect_in_quiet(lambda: calls[0], lambda: 0))
    await asyncio.sleep(0)
    calls[0] = 20
    kept: list[list[int]] = [[] for _ in range(PILE_OBJECTS + 9 * OF_A_CALL)]
    await asyncio.sleep(LOOK_S + 0.1)
    assert grown_objects() > PILE_OBJECTS, "so much may belong to the new calls"
    kept += [[] for _ in range(2 * OF_A_CALL)]
    await asyncio.sleep(LOOK_S)
    assert grown_objects() < 1_000
    kept += [[] for _ in range(PILE_OBJECTS + 1_000)]
    await asyncio.sleep(LOOK_S)
    assert grown_objects() < 1_000, "ten more calls were there already"
    assert looks == [], "the old was let be"
    looking.cancel()
