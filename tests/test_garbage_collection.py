"""Full garbage collections run when no call is active, or after a quarter of an hour."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from proxy.garbage_collection import (
    CHECK_INTERVAL_S,
    GARBAGE_OBJECTS,
    IDLE_CHECK_S,
    MAX_DELAY_S,
    OBJECTS_PER_CALL,
    collect_when_idle,
    disable_automatic_collection,
    grown_objects,
)


@pytest.fixture
def _collector_as_before() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


@pytest.fixture
def full_collections() -> Iterator[list[float]]:
    """Event loop times at which full (generation 2) collections started."""
    seen: list[float] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(asyncio.get_running_loop().time())

    gc.callbacks.append(look)
    yield seen
    gc.callbacks.remove(look)


@pytest.mark.usefixtures("_collector_as_before")
def test_disabling_automatic_collection_freezes_existing_objects() -> None:
    disable_automatic_collection()
    assert gc.get_freeze_count() > 10_000
    assert not gc.isenabled()


@pytest.mark.virtual
@pytest.mark.usefixtures("_collector_as_before")
async def test_full_collections_run_when_idle_or_after_the_maximum_delay(
    full_collections: list[float],
) -> None:
    disable_automatic_collection()
    full_collections.clear()
    calls, start = [1], asyncio.get_running_loop().time()
    looking = asyncio.ensure_future(collect_when_idle(lambda: calls[0], lambda: 0))
    await asyncio.sleep(MAX_DELAY_S - 1)
    assert full_collections == []
    await asyncio.sleep(2)
    assert [at - start for at in full_collections] == [MAX_DELAY_S]
    calls[0] = 0
    await asyncio.sleep(2 * IDLE_CHECK_S)
    assert [at - start for at in full_collections[1:]] == [
        MAX_DELAY_S + IDLE_CHECK_S,
        MAX_DELAY_S + 2 * IDLE_CHECK_S,
    ]
    looking.cancel()


@pytest.mark.virtual
@pytest.mark.usefixtures("_collector_as_before")
async def test_growing_garbage_is_collected_during_calls_without_a_full_collection(
    full_collections: list[float],
) -> None:
    disable_automatic_collection()
    full_collections.clear()
    calls = [10]
    looking = asyncio.ensure_future(collect_when_idle(lambda: calls[0], lambda: 0))
    await asyncio.sleep(0)
    calls[0] = 20
    kept: list[list[int]] = [[] for _ in range(GARBAGE_OBJECTS + 9 * OBJECTS_PER_CALL)]
    await asyncio.sleep(CHECK_INTERVAL_S + 0.1)
    assert grown_objects() > GARBAGE_OBJECTS, "so much may belong to the new calls"
    kept += [[] for _ in range(2 * OBJECTS_PER_CALL)]
    await asyncio.sleep(CHECK_INTERVAL_S)
    assert grown_objects() < 1_000
    kept += [[] for _ in range(GARBAGE_OBJECTS + 1_000)]
    await asyncio.sleep(CHECK_INTERVAL_S)
    assert grown_objects() < 1_000, "ten more calls were there already"
    assert full_collections == [], "the old was let be"
    looking.cancel()
