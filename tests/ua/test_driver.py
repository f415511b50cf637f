"""The driver of the state machines: it sends, delivers, reports failures, and keeps one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from proxy.sip.effects import Deliver, Effect, Failed, Send, TimedOut
from proxy.sip.errors import SipError
from proxy.sip.message import Request, Response
from proxy.transport.flow import TransportFailed
from proxy.ua.driver import Driver
from proxy.ua.errors import TransactionTimeout
from proxy.ua.timer_queue import TimerQueue
from tests.kit import messages
from tests.ua.user_agent import pending_timers

INVITE = messages.invite()


class FakeMachine:
    """A state machine whose effects are set by the test."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.terminated = self.linger_s = False
        self.expired: list[float] = []
        self.on_expire: Sequence[Effect] = ()

    def expire(self, now: float) -> Sequence[Effect]:
        self.expired.append(now)
        self.deadline = None
        return self.on_expire

    def fail(self, error: Exception, now: float) -> Sequence[Effect]:
        self.terminated = True
        return [Failed(error)]


class RecordingDriver(Driver):
    """A driver of the fake machine; records what it is asked to send, deliver and report."""

    def __init__(self, broken: bool = False) -> None:
        self.machine = FakeMachine()
        self.sent: list[Request | Response] = []
        self.got: list[Request | Response] = []
        self.errors: list[SipError] = []
        self.ends = 0
        self.broken = broken
        self._machine, self._timer_queue = self.machine, TimerQueue()

    def send(self, message: Request | Response) -> None:
        if self.broken:
            raise TransportFailed("closed")
        self.sent.append(message)

    def deliver(self, message: Request | Response) -> None:
        self.got.append(message)

    def failed(self, error: SipError) -> None:
        self.errors.append(error)

    def finished(self) -> None:
        self.ends += 1


async def test_effects_are_performed_in_order() -> None:
    driver = RecordingDriver()
    driver.perform([Send(INVITE), Deliver(messages.ok(INVITE)), TimedOut(), Failed(OSError("x"))])
    assert (driver.sent, driver.got) == ([INVITE], [messages.ok(INVITE)])
    assert [type(error) for error in driver.errors] == [TransactionTimeout, SipError]


async def test_a_driver_has_one_timer_which_follows_the_deadline() -> None:
    driver = RecordingDriver()
    now = driver._timer_queue.now()
    driver.machine.deadline = now + 5
    driver.perform([])
    driver.perform([])
    assert len(pending_timers()) == 1
    driver.machine.deadline = now + 2
    driver.perform([])
    assert pending_timers() == [now + 2]
    await asyncio.sleep(3)
    assert driver.machine.expired == [now + 2]
    assert pending_timers() == []


async def test_a_terminated_machine_is_finished_once() -> None:
    driver = RecordingDriver()
    driver.machine.terminated = True
    driver.perform([])
    driver.perform([])
    driver.fail(TransportFailed("late"))
    assert (driver.ends, driver.errors) == (1, [])


async def test_a_failed_send_is_reported_and_the_next_effects_are_still_performed() -> None:
    driver = RecordingDriver(broken=True)
    driver.perform([Send(INVITE), Deliver(messages.ok(INVITE))])
    assert [str(error) for error in driver.errors] == ["closed"]
    assert (driver.ends, len(driver.got)) == (1, 1)


async def test_a_stopped_driver_does_nothing_more() -> None:
    driver = RecordingDriver()
    driver.machine.deadline = driver._timer_queue.now() + 5
    driver.perform([])
    driver.stop()
    driver.perform([Send(INVITE)])
    await asyncio.sleep(10)
    assert (driver.sent, driver.machine.expired, driver.ends) == ([], [], 0)
