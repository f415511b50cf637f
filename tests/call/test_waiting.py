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


async def test_the_first_wait_wins_and_the_others_are_cancelled() -> None:
    assert await first_of(after(3, "late"), after(1, "soon"), after(2, "later")) == "soon"
    assert_nothing_runs()


async def test_of_two_in_one_tick_the_first_named_wins() -> None:
    assert await first_of(after(1, "one"), after(1, "other")) == "one"
    assert_nothing_runs()


async def test_what_the_first_wait_raises_is_raised() -> None:
    async def fails() -> str:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await first_of(after(1, "late"), fails())
    assert_nothing_runs()


@pytest.mark.parametrize("step", [1, -1])
async def test_what_a_wait_raises_leaves_nothing_to_the_garbage_collector(step: int) -> None:
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


async def test_a_wait_that_is_interrupted_leaves_nothing_running() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await first_of(after(2, "one"), after(3, "other"))
    assert_nothing_runs()


async def test_work_runs_beside_the_block_and_no_longer() -> None:
    done: list[int] = []

    async def counts() -> None:
        while True:
            await asyncio.sleep(1)
            done.append(len(done))

    async with meanwhile(counts()):
        await asyncio.sleep(3.5)
    assert done == [0, 1, 2]
    assert_nothing_runs()


async def test_work_may_end_before_the_block() -> None:
    async with meanwhile(asyncio.sleep(1)):
        await asyncio.sleep(2)
    assert_nothing_runs()


async def test_a_bug_in_the_work_comes_out_at_the_end_of_the_block() -> None:
    async def fails() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        async with meanwhile(fails()):
            await asyncio.sleep(2)
    assert_nothing_runs()


async def test_what_the_block_raises_goes_on_and_the_work_ends() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), meanwhile(asyncio.sleep(60)):
            await asyncio.sleep(60)
    assert_nothing_runs()


async def test_a_wait_for_the_end_of_a_leg_may_be_given_up_and_the_leg_goes_on() -> None:
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
