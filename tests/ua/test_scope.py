"""Scopes that are interrupted when a leg ends or a time limit passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import pytest

from proxy.transport.flow import TransportFailed
from proxy.ua.errors import LegEnded, LimitReached
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.scope import limit
from proxy.ua.timer_queue import TimerQueue
from tests.ua.user_agent import UserAgent


def later(seconds: float, *acts: Callable[[], None]) -> None:
    """Run these in one event-loop iteration, after this many seconds."""

    def act() -> None:
        for each in acts:
            each()

    asyncio.get_running_loop().call_later(seconds, act)


async def wait_in_scopes(*legs: Leg, seconds: float = 10) -> None:
    """Wait inside the scopes of these legs, the first one outermost."""
    async with AsyncExitStack() as stack:
        for leg in legs:
            assert await stack.enter_async_context(leg.up()) is leg
        await asyncio.sleep(seconds)


def cancellations() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_the_end_of_a_leg_raises_leg_ended_in_its_scope(ua: UserAgent) -> None:
    leg = ua.leg()
    later(1, lambda: leg.end(EndReason.HUNG_UP))
    with pytest.raises(LegEnded, match="caller: the peer hung up") as end:
        await wait_in_scopes(leg)
    assert (end.value.leg, end.value.reason) == (leg, EndReason.HUNG_UP)
    await asyncio.sleep(1)


async def test_entering_the_scope_of_an_ended_leg_raises_leg_ended(ua: UserAgent) -> None:
    leg = ua.leg()
    leg.end(EndReason.HUNG_UP)
    with pytest.raises(LegEnded):
        await wait_in_scopes(leg)
    await asyncio.sleep(1)


async def test_of_two_nested_scopes_the_exception_names_the_leg_that_ended(ua: UserAgent) -> None:
    outer, inner = ua.leg("outer"), ua.leg("inner")
    later(1, lambda: inner.end(EndReason.HUNG_UP))
    later(2, lambda: outer.end(EndReason.CANCELLED))

    async def scoped() -> None:
        async with outer.up():
            with pytest.raises(LegEnded) as first:
                await wait_in_scopes(inner)
            assert first.value.leg is inner
            await asyncio.sleep(10)

    with pytest.raises(LegEnded) as end:
        await scoped()
    assert end.value.leg is outer


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_of_two_legs_ending_at_once_the_exception_names_the_outer(
    ua: UserAgent, order: tuple[int, int]
) -> None:
    legs = [ua.leg("outer"), ua.leg("inner")]
    later(1, *(partial(legs[each].end, EndReason.HUNG_UP) for each in order))
    with pytest.raises(LegEnded) as end:
        await wait_in_scopes(*legs)
    assert end.value.leg is legs[0]
    assert cancellations() == 0
    await asyncio.sleep(1)


async def test_a_leg_that_ends_while_its_scope_is_left_cancels_nothing(ua: UserAgent) -> None:
    leg = ua.leg()
    wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    later(1, lambda: wake.set_result(None), lambda: leg.end(EndReason.HUNG_UP))
    async with leg.up():
        await wake
    await asyncio.sleep(1)
    assert cancellations() == 0


async def test_a_leg_ended_by_its_own_task_does_not_interrupt_what_follows(
    ua: UserAgent,
) -> None:
    leg = ua.leg()
    async with leg.up():
        leg.end(EndReason.COMPLETED)
    await asyncio.sleep(1)


async def test_an_external_cancellation_is_not_turned_into_leg_ended(ua: UserAgent) -> None:
    leg = ua.leg()

    task = asyncio.ensure_future(wait_in_scopes(leg))
    await asyncio.sleep(1)
    task.cancel()
    leg.end(EndReason.HUNG_UP)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_another_exception_raised_in_the_scope_is_kept(ua: UserAgent) -> None:
    leg = ua.leg()
    later(1, lambda: leg.end(EndReason.HUNG_UP))

    async def scoped() -> None:
        async with leg.up():
            try:
                await asyncio.sleep(10)
            finally:
                raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await scoped()
    await asyncio.sleep(1)


async def test_leg_ended_replaces_a_transport_failure_in_the_same_iteration(ua: UserAgent) -> None:
    """The caller hangs up as the phone's connection fails: the call ends normally, without an error."""
    leg = ua.leg()
    wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    lost = TransportFailed("connection reset by peer")
    later(1, lambda: wake.set_exception(lost), lambda: leg.end(EndReason.HUNG_UP))
    with pytest.raises(LegEnded):
        async with leg.up():
            await wake
    await asyncio.sleep(1)
    assert cancellations() == 0


async def test_a_transport_failure_while_the_leg_is_up_is_kept(ua: UserAgent) -> None:
    with pytest.raises(TransportFailed):
        async with ua.leg().up():
            raise TransportFailed("connection reset by peer")


async def test_leg_ended_takes_precedence_over_a_limit_reached_at_the_same_time(ua: UserAgent) -> None:
    leg = ua.leg()
    later(1, lambda: leg.end(EndReason.HUNG_UP))
    with pytest.raises(LegEnded):
        async with leg.up(), limit(ua.core.timer_queue, 1, EndReason.NO_ANSWER):
            await asyncio.sleep(10)
    assert cancellations() == 0
    await asyncio.sleep(1)


async def test_a_reached_limit_raises_limit_reached_with_its_reason() -> None:
    with pytest.raises(LimitReached) as reached:
        async with limit(TimerQueue(), 5, EndReason.NO_ANSWER):
            await asyncio.sleep(10)
    assert (reached.value.reason, reached.value.status) == (EndReason.NO_ANSWER, 408)


async def test_a_limit_not_reached_raises_nothing() -> None:
    async with limit(TimerQueue(), 5, EndReason.NO_ANSWER):
        await asyncio.sleep(4)
    await asyncio.sleep(10)


async def test_a_timeout_error_from_elsewhere_passes_through_a_limit() -> None:
    with pytest.raises(TimeoutError):
        async with limit(TimerQueue(), 5, EndReason.NO_ANSWER):
            raise TimeoutError
