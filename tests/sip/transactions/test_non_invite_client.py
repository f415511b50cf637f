"""Non-INVITE client transaction: (time, input) -> (time, effect), with true timer values."""

from __future__ import annotations

import pytest

from proxy.sip.effects import Deliver, Effect, Failed, Send, TimedOut
from proxy.sip.timers import Timers
from proxy.sip.transactions import NonInviteClient, State
from tests.kit.messages import ok, request, response, trying

UDP, TCP = False, True


def client(reliable: bool) -> NonInviteClient:
    machine = NonInviteClient(request("BYE", to_tag="b1"), Timers(), reliable)
    assert machine.start(0.0) == [Send(machine.request)]
    return machine


def timeline(machine: NonInviteClient) -> list[tuple[float, Effect | None]]:
    """Run through all deadlines; the effects with their times, None for a timer without effects."""
    seen: list[tuple[float, Effect | None]] = []
    while (due := machine.deadline) is not None:
        effects = machine.expire(due)
        seen += [(due, effect) for effect in effects] or [(due, None)]
    return seen


def test_request_is_resent_at_intervals_capped_by_t2_until_timer_f_rfc3261_17_1_2_2() -> None:
    machine = client(UDP)
    again = Send(machine.request)
    sends = (0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
    assert timeline(machine) == [*((at, again) for at in sends), (32.0, TimedOut())]
    assert machine.terminated


def test_request_over_a_connection_is_sent_once_rfc3261_17_1_2_2() -> None:
    machine = client(TCP)
    assert timeline(machine) == [(32.0, TimedOut())]


def test_after_a_provisional_response_the_request_is_retransmitted_every_t2_rfc3261_17_1_2_2() -> None:
    machine = client(UDP)
    hundred, again = trying(machine.request), Send(machine.request)
    assert machine.receive(hundred, 0.2) == [Deliver(hundred)]
    assert machine.receive(hundred, 0.3) == [Deliver(hundred)]
    assert machine.state is State.PROCEEDING
    sends = (0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5)
    assert timeline(machine) == [*((at, again) for at in sends), (32.0, TimedOut())]


@pytest.mark.parametrize("status", [200, 302, 404, 481, 503, 603])
@pytest.mark.parametrize("tried_first", [False, True])
def test_a_final_response_is_delivered_once_rfc3261_17_1_2_2(status: int, tried_first: bool) -> None:
    machine = client(UDP)
    if tried_first:
        machine.receive(trying(machine.request), 0.2)
    final = response(machine.request, status)
    assert machine.receive(final, 1.0) == [Deliver(final)]
    assert machine.state is State.COMPLETED
    assert machine.receive(final, 1.5) == []
    assert timeline(machine) == [(6.0, None)]
    assert machine.terminated


def test_timer_k_is_zero_on_a_connection_rfc3261_17_1_2_2() -> None:
    machine = client(TCP)
    final = ok(machine.request)
    assert machine.receive(final, 1.0) == [Deliver(final)]
    assert machine.terminated
    assert machine.receive(final, 1.0) == []


def test_a_timer_run_after_timer_f_times_out_without_a_retransmission() -> None:
    assert client(UDP).expire(50.0) == [TimedOut()]


def test_a_timer_run_before_its_deadline_does_nothing() -> None:
    assert client(UDP).expire(0.4) == []


@pytest.mark.parametrize("tried_first", [False, True])
def test_a_transport_failure_ends_the_transaction_rfc3261_17_1_4(tried_first: bool) -> None:
    machine, error = client(TCP), OSError("reset")
    if tried_first:
        machine.receive(trying(machine.request), 0.2)
    assert machine.fail(error, 1.0) == [Failed(error)]
    assert machine.terminated
    assert machine.fail(error, 1.0) == []


def test_a_transport_failure_after_the_final_response_is_not_reported() -> None:
    machine = client(UDP)
    machine.receive(ok(machine.request), 1.0)
    assert machine.fail(OSError("down"), 1.1) == []
    assert machine.terminated
