"""Non-INVITE server transaction: (time, input) -> (time, effect), with true timer values."""

from __future__ import annotations

import pytest

from proxy.sip.effects import Failed, Send, TimedOut
from proxy.sip.timers import Timers
from proxy.sip.transactions import NonInviteServer, State
from tests.kit.messages import ok, request, response, trying

UDP, TCP = False, True


def server(reliable: bool) -> NonInviteServer:
    return NonInviteServer(request("OPTIONS"), Timers(), reliable)


def test_a_retransmitted_request_before_any_response_is_absorbed_rfc3261_17_2_2() -> None:
    machine = server(UDP)
    assert machine.receive(machine.request, 0.5) == []
    assert machine.state is State.TRYING
    assert machine.deadline is None


def test_a_retransmitted_request_gets_the_100_again_rfc3261_17_2_2() -> None:
    machine = server(UDP)
    hundred = trying(machine.request)
    assert machine.respond(hundred, 3.5) == [Send(hundred)]
    assert machine.state is State.PROCEEDING
    assert machine.receive(machine.request, 4.0) == [Send(hundred)]
    assert machine.respond(hundred, 5.0) == [Send(hundred)]


@pytest.mark.parametrize("status", [200, 202, 404, 481, 500, 603])
@pytest.mark.parametrize("tried_first", [False, True])
def test_a_retransmitted_request_gets_the_final_response_until_timer_j_rfc3261_17_2_2(
    status: int, tried_first: bool
) -> None:
    machine = server(UDP)
    if tried_first:
        machine.respond(trying(machine.request), 0.0)
    final = response(machine.request, status)
    assert machine.respond(final, 1.0) == [Send(final)]
    assert machine.state is State.COMPLETED
    assert machine.receive(machine.request, 2.0) == [Send(final)]
    assert machine.deadline == 33.0
    assert machine.expire(32.9) == []
    assert machine.expire(33.0) == []
    assert machine.terminated
    assert machine.deadline is None
    assert machine.receive(machine.request, 34.0) == []


def test_timer_j_is_zero_on_a_connection_rfc3261_17_2_2() -> None:
    machine = server(TCP)
    final = ok(machine.request)
    assert machine.respond(final, 1.0) == [Send(final)]
    assert machine.terminated
    assert machine.deadline is None


def test_only_the_first_final_response_is_sent_rfc3261_17_2_2() -> None:
    machine = server(UDP)
    final = ok(machine.request)
    machine.respond(final, 1.0)
    assert machine.respond(response(machine.request, 500), 1.1) == []
    assert machine.respond(trying(machine.request), 1.2) == []
    assert machine.receive(machine.request, 1.3) == [Send(final)]


def test_no_provisional_but_100_is_sent_rfc4320_4_1() -> None:
    machine = server(TCP)
    assert machine.respond(response(machine.request, 182), 1.0) == []
    assert machine.state is State.TRYING


def test_408_is_never_sent_rfc4320_4_2() -> None:
    machine = server(UDP)
    assert machine.respond(response(machine.request, 408), 31.0) == []
    assert machine.terminated


def test_a_transport_failure_ends_the_transaction_rfc3261_17_2_4() -> None:
    machine, error = server(TCP), OSError("reset")
    assert machine.fail(error, 1.0) == [Failed(error)]
    assert machine.terminated
    assert machine.fail(error, 1.0) == []


@pytest.mark.parametrize("reliable", [UDP, TCP])
def test_a_deferred_request_gets_100_when_the_clients_timer_e_reaches_t2_rfc4320_4_1(reliable: bool) -> None:
    machine = server(reliable)
    hundred, final = trying(machine.request), ok(machine.request)
    assert machine.defer(hundred, 10.0) == []
    assert machine.defer(hundred, 11.0) == []
    assert machine.deadline == 13.5
    assert machine.expire(13.4) == []
    assert machine.expire(13.5) == [Send(hundred)]
    assert machine.receive(machine.request, 14.0) == [Send(hundred)]
    assert machine.respond(final, 41.9) == [Send(final)]
    assert machine.deadline == (None if reliable else 41.9 + 32)


def test_a_final_response_before_timer_e_reaches_t2_makes_the_100_unnecessary_rfc4320_4_1() -> None:
    machine = server(UDP)
    final = ok(machine.request)
    machine.defer(trying(machine.request), 10.0)
    assert machine.respond(final, 13.0) == [Send(final)]
    assert machine.expire(13.5) == []
    assert machine.defer(trying(machine.request), 14.0) == []
    assert machine.deadline == 45.0


@pytest.mark.parametrize("tried", [False, True])
def test_a_final_response_after_timer_f_is_not_sent_rfc4320_4_2(tried: bool) -> None:
    machine = server(UDP)
    machine.defer(trying(machine.request), 10.0)
    if tried:
        machine.respond(trying(machine.request), 11.0)
        assert machine.deadline == 42.0
    assert machine.expire(42.0) == [TimedOut()]
    assert machine.terminated
    assert machine.respond(ok(machine.request), 42.1) == []
