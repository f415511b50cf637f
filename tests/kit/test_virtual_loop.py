import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.kit.virtual_loop import START, DeadlockError, NotInVirtualTime, VirtualLoop, run_virtual

pytestmark = pytest.mark.virtual


@pytest.fixture
async def started_at() -> AsyncIterator[float]:
    yield asyncio.get_running_loop().time()  # noqa: PT022


async def test_a_marked_test_and_its_async_fixtures_run_on_the_virtual_loop(started_at):
    assert isinstance(asyncio.get_running_loop(), VirtualLoop)
    assert started_at == START


@pytest.mark.network
async def test_a_network_test_runs_on_a_real_loop():
    assert not isinstance(asyncio.get_running_loop(), VirtualLoop)


async def test_a_sleep_of_an_hour_is_exact_and_takes_no_real_time():
    loop, real = asyncio.get_running_loop(), time.monotonic()
    before = loop.time()
    await asyncio.sleep(3600.1)
    assert loop.time() == before + 3600.1
    assert time.monotonic() - real < 1


async def test_a_sleep_longer_than_the_longest_select_ends_on_time():
    loop = asyncio.get_running_loop()
    before = loop.time()
    await asyncio.sleep(7 * 86_400)
    assert loop.time() == before + 7 * 86_400


async def test_timers_fire_in_order_at_their_exact_times():
    loop, fired = asyncio.get_running_loop(), []
    done = asyncio.Event()
    for delay in (32.0, 0.5, 1.5, 3.5):
        loop.call_later(delay, lambda d=delay: fired.append((d, loop.time() - START)))
    loop.call_later(40, done.set)
    await done.wait()
    assert fired == [(0.5, 0.5), (1.5, 1.5), (3.5, 3.5), (32.0, 32.0)]


async def test_ready_callbacks_run_before_time_advances():
    loop, steps = asyncio.get_running_loop(), []

    async def busy() -> None:
        for _ in range(100):
            steps.append(loop.time())
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(busy())
        group.create_task(asyncio.sleep(10))
    assert set(steps) == {START}
    assert loop.time() == START + 10


async def test_timeouts_and_task_groups_work():
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(64 * 0.5), asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
    assert loop.time() == START + 32


def test_a_deadlock_is_raised_at_once_and_names_the_waiting_task():
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    async def story() -> None:
        await asyncio.sleep(2)
        async with asyncio.TaskGroup() as group:
            group.create_task(waits_for_ever(), name="the phone")

    with pytest.raises(DeadlockError) as caught:
        run_virtual(story())
    assert "at 2.000 s of virtual time" in str(caught.value)
    assert "the phone waits at" in str(caught.value)


def test_run_virtual_returns_the_result():
    async def answer() -> int:
        await asyncio.sleep(86_400 * 365)
        return 42

    assert run_virtual(answer()) == 42


async def test_starting_a_thread_is_an_error_that_says_how_to_mark_the_test():
    with pytest.raises(NotInVirtualTime, match="mark the test `network`"):
        await asyncio.to_thread(time.sleep, 0)


async def test_name_lookups_raise_not_in_virtual_time():
    with pytest.raises(NotInVirtualTime, match="getaddrinfo"):
        await asyncio.get_running_loop().getaddrinfo("localhost", 5060)


async def test_opening_a_socket_raises_not_in_virtual_time():
    with pytest.raises(NotInVirtualTime, match="real socket"):
        await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )


async def test_call_soon_threadsafe_works_from_the_loop_s_own_thread_only():
    loop, called = asyncio.get_running_loop(), asyncio.Event()
    loop.call_soon_threadsafe(called.set)
    await called.wait()
    loop._thread = -1
    with pytest.raises(NotInVirtualTime, match="another thread"):
        loop.call_soon_threadsafe(called.set)
