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


class Machine:
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


class Around(Driver):
    """A driver around the machine; records what it is asked to send, deliver and report."""

    def __init__(self, broken: bool = False) -> None:
        self.machine = Machine()
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


async def test_effects_are_carried_out_in_order() -> None:
    around = Around()
    around.perform([Send(INVITE), Deliver(messages.ok(INVITE)), TimedOut(), Failed(OSError("x"))])
    assert (around.sent, around.got) == ([INVITE], [messages.ok(INVITE)])
    assert [type(error) for error in around.errors] == [TransactionTimeout, SipError]


async def test_one_timer_is_kept_and_moved_with_the_deadline() -> None:
    around = Around()
    now = around._timer_queue.now()
    around.machine.deadline = now + 5
    around.perform([])
    around.perform([])
    assert len(pending_timers()) == 1
    around.machine.deadline = now + 2
    around.perform([])
    assert pending_timers() == [now + 2]
    await asyncio.sleep(3)
    assert around.machine.expired == [now + 2]
    assert pending_timers() == []


async def test_a_terminated_machine_is_finished_once() -> None:
    around = Around()
    around.machine.terminated = True
    around.perform([])
    around.perform([])
    around.fail(TransportFailed("late"))
    assert (around.ends, around.errors) == (1, [])


async def test_what_cannot_be_sent_fails_the_machine_and_what_was_to_be_delivered_is() -> None:
    around = Around(broken=True)
    around.perform([Send(INVITE), Deliver(messages.ok(INVITE))])
    assert [str(error) for error in around.errors] == ["closed"]
    assert (around.ends, len(around.got)) == (1, 1)


async def test_a_stopped_driver_does_nothing_more() -> None:
    around = Around()
    around.machine.deadline = around._timer_queue.now() + 5
    around.perform([])
    around.stop()
    around.perform([Send(INVITE)])
    await asyncio.sleep(10)
    assert (around.sent, around.machine.expired, around.ends) == ([], [], 0)
