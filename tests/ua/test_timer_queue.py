"""The timer queue: each timer fires at its own time, on a single event-loop timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from proxy.ua.timer_queue import CATCH_UP_S, COMPACT_SLACK, TimerQueue
from tests.kit.virtual_loop import stoppable
from tests.ua.user_agent import pending_timers


def handles() -> int:
    """How many timers the event loop itself holds."""
    return len([each for each in asyncio.get_running_loop()._scheduled if not each.cancelled()])  # type: ignore[attr-defined]


def record_time(fired: list[float]) -> Callable[[], None]:
    """A callback that records when it was called."""
    return lambda: fired.append(asyncio.get_running_loop().time())


async def test_each_timer_fires_at_its_time_on_one_timer_of_the_event_loop() -> None:
    timer_queue, fired = TimerQueue(), list[float]()
    now = timer_queue.now()
    for wait in (32.0, 0.5, 900.0, 4.0, 0.5):
        timer_queue.at(now + wait, record_time(fired))
    assert (handles(), timer_queue.pending) == (1, [now + wait for wait in (0.5, 0.5, 4.0, 32.0, 900.0)])
    await asyncio.sleep(1000)
    assert [when - now for when in fired] == [0.5, 0.5, 4.0, 32.0, 900.0]
    assert (handles(), timer_queue.pending) == (0, [])


async def test_a_cancelled_timer_never_fires_and_drops_its_callback() -> None:
    timer_queue, fired = TimerQueue(), list[float]()
    now = timer_queue.now()
    first = timer_queue.at(now + 1, record_time(fired))
    timer_queue.at(now + 2, record_time(fired))
    first.cancel()
    first.cancel()
    assert (first.callback, timer_queue.pending, pending_timers()) == (None, [now + 2], [now + 2])
    await asyncio.sleep(5)
    assert [when - now for when in fired] == [2.0]


async def test_a_callback_may_add_timers() -> None:
    timer_queue, fired = TimerQueue(), list[float]()
    now = timer_queue.now()

    def again() -> None:
        timer_queue.at(now + 10, record_time(fired))
        timer_queue.at(now + 1, record_time(fired))
        timer_queue.at(now + 2, record_time(fired))

    timer_queue.at(now + 1, again)
    timer_queue.at(now + 3, record_time(fired))
    await asyncio.sleep(20)
    assert [when - now for when in fired] == [1.0, 2.0, 3.0, 10.0]


async def test_a_failing_callback_does_not_stop_other_timers() -> None:
    timer_queue, fired, reported = TimerQueue(), list[float](), list[str]()
    now = timer_queue.now()

    def fails() -> None:
        raise ValueError("a bug")

    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: reported.append(str(context["exception"]))
    )
    timer_queue.at(now + 1, fails)
    timer_queue.at(now + 1, record_time(fired))
    timer_queue.at(now + 3, record_time(fired))
    await asyncio.sleep(5)
    assert ([when - now for when in fired], reported) == ([1.0, 3.0], ["a bug"])


async def test_after_a_process_stop_sockets_are_read_before_overdue_timers_fire() -> None:
    timer_queue, fired = TimerQueue(), list[float]()
    loop, now = stoppable(), timer_queue.now()
    answered = timer_queue.at(now + 32, record_time(fired))
    timer_queue.at(now + 2, record_time(fired))
    await asyncio.sleep(1)
    loop.stop_for(60)
    await asyncio.sleep(0.01)  # the socket is read
    answered.cancel()
    timer_queue.at(timer_queue.now() - 1, record_time(fired))
    assert fired == []
    await asyncio.sleep(1)
    assert [when - now for when in fired] == [61 + CATCH_UP_S] * 2
    assert handles() == 0


async def test_timers_still_fire_if_the_event_loop_is_always_late() -> None:
    timer_queue, fired = TimerQueue(), list[float]()
    loop, now = stoppable(), timer_queue.now()
    timer_queue.at(now + 1, record_time(fired))
    for _ in range(3):
        loop.stop_for(3)
        await asyncio.sleep(0.01)
    assert [when - now for when in fired] == [pytest.approx(6.01)]


async def test_no_overdue_timer_fires_once_the_queue_is_closed() -> None:
    timer_queue, fired = TimerQueue(), list[float]()
    timer_queue.at(timer_queue.now() + 1, record_time(fired))
    stoppable().stop_for(9)
    await asyncio.sleep(0.01)
    timer_queue.close()
    await asyncio.sleep(5)
    assert (fired, handles()) == ([], 0)


@pytest.mark.parametrize("standing", [0, 10])
async def test_cancelled_timers_are_removed_from_the_heap(standing: int) -> None:
    timer_queue, fired = TimerQueue(), list[float]()
    now = timer_queue.now()
    for _ in range(standing):
        timer_queue.at(now + 900, record_time(fired))
    for _ in range(20 * COMPACT_SLACK):
        timer_queue.at(now + 1800, record_time(fired)).cancel()
        assert len(timer_queue._heap) <= 2 * (standing + 1) + COMPACT_SLACK
    await asyncio.sleep(2000)
    assert [when - now for when in fired] == [900.0] * standing


async def test_no_timer_fires_once_the_queue_is_closed() -> None:
    timer_queue, fired = TimerQueue(), list[float]()
    timer_queue.at(timer_queue.now() + 1, record_time(fired))
    timer_queue.close()
    assert (timer_queue.pending, handles()) == ([], 0)
    await asyncio.sleep(5)
    assert fired == []
