"""Waiting for one of several things: the losers are cancelled, and nothing keeps running."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest

from proxy.call.waiting import EndOf, first_of, meanwhile
from proxy.ua.reason import EndReason
from tests.ua.user_agent import running_user_agent


async def after(seconds: float, result: str) -> str:
    await asyncio.sleep(seconds)
    return result


def assert_nothing_runs() -> None:
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_first_of_returns_the_first_result_and_cancels_the_others() -> None:
    assert await first_of(after(3, "late"), after(1, "soon"), after(2, "later")) == "soon"
    assert_nothing_runs()


async def test_first_of_prefers_the_first_argument_if_two_finish_in_the_same_tick() -> None:
    assert await first_of(after(1, "one"), after(1, "other")) == "one"
    assert_nothing_runs()


async def test_first_of_raises_the_exception_of_the_first_to_finish() -> None:
    async def fails() -> str:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await first_of(after(1, "late"), fails())
    assert_nothing_runs()


@pytest.mark.parametrize("step", [1, -1])
async def test_an_exception_raised_through_first_of_creates_no_reference_cycle(step: int) -> None:
    class Refused(Exception):
        """An exception used only here."""

    async def fails() -> str:
        await asyncio.sleep(1)
        raise Refused

    async def story() -> None:
        with suppress(Refused):
            await first_of(*[after(2, "late"), fails()][::step])

    gc.collect()
    gc.disable()
    try:
        await story()
        await asyncio.sleep(0)
        assert not [each for each in gc.get_objects() if isinstance(each, Refused)]
    finally:
        gc.enable()


async def test_cancelling_first_of_cancels_every_wait() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await first_of(after(2, "one"), after(3, "other"))
    assert_nothing_runs()


async def test_meanwhile_runs_its_work_until_the_block_ends() -> None:
    done: list[int] = []

    async def counts() -> None:
        while True:
            await asyncio.sleep(1)
            done.append(len(done))

    async with meanwhile(counts()):
        await asyncio.sleep(3.5)
    assert done == [0, 1, 2]
    assert_nothing_runs()


async def test_the_work_of_meanwhile_may_end_before_the_block() -> None:
    async with meanwhile(asyncio.sleep(1)):
        await asyncio.sleep(2)
    assert_nothing_runs()


async def test_an_exception_in_the_work_of_meanwhile_is_raised_at_the_end_of_the_block() -> None:
    async def fails() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        async with meanwhile(fails()):
            await asyncio.sleep(2)
    assert_nothing_runs()


async def test_an_exception_in_the_block_propagates_and_cancels_the_work() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), meanwhile(asyncio.sleep(60)):
            await asyncio.sleep(60)
    assert_nothing_runs()


async def test_cancelling_a_wait_for_the_end_of_a_leg_does_not_end_the_leg() -> None:
    async with running_user_agent() as ua:
        leg = ua.leg("phone")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await EndOf(leg)
        assert not leg.ended.done()
        end = EndOf(leg)
        leg.end(EndReason.COMPLETED)
        assert not end.done()  # a waiter goes on once the end of its leg has been handled
        assert await end is EndReason.COMPLETED
        assert await EndOf(leg) is EndReason.COMPLETED
