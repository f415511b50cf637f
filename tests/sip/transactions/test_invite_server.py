"""INVITE server transaction: (time, input) -> (time, effect), with true timer values."""

from __future__ import annotations

import pytest

from proxy.sip.effects import Deliver, Effect, Failed, Send, TimedOut
from proxy.sip.message import Request
from proxy.sip.timers import Timers
from proxy.sip.transactions import InviteServer, State
from tests.kit.messages import ack, invite, ok, request, response, ringing, trying, within

UDP, TCP = False, True


def server(reliable: bool) -> InviteServer:
    return InviteServer(invite(), Timers(), reliable)


def hop_ack(machine: InviteServer) -> Request:
    """The ACK for a non-2xx response: on the branch of the INVITE."""
    return within(machine.request, "ACK", to_tag="bob1", branch=machine.request.via.branch or "", cseq=1)


def timeline(machine: InviteServer) -> list[tuple[float, Effect | None]]:
    """Run through all deadlines; the effects with their times, None for a timer without effects."""
    seen: list[tuple[float, Effect | None]] = []
    while (due := machine.deadline) is not None:
        effects = machine.expire(due)
        seen += [(due, effect) for effect in effects] or [(due, None)]
    return seen


def test_a_retransmitted_invite_before_any_response_is_absorbed_rfc3261_17_2_1() -> None:
    machine = server(UDP)
    assert machine.receive(machine.request, 0.5) == []
    assert machine.deadline is None


def test_a_retransmitted_invite_gets_the_latest_provisional_response_again_rfc3261_17_2_1() -> None:
    machine = server(UDP)
    hundred, ring = trying(machine.request), ringing(machine.request)
    assert machine.respond(hundred, 0.0) == [Send(hundred)]
    assert machine.receive(machine.request, 0.5) == [Send(hundred)]
    assert machine.respond(ring, 1.0) == [Send(ring)]
    assert machine.respond(ring, 60.0) == [Send(ring)]
    assert machine.receive(machine.request, 61.0) == [Send(ring)]
    assert machine.state is State.PROCEEDING


def test_a_non_2xx_is_retransmitted_until_timer_h_rfc3261_17_2_1() -> None:
    machine = server(UDP)
    busy = response(machine.request, 486)
    assert machine.respond(busy, 0.0) == [Send(busy)]
    again = Send(busy)
    sends = (0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
    assert timeline(machine) == [*((at, again) for at in sends), (32.0, TimedOut())]
    assert machine.terminated


def test_a_non_2xx_over_a_connection_is_sent_once_and_times_out_without_an_ack_rfc3261_17_2_1() -> None:
    machine = server(TCP)
    machine.respond(response(machine.request, 486), 0.0)
    assert timeline(machine) == [(32.0, TimedOut())]


def test_a_retransmitted_invite_gets_the_non_2xx_again_rfc3261_17_2_1() -> None:
    machine = server(UDP)
    machine.respond(trying(machine.request), 0.0)
    busy = response(machine.request, 486)
    machine.respond(busy, 1.0)
    assert machine.receive(machine.request, 1.2) == [Send(busy)]


def test_the_ack_for_a_non_2xx_is_absorbed_and_stops_retransmission_rfc3261_17_2_1() -> None:
    machine = server(UDP)
    machine.respond(response(machine.request, 603), 0.0)
    assert machine.receive(hop_ack(machine), 0.7) == []
    assert machine.state is State.CONFIRMED
    assert machine.receive(hop_ack(machine), 0.8) == []
    assert machine.receive(machine.request, 0.9) == []
    assert timeline(machine) == [(5.7, None)]
    assert machine.terminated


def test_timer_i_is_zero_on_a_connection_rfc3261_17_2_1() -> None:
    machine = server(TCP)
    machine.respond(response(machine.request, 404), 0.0)
    assert machine.receive(hop_ack(machine), 0.1) == []
    assert machine.terminated
    assert machine.deadline is None


@pytest.mark.parametrize("reliable", [UDP, TCP])
def test_after_a_2xx_retransmitted_invites_are_absorbed_until_timer_l_rfc6026_7_1(reliable: bool) -> None:
    machine = server(reliable)
    machine.respond(trying(machine.request), 0.0)
    answer = ok(machine.request)
    assert machine.respond(answer, 1.0) == [Send(answer)]
    assert machine.state is State.ACCEPTED
    assert machine.receive(machine.request, 1.5) == []
    assert timeline(machine) == [(33.0, None)]
    assert machine.terminated


def test_a_2xx_retransmitted_by_the_tu_is_sent_rfc6026_7_1() -> None:
    machine = server(UDP)
    answer = ok(machine.request)
    machine.respond(answer, 0.0)
    assert machine.respond(answer, 0.5) == [Send(answer)]
    assert machine.respond(answer, 1.5) == [Send(answer)]
    assert machine.deadline == 32.0


def test_an_ack_in_the_accepted_state_is_delivered_to_the_tu_rfc6026_7_1() -> None:
    machine = server(UDP)
    machine.respond(ok(machine.request), 0.0)
    acknowledgement = ack(machine.request, to_tag="bob1", branch="1-not-magic")
    assert machine.receive(acknowledgement, 0.4) == [Deliver(acknowledgement)]
    assert machine.state is State.ACCEPTED


@pytest.mark.parametrize("status", [180, 486])
def test_after_a_2xx_the_tu_can_send_no_other_response_rfc6026_7_1(status: int) -> None:
    machine = server(UDP)
    machine.respond(ok(machine.request), 0.0)
    assert machine.respond(response(machine.request, status), 0.1) == []


@pytest.mark.parametrize("status", [180, 200, 486])
def test_after_a_non_2xx_the_tu_can_send_no_other_response_rfc3261_17_2_1(status: int) -> None:
    machine = server(UDP)
    busy = response(machine.request, 486)
    machine.respond(busy, 0.0)
    assert machine.respond(response(machine.request, status), 0.1) == []
    assert machine.receive(machine.request, 0.2) == [Send(busy)]


def test_an_ack_before_a_final_response_is_ignored() -> None:
    assert server(UDP).receive(request("ACK"), 0.0) == []


def test_a_timer_run_after_timer_h_times_out_without_a_retransmission() -> None:
    machine = server(UDP)
    machine.respond(response(machine.request, 486), 0.0)
    assert machine.expire(33.0) == [TimedOut()]


def test_a_timer_run_before_its_deadline_does_nothing() -> None:
    machine = server(UDP)
    machine.respond(response(machine.request, 486), 0.0)
    assert machine.expire(0.4) == []


def test_a_transport_failure_ends_the_transaction_rfc3261_17_2_4() -> None:
    machine, error = server(TCP), OSError("reset")
    machine.respond(trying(machine.request), 0.0)
    assert machine.fail(error, 1.0) == [Failed(error)]
    assert machine.terminated
    assert machine.deadline is None
    assert machine.fail(error, 1.0) == []
    assert machine.respond(ok(machine.request), 2.0) == []
