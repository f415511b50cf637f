"""The dispatcher in virtual time: order, retries, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from screening.notices.channel import Delivered, GivenUp, Later, Outcome
from screening.notices.delivery import Delivery, Due, OutboxUnavailable
from screening.notices.dispatcher import Dispatcher
from screening.notices.memory_outbox import MemoryOutbox
from screening.notices.notice import Event
from screening.notices.retry_schedule import RETRY_DELAYS_S
from screening.notices.target import Target
from tests.screening.notices.records import record
from tests.screening.notices.test_notice import ENDS, Warned

DONE = Delivered("answered 204")
BUSY = Later("answered 503")
MISSED = frozenset((Event.MISSED,))


class Scripted:
    """A scripted receiver; the last of its answers repeats."""

    def __init__(self, *answers: Outcome | Exception, takes_s: float = 0.0, concurrency: int = 1) -> None:
        self.answers, self.takes_s, self.concurrency = list(answers), takes_s, concurrency
        self.got: list[tuple[float, Delivery]] = []
        self.busy = self.max_busy = 0
        self._began = asyncio.get_running_loop().time()

    @property
    def at(self) -> list[float]:
        return [round(at, 2) for at, _ in self.got]

    @property
    def calls(self) -> list[str]:
        return [delivery.payload["data"]["call"] for _, delivery in self.got]

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.got.append((asyncio.get_running_loop().time() - self._began, delivery))
        self.busy += 1
        self.max_busy = max(self.max_busy, self.busy)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.busy -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None: ...


class Clock:
    """A settable wall clock."""

    def __init__(self) -> None:
        self.ahead = 1_800_000_000.0

    def __call__(self) -> float:
        return self.ahead + asyncio.get_running_loop().time()


def dispatcher_of(
    *channels: Scripted, outbox: Any = None, clock: Callable[[], float] | None = None, **more: Any
) -> Dispatcher:
    targets = [Target(f"t{n}", channel, **{"events": MISSED} | more) for n, channel in enumerate(channels)]
    return Dispatcher(targets, outbox or MemoryOutbox(), clock or Clock(), lambda low, high: (low + high) / 2)


def missed(name: str = "1f") -> dict[str, Any]:
    return record("unanswered", call=name)


async def test_a_finished_call_is_delivered_at_once() -> None:
    receiver = Scripted(DONE)
    async with dispatcher_of(receiver) as dispatcher:
        dispatcher.finished(missed())
        await asyncio.sleep(1)
        assert receiver.at == [0.0]
        assert dispatcher.counts == {("call.missed", "done"): 1}


async def test_a_budget_warning_is_delivered() -> None:
    receiver = Scripted(DONE)
    async with dispatcher_of(receiver, events=frozenset((Event.BUDGET,))) as dispatcher:
        dispatcher.finished(missed())
        dispatcher.budget(Warned())
        await asyncio.sleep(1)
    assert [delivery.event for _, delivery in receiver.got] == ["budget.warning"]


async def test_a_model_shutdown_is_delivered() -> None:
    receiver = Scripted(DONE)
    async with dispatcher_of(receiver, events=frozenset((Event.MODEL,))) as dispatcher:
        dispatcher.shutdown(ENDS)
        await asyncio.sleep(1)
    assert [delivery.event for _, delivery in receiver.got] == ["model.warning"]


async def test_a_failed_delivery_is_retried_with_increasing_delays() -> None:
    receiver = Scripted(BUSY, BUSY, BUSY, DONE)
    async with dispatcher_of(receiver) as dispatcher:
        dispatcher.finished(missed())
        await asyncio.sleep(7200)
        assert receiver.at == [0.0, 5.0, 305.0, 2105.0]
        assert len({delivery.id for _, delivery in receiver.got}) == 1
        assert dispatcher.counts == {("call.missed", "later"): 3, ("call.missed", "done"): 1}


async def test_a_delivery_is_given_up_after_three_days_with_a_log_line() -> None:
    receiver = Scripted(BUSY)
    with structlog.testing.capture_logs() as logs:
        async with dispatcher_of(receiver) as dispatcher:
            dispatcher.finished(missed())
            await asyncio.sleep(10 * 86400)
    assert len(receiver.got) == len(RETRY_DELAYS_S) + 1
    assert receiver.at[-1] == sum(RETRY_DELAYS_S)
    assert dispatcher.counts["call.missed", "given up"] == 1
    assert logs[-1] == {
        "event": "notice given up",
        "log_level": "warning",
        "call": "1f",
        "notice": "call.missed",
        "to": "t0",
        "tries": 10,
        "why": "tried for days; the last time: answered 503",
    }


async def test_a_delivery_given_up_by_the_channel_is_not_retried() -> None:
    receiver = Scripted(GivenUp("answered 410"))
    async with dispatcher_of(receiver) as dispatcher:
        dispatcher.finished(missed())
        await asyncio.sleep(10 * 86400)
    assert receiver.at == [0.0]
    assert dispatcher.counts == {("call.missed", "given up"): 1}


async def test_a_slow_target_does_not_delay_others() -> None:
    slow, quick = Scripted(DONE, takes_s=3600.0), Scripted(DONE)
    async with dispatcher_of(slow, quick) as dispatcher:
        for n in range(3):
            dispatcher.finished(missed(f"{n}"))
            await asyncio.sleep(1)
        assert quick.calls == ["0", "1", "2"]
        assert quick.at == [0.0, 1.0, 2.0]
        assert slow.calls == ["0"]


async def test_a_failing_target_is_paused_and_gets_everything_afterwards() -> None:
    receiver = Scripted(*[BUSY] * 6, DONE, concurrency=4)
    async with dispatcher_of(receiver) as dispatcher:
        for n in range(6):
            dispatcher.finished(missed(f"{n}"))
        await asyncio.sleep(7200)
    # Four fail at once; a second later one is tried, two seconds later the next, and that one arrives.
    assert receiver.at[:7] == [0.0] * 4 + [1.0, 3.0, 7.0]
    assert dispatcher.counts["call.missed", "done"] == 6


async def test_retry_after_delays_all_deliveries_of_a_target() -> None:
    receiver = Scripted(Later("answered 429", retry_after_s=900.0), DONE)
    async with dispatcher_of(receiver) as dispatcher:
        dispatcher.finished(missed("0"))
        await asyncio.sleep(1)
        dispatcher.finished(missed("1"))
        await asyncio.sleep(3600)
    assert receiver.at == [0.0, 900.0, 900.0]


async def test_an_exception_in_a_channel_is_logged_and_the_delivery_retried() -> None:
    receiver = Scripted(ValueError("a bug"), DONE)
    with structlog.testing.capture_logs() as logs:
        async with dispatcher_of(receiver) as dispatcher:
            dispatcher.finished(missed())
            await asyncio.sleep(60)
    assert receiver.at == [0.0, 5.0]
    assert "notice not told" in [line["event"] for line in logs]


async def test_an_exception_in_the_outbox_is_logged_and_retried_after_a_minute() -> None:
    class Faulty(MemoryOutbox):
        asked = 0

        async def take_due(self, target: str, now: float, limit: int) -> Due:
            self.asked += 1
            if self.asked == 1:
                raise ValueError("a bug")
            return await super().take_due(target, now, limit)

    receiver = Scripted(DONE)
    with structlog.testing.capture_logs() as logs:
        async with dispatcher_of(receiver, outbox=Faulty()) as dispatcher:
            dispatcher.finished(missed())
            await asyncio.sleep(120)
    assert receiver.at == [60.0]
    assert [line["event"] for line in logs].count("notices stuck") == 1


async def test_deliveries_are_sent_in_order_of_due_time() -> None:
    receiver = Scripted(BUSY, DONE)
    async with dispatcher_of(receiver) as dispatcher:
        dispatcher.finished(missed("first"))
        await asyncio.sleep(0.5)
        for name in ("second", "third"):
            dispatcher.finished(missed(name))
        await asyncio.sleep(60)
    assert receiver.calls == ["first", "second", "third", "first"]


async def test_ten_thousand_waiting_notices_are_delivered_and_the_one_over_given_up() -> None:
    receiver = Scripted(DONE, takes_s=0.05, concurrency=4)
    with structlog.testing.capture_logs() as logs:
        async with dispatcher_of(receiver) as dispatcher:
            for n in range(10_001):
                dispatcher.finished(missed(f"{n}"))
            await asyncio.sleep(1)
            assert len(asyncio.all_tasks()) < 20
            await asyncio.sleep(600)
    assert receiver.calls == [f"{n}" for n in range(10_000)]
    assert receiver.max_busy == 4
    assert dispatcher.counts == {("call.missed", "done"): 10_000, ("call.missed", "given up"): 1}
    assert [line["why"] for line in logs if line["event"] == "notice given up"] == ["too many wait already"]


@pytest.mark.parametrize("by_s", [-20 * 365 * 86400.0, 20 * 365 * 86400.0])
async def test_a_clock_jump_of_years_loses_no_delivery(by_s: float) -> None:
    """Clock set forward or back: deliveries are retried within a minute, and not given up."""
    receiver, clock = Scripted(BUSY, BUSY, DONE), Clock()
    async with dispatcher_of(receiver, clock=clock) as dispatcher:
        dispatcher.finished(missed())
        await asyncio.sleep(10)
        clock.ahead += by_s
        dispatcher.finished(missed("new"))
        await asyncio.sleep(120)
    assert sorted(receiver.calls) == ["1f", "1f", "1f", "new"]
    assert dispatcher.counts["call.missed", "done"] == 2


async def test_a_clock_set_back_delays_a_retry_by_that_much() -> None:
    receiver, clock = Scripted(BUSY, DONE), Clock()
    async with dispatcher_of(receiver, clock=clock) as dispatcher:
        dispatcher.finished(missed())
        await asyncio.sleep(1)
        clock.ahead -= 100
        await asyncio.sleep(300)
    assert receiver.at == [0.0, 105.0]


class UnavailableForAWhile(MemoryOutbox):
    """An outbox that is unavailable for a while."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = asyncio.get_running_loop().time() + until

    async def take_due(self, target: str, now: float, limit: int) -> Due:
        if asyncio.get_running_loop().time() < self.until:
            raise OutboxUnavailable("the disk is full")
        return await super().take_due(target, now, limit)


