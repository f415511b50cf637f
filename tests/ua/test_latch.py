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

CONTEXT: ContextVar[str] = ContextVar("context", default="nobody's")


class EventLog(list[str]):
    """A log of what happened, in order."""

    async def waits(self, latch: Latch[str], then: Callable[[str], object] = str) -> None:
        CONTEXT.set("the waiter's")
        result = await latch
        self.append(f"{result} in {CONTEXT.get()} context")
        then(result)


def handle_message(turn: MessageTurn, *acts: Callable[[], object]) -> None:
    """Handle a message as the core does: run these, then the waiting tasks."""
    turn.handling = True
    for act in acts:
        act()
    turn.run_pending()
    turn.handling = False


async def outside_any_task(*acts: Callable[[], object]) -> None:
    """Run these outside any task, as the loop runs the callbacks of a socket."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(lambda: [*[act() for act in acts], done.set()])
    await done.wait()


async def waiting(wait: object) -> asyncio.Task[None]:
    task: asyncio.Task[None] = asyncio.ensure_future(wait)  # type: ignore[call-overload]
    await asyncio.sleep(0)
    return task


async def test_a_waiting_task_resumes_right_after_the_message_in_its_own_context() -> None:
    turn, events = MessageTurn(), EventLog()
    latch: Latch[str] = Latch(turn)
    task = await waiting(events.waits(latch))
    seen: list[list[str]] = []
    await outside_any_task(
        lambda: handle_message(turn, lambda: latch.set_result("answered"), lambda: seen.append([*events])),
        lambda: seen.append([*events]),
    )
    assert seen == [[], ["answered in the waiter's context"]]
    assert task.done()


async def test_a_task_woken_by_a_resumed_task_resumes_in_the_same_turn() -> None:
    turn, events = MessageTurn(), EventLog()
    first: Latch[str] = Latch(turn)
    second: Latch[str] = Latch(turn)
    tasks = [await waiting(events.waits(first, second.set_result)), await waiting(events.waits(second))]
    seen: list[bool] = []
    await outside_any_task(
        lambda: handle_message(turn, lambda: first.set_result("answered")),
        lambda: seen.extend(task.done() for task in tasks),
    )
    assert seen == [True, True]


async def test_a_cancelled_task_ends_in_the_same_turn() -> None:
    turn, events = MessageTurn(), EventLog()
    task = await waiting(events.waits(Latch(turn)))
    seen: list[bool] = []
    await outside_any_task(lambda: handle_message(turn, task.cancel), lambda: seen.append(task.cancelled()))
    assert seen == [True]


async def test_outside_a_message_turn_a_latch_behaves_like_a_future() -> None:
    turn, events = MessageTurn(), EventLog()
    latch: Latch[str] = Latch(turn)
    task = await waiting(events.waits(latch))
    latch.set_result("answered")
    assert not task.done()
    await task
    assert events == ["answered in the waiter's context"]


async def test_no_task_resumes_inside_another_task_that_handles_a_message() -> None:
    turn, events = MessageTurn(), EventLog()
    latch: Latch[str] = Latch(turn)
    task = await waiting(events.waits(latch))
    handle_message(turn, lambda: latch.set_result("answered"))
    assert not task.done()
    await task
    assert not turn.handling


async def test_a_failing_callback_is_logged_and_does_not_stop_the_next_task() -> None:
    turn, events = MessageTurn(), EventLog()
    latch: Latch[str] = Latch(turn)

    def fails(_: object) -> None:
        raise KeyError("a bug")

    latch.add_done_callback(fails)
    await waiting(events.waits(latch))
    with structlog.testing.capture_logs() as logs:
        await outside_any_task(lambda: handle_message(turn, lambda: latch.set_result("answered")))
    assert events == ["answered in the waiter's context"]
    assert [(line["event"], line["log_level"]) for line in logs] == [("message not followed up", "error")]


async def test_set_exception_raises_in_the_waiting_task() -> None:
    turn = MessageTurn()
    latch: Latch[str] = Latch(turn)
    task = await waiting(EventLog().waits(latch))
    handle_message(turn, lambda: latch.set_exception(LookupError("gone")))
    with pytest.raises(LookupError, match="gone"):
        await task


async def test_a_latch_supports_cancel_shield_and_removing_callbacks() -> None:
    turn, results = MessageTurn(), []
    latch: Latch[str] = Latch(turn)
    shielded = await waiting(asyncio.shield(latch))
    latch.add_done_callback(results.append)
    assert latch.remove_done_callback(results.append) == 1
    assert latch.cancel()
    assert not latch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shielded
    assert results == []
    latch.add_done_callback(results.append)
    await asyncio.sleep(0)
    assert results == [latch]


async def test_a_bye_interrupts_the_task_of_its_leg_before_the_next_message_is_handled(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    ended: list[bool] = []

    async def story() -> None:
        with pytest.raises(LegEnded):
            async with leg.up():
                await Latch[None](ua.core.turn)

    task = await waiting(story())
    bye = messages.bye(messages.invite(), to_tag=ours.to_tag).encode()
    await outside_any_task(
        lambda: ua.core.received(leg.flow, bye),
        lambda: ended.append(task.done()),
    )
    assert ended == [True]
    await ua.peer.hears(200)
    await ua.assert_clean()


def test_cancelling_a_waiting_task_after_its_loop_stopped_raises_nothing_else() -> None:
    """``asyncio.run`` cancels remaining tasks after the main one has raised."""

    async def main() -> None:
        await waiting(EventLog().waits(Latch(MessageTurn())))
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(main())
