"""Latches: waiting tasks resume in the same event-loop iteration as the message that resolves them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import pytest
import structlog

from proxy.ua.errors import LegEnded
from proxy.ua.latch import Latch, MessageTurn
from tests.kit import messages
from tests.ua.user_agent import UserAgent

WHOSE: ContextVar[str] = ContextVar("whose", default="nobody's")


class Noted(list[str]):
    """A log of what happened, in order."""

    async def waits(self, latch: Latch[str], then: Callable[[str], object] = str) -> None:
        WHOSE.set("the waiter's")
        told = await latch
        self.append(f"{told} in {WHOSE.get()} context")
        then(told)


def takes(turn: MessageTurn, *acts: Callable[[], object]) -> None:
    """Handle a message as the core does: run these, then the waiting tasks."""
    turn.handling = True
    for act in acts:
        act()
    turn.run_pending()
    turn.handling = False


async def out_of_any_task(*acts: Callable[[], object]) -> None:
    """Run these outside any task, as the loop runs the callbacks of a socket."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(lambda: [*[act() for act in acts], done.set()])
    await done.wait()


async def waiting(wait: object) -> asyncio.Task[None]:
    task: asyncio.Task[None] = asyncio.ensure_future(wait)  # type: ignore[call-overload]
    await asyncio.sleep(0)
    return task


async def test_whoever_waits_goes_on_after_the_message_and_not_within_it() -> None:
    turn, noted = MessageTurn(), Noted()
    latch: Latch[str] = Latch(turn)
    task = await waiting(noted.waits(latch))
    seen: list[list[str]] = []
    await out_of_any_task(
        lambda: takes(turn, lambda: latch.set_result("answered"), lambda: seen.append([*noted])),
        lambda: seen.append([*noted]),
    )
    assert seen == [[], ["answered in the waiter's context"]]
    assert task.done()


async def test_whom_the_waiter_wakes_goes_on_in_the_same_turn() -> None:
    turn, noted = MessageTurn(), Noted()
    first: Latch[str] = Latch(turn)
    second: Latch[str] = Latch(turn)
    tasks = [await waiting(noted.waits(first, second.set_result)), await waiting(noted.waits(second))]
    seen: list[bool] = []
    await out_of_any_task(
        lambda: takes(turn, lambda: first.set_result("answered")),
        lambda: seen.extend(task.done() for task in tasks),
    )
    assert seen == [True, True]


async def test_a_cancelled_task_ends_in_the_same_turn() -> None:
    turn, noted = MessageTurn(), Noted()
    task = await waiting(noted.waits(Latch(turn)))
    seen: list[bool] = []
    await out_of_any_task(lambda: takes(turn, task.cancel), lambda: seen.append(task.cancelled()))
    assert seen == [True]


async def test_where_no_message_is_at_hand_it_is_a_future_like_any_other() -> None:
    turn, noted = MessageTurn(), Noted()
    latch: Latch[str] = Latch(turn)
    task = await waiting(noted.waits(latch))
    latch.set_result("answered")
    assert not task.done()
    await task
    assert noted == ["answered in the waiter's context"]


async def test_no_task_goes_on_inside_another_which_takes_a_message() -> None:
    turn, noted = MessageTurn(), Noted()
    latch: Latch[str] = Latch(turn)
    task = await waiting(noted.waits(latch))
    takes(turn, lambda: latch.set_result("answered"))
    assert not task.done()
    await task
    assert not turn.handling


async def test_one_that_fails_is_told_of_and_does_not_keep_the_next_from_going_on() -> None:
    turn, noted = MessageTurn(), Noted()
    latch: Latch[str] = Latch(turn)

    def fails(_: object) -> None:
        raise KeyError("a bug")

    latch.add_done_callback(fails)
    await waiting(noted.waits(latch))
    with structlog.testing.capture_logs() as told:
        await out_of_any_task(lambda: takes(turn, lambda: latch.set_result("answered")))
    assert noted == ["answered in the waiter's context"]
    assert [(line["event"], line["log_level"]) for line in told] == [("message not followed up", "error")]


async def test_a_failure_is_raised_where_it_is_waited_for() -> None:
    turn = MessageTurn()
    latch: Latch[str] = Latch(turn)
    task = await waiting(Noted().waits(latch))
    takes(turn, lambda: latch.set_exception(LookupError("gone")))
    with pytest.raises(LookupError, match="gone"):
        await task


async def test_it_can_be_cancelled_shielded_and_asked_for_once_more() -> None:
    turn, told = MessageTurn(), []
    latch: Latch[str] = Latch(turn)
    shielded = await waiting(asyncio.shield(latch))
    latch.add_done_callback(told.append)
    assert latch.remove_done_callback(told.append) == 1
    assert latch.cancel()
    assert not latch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shielded
    assert told == []
    latch.add_done_callback(told.append)
    await asyncio.sleep(0)
    assert told == [latch]


async def test_a_bye_interrupts_the_story_before_the_next_message_is_taken(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    ended: list[bool] = []

    async def story() -> None:
        with pytest.raises(LegEnded):
            async with leg.up():
                await Latch[None](ua.core.turn)

    task = await waiting(story())
    bye = messages.bye(messages.invite(), to_tag=ours.to_tag).encode()
    await out_of_any_task(
        lambda: ua.core.received(leg.flow, bye),
        lambda: ended.append(task.done()),
    )
    assert ended == [True]
    await ua.peer.hears(200)
    await ua.assert_clean()


def test_one_that_is_cancelled_when_its_loop_has_stopped_harms_nothing() -> None:
    """``asyncio.run`` cancels remaining tasks after the main one has raised."""

    async def main() -> None:
        await waiting(Noted().waits(Latch(MessageTurn())))
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(main())