async def test_an_unavailable_outbox_is_one_log_line_and_retried() -> None:
    receiver = Scripted(DONE)
    with structlog.testing.capture_logs() as logs:
        async with dispatcher_of(receiver, outbox=UnavailableForAWhile(60.0)) as dispatcher:
            dispatcher.finished(missed())
            await asyncio.sleep(120)
    assert receiver.at == [60.0]
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == [
        "notices wait: the database cannot be read"
    ]


async def test_wake_delivers_notices_left_in_the_outbox_at_once() -> None:
    outbox, other, receiver = MemoryOutbox(), Scripted(BUSY), Scripted(DONE)
    async with dispatcher_of(receiver, outbox=outbox) as dispatcher:
        await asyncio.sleep(1)
        async with dispatcher_of(other, outbox=outbox) as drains:
            drains.finished(missed())
            await asyncio.sleep(1)
        await asyncio.sleep(10)
        dispatcher.wake()
        await asyncio.sleep(0.1)
        assert receiver.at == [12.0]


async def test_notices_left_by_another_process_are_delivered_within_a_minute() -> None:
    outbox, other, receiver = MemoryOutbox(), Scripted(BUSY), Scripted(DONE)
    async with dispatcher_of(receiver, outbox=outbox):
        await asyncio.sleep(1)
        async with dispatcher_of(other, outbox=outbox) as drains:
            drains.finished(missed())
            await asyncio.sleep(1)
        await asyncio.sleep(60)
    assert (other.calls, receiver.calls) == (["1f"], ["1f"])


