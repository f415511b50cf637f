"""Acceptance, the 2xx retransmitted until its ACK: (time, input) -> (time, effect)."""

from __future__ import annotations

from proxy.sip.effects import Effect, Failed, Send, TimedOut
from proxy.sip.session import Acceptance
from proxy.sip.timers import Timers
from tests.kit.messages import invite, ok


def acceptance() -> Acceptance:
    return Acceptance(ok(invite()), Timers())


def timeline(machine: Acceptance) -> list[tuple[float, Effect]]:
    seen: list[tuple[float, Effect]] = []
    while (due := machine.deadline) is not None:
        seen += [(due, effect) for effect in machine.expire(due)]
    return seen


def test_the_2xx_is_retransmitted_until_64_t1_rfc3261_13_3_1_4() -> None:
    machine = acceptance()
    again = Send(machine.response)
    assert machine.start(0.0) == [again]
    sends = (0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
    assert timeline(machine) == [*((at, again) for at in sends), (32.0, TimedOut())]
    assert machine.terminated


def test_the_ack_stops_the_retransmission_of_the_2xx_rfc3261_13_3_1_4() -> None:
    machine = acceptance()
    machine.start(0.0)
    assert machine.expire(0.5) == [Send(machine.response)]
    assert not machine.terminated
    assert machine.acknowledged(0.9) == []
    assert machine.acknowledged(1.0) == []
    assert machine.terminated
    assert machine.deadline is None
    assert machine.expire(1.5) == []


def test_a_timer_run_before_its_deadline_does_nothing() -> None:
    machine = acceptance()
    machine.start(0.0)
    assert machine.expire(0.4) == []
    assert machine.deadline == 0.5


def test_a_timer_run_after_64_t1_times_out_without_a_retransmission() -> None:
    machine = acceptance()
    machine.start(0.0)
    assert machine.expire(33.0) == [TimedOut()]


def test_there_is_no_deadline_before_the_start() -> None:
    assert acceptance().deadline is None


def test_a_transport_failure_of_the_2xx_is_reported_once() -> None:
    machine, error = acceptance(), OSError("reset")
    machine.start(0.0)
    assert machine.fail(error, 0.1) == [Failed(error)]
    assert machine.terminated
    assert machine.fail(error, 0.2) == []
