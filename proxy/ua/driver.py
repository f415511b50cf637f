"""Runs the pure state machines of ``proxy.sip``: carries out their effects and keeps their timers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from proxy.sip.effects import Deliver, Effect, Failed, Send
from proxy.sip.errors import SipError
from proxy.sip.message import Request, Response
from proxy.transport.flow import TransportFailed
from proxy.ua.errors import TransactionTimeout
from proxy.ua.timer_queue import Timer, TimerQueue

Message = Request | Response


class Machine(Protocol):
    """A pure state machine: returns effects, and says in `deadline` when to call `expire`.

    `deadline` is None once it is `terminated`. `linger_s`: if not 0, the machine only absorbs retransmissions
    for that many seconds.
    """

    @property
    def deadline(self) -> float | None: ...
    @property
    def terminated(self) -> bool: ...
    @property
    def linger_s(self) -> float: ...
    def expire(self, now: float) -> Sequence[Effect]: ...
    def fail(self, error: Exception, now: float) -> Sequence[Effect]: ...


class TransactionUser(Protocol):
    """The transaction user (RFC 3261 §5) of a machine."""

    def received(self, message: Message) -> None: ...
    def failed(self, error: SipError) -> None: ...


class Driver:
    """Carries out the effects of one machine and keeps its timer; subclasses define what the effects do."""

    _machine: Machine
    _timer_queue: TimerQueue
    """Both are set by the subclass: four drivers are made in every call, and these defaults cost nothing."""
    _timer: Timer | None = None
    _armed_for: float | None = None
    _over = False

    # For subclasses to override.

    def send(self, message: Message) -> None:
        """Pass the message to the transport; raises TransportFailed."""
        raise NotImplementedError

    def deliver(self, message: Message) -> None:
        """Pass the message to the user."""
        raise NotImplementedError

    def failed(self, error: SipError) -> None:
        """The machine has given up."""
        raise NotImplementedError

    def finished(self) -> None:
        """The machine has terminated."""

    def linger(self, until: float) -> None:
        """Only late retransmissions are left until then: hand over to something that takes less memory."""
        raise NotImplementedError

    # The interpreter.

    def perform(self, effects: Sequence[Effect]) -> None:
        """Carry out the effects, then reset the timer; does nothing once stopped."""
        if self._over:
            return
        for effect in effects:
            if type(effect) is Send:
                try:
                    self.send(effect.message)
                except TransportFailed as error:
                    self.fail(error)
            elif type(effect) is Deliver:
                self.deliver(effect.message)
            elif type(effect) is Failed:
                cause = effect.error
                self.failed(cause if isinstance(cause, SipError) else SipError(str(cause)))
            else:  # TimedOut, the only other effect
                self.failed(TransactionTimeout("no final response in time"))
        if self._over:
            return
        machine = self._machine
        due = machine.deadline
        if due != self._armed_for:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._armed_for = due
            if due is not None:
                if machine.linger_s:
                    return self.linger(due)
                self._timer = self._timer_queue.at(due, self._expire)
        if due is None and machine.terminated:
            self._over = True
            self.finished()

    def fail(self, error: Exception) -> None:
        """The flow under this machine is gone."""
        self.perform(self._machine.fail(error, self._timer_queue.now()))

    def stop(self) -> None:
        """Drop the machine without sending anything more."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._armed_for = None

    def _expire(self) -> None:
        due = self._armed_for or 0.0
        self._timer = self._armed_for = None
        now = max(self._timer_queue.now(), due)  # the loop may fire a clock tick early
        self.perform(self._machine.expire(now))