@pytest.mark.parametrize("quiet_s", [0.0, 5.0])
async def test_a_notice_queued_just_before_the_end_is_delivered(quiet_s: float) -> None:
    receiver = Scripted(DONE, takes_s=2.0)
    with structlog.testing.capture_logs() as logs:
        async with dispatcher_of(receiver) as dispatcher:
            await asyncio.sleep(quiet_s)
            dispatcher.finished(missed())
    assert receiver.calls == ["1f"]
    assert [line["event"] for line in logs] == ["notice delivered"]


async def test_closing_waits_five_seconds_and_logs_lost_notices() -> None:
    receiver, began = Scripted(DONE, takes_s=3600.0), asyncio.get_running_loop().time()
    with structlog.testing.capture_logs() as logs:
        async with dispatcher_of(receiver) as dispatcher:
            for n in range(3):
                dispatcher.finished(missed(f"{n}"))
    assert asyncio.get_running_loop().time() - began == pytest.approx(5.0)
    assert logs[-1]["event"] == "notices lost"
    assert logs[-1]["notices"] == 3


async def test_delivery_logs_contain_no_numbers_and_no_speech() -> None:
    receiver = Scripted(BUSY, DONE)
    with structlog.testing.capture_logs() as logs:
        async with dispatcher_of(receiver, transcript=True) as dispatcher:
            dispatcher.finished(missed())
            await asyncio.sleep(60)
    assert len(logs) == 2
    assert not any(word in str(logs) for word in ("0148", "1234", "delivery", "parcel"))


def left(**more: Any) -> dict[str, Any]:
    return record("voicemail", voicemail="v.wav", **more)


async def test_a_target_with_transcripts_is_notified_once_the_transcript_exists() -> None:
    words, none = Scripted(DONE), Scripted(DONE)
    targets = [Target("w", words, transcript=True, one_per_call=True), Target("n", none, one_per_call=True)]
    async with Dispatcher(targets, MemoryOutbox(), Clock(), lambda low, high: low) as dispatcher:
        dispatcher.finished(left(), wait_s=60.0)
        await asyncio.sleep(10)
        assert (words.at, none.at) == ([], [0.0])
        dispatcher.finished(left(voicemail_transcript="Call me"))
        await asyncio.sleep(10)
    assert (words.at, none.at) == ([10.0], [0.0])
    [(_, told)] = words.got
    assert told.payload["data"]["voicemail_transcript"] == "Call me"


async def test_a_missing_voicemail_transcript_is_awaited_for_wait_s_at_most() -> None:
    words = Scripted(DONE)
    async with dispatcher_of(words, transcript=True, events=frozenset((Event.VOICEMAIL,))) as dispatcher:
        dispatcher.finished(left(), wait_s=60.0)
        await asyncio.sleep(100)
    assert words.at == [60.0]
