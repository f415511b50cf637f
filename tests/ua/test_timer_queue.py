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


def noting(rang: list[float]) -> Callable[[], None]:
    """A callback that records when it was called."""
    return lambda: rang.append(asyncio.get_running_loop().time())


async def test_each_rings_at_its_own_time_with_one_timer_of_the_loop() -> None:
    timer_queue, rang = TimerQueue(), list[float]()
    now = timer_queue.now()
    for wait in (32.0, 0.5, 900.0, 4.0, 0.5):
        timer_queue.at(now + wait, noting(rang))
    assert (handles(), timer_queue.pending) == (1, [now + wait for wait in (0.5, 0.5, 4.0, 32.0, 900.0)])
    await asyncio.sleep(1000)
    assert [when - now for when in rang] == [0.5, 0.5, 4.0, 32.0, 900.0]
    assert (handles(), timer_queue.pending) == (0, [])


async def test_one_that_is_cancelled_never_rings_and_knows_nobody_any_more() -> None:
    timer_queue, rang = TimerQueue(), list[float]()
    now = timer_queue.now()
    first = timer_queue.at(now + 1, noting(rang))
    timer_queue.at(now + 2, noting(rang))
    first.cancel()
    first.cancel()
    assert (first.callback, timer_queue.pending, pending_timers()) == (None, [now + 2], [now + 2])
    await asyncio.sleep(5)
    assert [when - now for when in rang] == [2.0]


async def test_one_may_set_others_as_it_rings() -> None:
    timer_queue, rang = TimerQueue(), list[float]()
    now = timer_queue.now()

    def again() -> None:
        timer_queue.at(now + 10, noting(rang))
        timer_queue.at(now + 1, noting(rang))
        timer_queue.at(now + 2, noting(rang))

    timer_queue.at(now + 1, again)
    timer_queue.at(now + 3, noting(rang))
    await asyncio.sleep(20)
    assert [when - now for when in rang] == [1.0, 2.0, 3.0, 10.0]


async def test_one_that_fails_leaves_the_others_theirs() -> None:
    timer_queue, rang, told = TimerQueue(), list[float](), list[str]()
    now = timer_queue.now()

    def fails() -> None:
        raise ValueError("a bug")

    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: told.append(str(context["exception"]))
    )
    timer_queue.at(now + 1, fails)
    timer_queue.at(now + 1, noting(rang))
    timer_queue.at(now + 3, noting(rang))
    await asyncio.sleep(5)
    assert ([when - now for when in rang], told) == ([1.0, 3.0], ["a bug"])


async def test_a_process_that_was_stopped_reads_before_any_rings() -> None:
    timer_queue, rang = TimerQueue(), list[float]()
    loop, now = stoppable(), timer_queue.now()
    answered = timer_queue.at(now + 32, noting(rang))
    timer_queue.at(now + 2, noting(rang))
    await asyncio.sleep(1)
    loop.stop_for(60)
    await asyncio.sleep(0.01)  # the socket is read
    answered.cancel()
    timer_queue.at(timer_queue.now() - 1, noting(rang))
    assert rang == []
    await asyncio.sleep(1)
    assert [when - now for when in rang] == [61 + CATCH_UP_S] * 2
    assert handles() == 0


async def test_a_loop_that_is_always_late_rings_all_the_same() -> None:
    timer_queue, rang = TimerQueue(), list[float]()
    loop, now = stoppable(), timer_queue.now()
    timer_queue.at(now + 1, noting(rang))
    for _ in range(3):
        loop.stop_for(3)
        await asyncio.sleep(0.01)
    assert [when - now for when in rang] == [pytest.approx(6.01)]


async def test_once_closed_after_a_stop_none_rings() -> None:
    timer_queue, rang = TimerQueue(), list[float]()
    timer_queue.at(timer_queue.now() + 1, noting(rang))
    stoppable().stop_for(9)
    await asyncio.sleep(0.01)
    timer_queue.close()
    await asyncio.sleep(5)
    assert (rang, handles()) == ([], 0)


@pytest.mark.parametrize("standing", [0, 10])
async def test_those_cancelled_long_before_their_time_take_no_room(standing: int) -> None:
    timer_queue, rang = TimerQueue(), list[float]()
    now = timer_queue.now()
    for _ in range(standing):
        timer_queue.at(now + 900, noting(rang))
    for _ in range(20 * COMPACT_SLACK):
        timer_queue.at(now + 1800, noting(rang)).cancel()
        assert len(timer_queue._heap) <= 2 * (standing + 1) + COMPACT_SLACK
    await asyncio.sleep(2000)
    assert [when - now for when in rang] == [900.0] * standing


async def test_once_closed_none_rings() -> None:
    timer_queue, rang = TimerQueue(), list[float]()
    timer_queue.at(timer_queue.now() + 1, noting(rang))
    timer_queue.close()
    assert (timer_queue.pending, handles()) == ([], 0)
    await asyncio.sleep(5)
    assert rang == []
