"""INVITE client transaction: (time, input) -> (time, effect), with true timer values."""

from __future__ import annotations

import pytest

from proxy.sip.effects import Deliver, Effect, Failed, Send, TimedOut
from proxy.sip.timers import Timers
from proxy.sip.transactions import InviteClient, State, ack_for
from tests.kit.messages import invite, ok, response, ringing, trying

UDP, TCP = False, True


def client(reliable: bool, now: float = 0.0) -> InviteClient:
    machine = InviteClient(invite(), Timers(), reliable)
    assert machine.start(now) == [Send(machine.request)]
    return machine


def timeline(machine: InviteClient) -> list[tuple[float, Effect | None]]:
    """Run through all deadlines; the effects with their times, None for a timer without effects."""
    seen: list[tuple[float, Effect | None]] = []
    while (due := machine.deadline) is not None:
        effects = machine.expire(due)
        seen += [(due, effect) for effect in effects] or [(due, None)]
    return seen


def test_invite_is_resent_at_doubling_intervals_until_timer_b_rfc3261_17_1_1_2() -> None:
    machine = client(UDP)
    again = Send(machine.request)
    sends = (0.5, 1.5, 3.5, 7.5, 15.5, 31.5)
    assert timeline(machine) == [*((at, again) for at in sends), (32.0, TimedOut())]
    assert machine.terminated


def test_invite_over_a_connection_is_sent_once_rfc3261_17_1_1_2() -> None:
    machine = client(TCP)
    assert timeline(machine) == [(32.0, TimedOut())]
    assert machine.terminated


def test_deadlines_are_relative_to_the_start_time() -> None:
    assert client(UDP, now=1000.0).deadline == 1000.5


def test_a_timer_run_after_timer_b_times_out_without_a_retransmission() -> None:
    machine = client(UDP)
    assert machine.expire(40.0) == [TimedOut()]


def test_a_timer_run_before_its_deadline_does_nothing() -> None:
    machine = client(UDP)
    assert machine.expire(0.499) == []
    assert machine.deadline == 0.5


def test_a_provisional_response_stops_timers_a_and_b_rfc3261_17_1_1_2() -> None:
    machine = client(UDP)
    hundred, ring = trying(machine.request), ringing(machine.request)
    assert machine.receive(hundred, 0.2) == [Deliver(hundred)]
    assert machine.state is State.PROCEEDING
    assert machine.deadline is None
    assert machine.receive(ring, 90.0) == [Deliver(ring)]
    assert machine.expire(500.0) == []


@pytest.mark.parametrize("reliable", [UDP, TCP])
@pytest.mark.parametrize("rang_first", [False, True])
def test_every_2xx_is_delivered_until_timer_m_rfc6026_7_2(reliable: bool, rang_first: bool) -> None:
    machine = client(reliable)
    if rang_first:
        machine.receive(ringing(machine.request), 0.3)
    answer, fork = ok(machine.request), ok(machine.request, to_tag="other")
    assert machine.receive(answer, 1.0) == [Deliver(answer)]
    assert machine.state is State.ACCEPTED
    assert machine.receive(answer, 1.5) == [Deliver(answer)]
    assert machine.receive(fork, 20.0) == [Deliver(fork)]
    assert timeline(machine) == [(33.0, None)]
    assert machine.terminated
    assert machine.receive(answer, 34.0) == []


@pytest.mark.parametrize("status", [100, 180, 302, 486, 603])
def test_after_a_2xx_provisional_and_non_2xx_responses_are_dropped_rfc6026_7_2(status: int) -> None:
    machine = client(UDP)
    machine.receive(ok(machine.request), 1.0)
    assert machine.receive(response(machine.request, status), 1.1) == []
    assert machine.state is State.ACCEPTED


@pytest.mark.parametrize("status", [302, 407, 486, 503, 603])
@pytest.mark.parametrize("rang_first", [False, True])
def test_a_non_2xx_is_acknowledged_each_time_and_delivered_once_rfc3261_17_1_1_2(
    status: int, rang_first: bool
) -> None:
    machine = client(UDP)
    if rang_first:
        machine.receive(ringing(machine.request), 0.3)
    refusal = response(machine.request, status)
    ack = Send(ack_for(machine.request, refusal))
    assert machine.receive(refusal, 2.0) == [ack, Deliver(refusal)]
    assert machine.state is State.COMPLETED
    assert machine.receive(refusal, 2.5) == [ack]
    assert machine.receive(refusal, 3.5) == [ack]
    assert timeline(machine) == [(34.0, None)]
    assert machine.terminated
    assert machine.receive(refusal, 35.0) == []


def test_timer_d_is_zero_on_a_connection_rfc3261_17_1_1_2() -> None:
    machine = client(TCP)
    refusal = response(machine.request, 486)
    assert machine.receive(refusal, 2.0) == [Send(ack_for(machine.request, refusal)), Deliver(refusal)]
    assert machine.terminated
    assert machine.deadline is None


def test_after_a_non_2xx_later_2xx_and_180_responses_are_dropped_rfc3261_17_1_1_2() -> None:
    machine = client(UDP)
    machine.receive(response(machine.request, 486), 2.0)
    assert machine.receive(ok(machine.request), 2.1) == []
    assert machine.receive(ringing(machine.request), 2.2) == []


@pytest.mark.parametrize("rang_first", [False, True])
def test_a_transport_failure_ends_the_transaction_rfc3261_17_1_4(rang_first: bool) -> None:
    machine, error = client(TCP), OSError("reset")
    if rang_first:
        machine.receive(ringing(machine.request), 0.3)
    assert machine.fail(error, 1.0) == [Failed(error)]
    assert machine.terminated
    assert machine.deadline is None
    assert machine.fail(error, 1.1) == []


def test_a_transport_failure_of_the_ack_is_reported_rfc3261_17_1_1_2() -> None:
    machine, error = client(UDP), OSError("down")
    machine.receive(response(machine.request, 486), 2.0)
    assert machine.fail(error, 2.0) == [Failed(error)]
    assert machine.terminated


def test_a_transport_failure_in_the_accepted_state_is_ignored_rfc6026_figure_5() -> None:
    machine = client(TCP)
    machine.receive(ok(machine.request), 1.0)
    assert machine.fail(OSError("reset"), 2.0) == []
    assert machine.state is State.ACCEPTED


def test_a_cancelled_invite_times_out_64_t1_after_the_cancel_without_a_final_response_rfc3261_9_1() -> None:
    machine = client(UDP)
    machine.receive(ringing(machine.request), 0.3)
    machine.cancelled(10.0)
    ring = ringing(machine.request)
    assert machine.receive(ring, 11.0) == [Deliver(ring)]
    assert timeline(machine) == [(42.0, TimedOut())]
    assert machine.terminated


def test_a_487_to_a_cancelled_invite_replaces_the_64_t1_wait_by_timer_d_rfc3261_9_1() -> None:
    machine = client(UDP)
    machine.receive(ringing(machine.request), 0.3)
    machine.cancelled(10.0)
    machine.receive(response(machine.request, 487), 10.1)
    assert timeline(machine) == [(pytest.approx(42.1), None)]


def test_cancelling_before_a_provisional_response_leaves_the_timers_as_they_are_rfc3261_9_1() -> None:
    machine = client(UDP)
    machine.cancelled(0.1)
    assert machine.deadline == 0.5


def test_an_abandoned_invite_is_not_retransmitted_but_still_delivers_responses_rfc3263_4_3() -> None:
    machine = client(UDP)
    assert machine.abandoned() == []
    assert machine.deadline == 32.0
    ring = ringing(machine.request)
    assert machine.receive(ring, 6.0) == [Deliver(ring)]
