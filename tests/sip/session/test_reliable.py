"""Reliable provisional responses: (time, input) -> (time, effect), at both ends (RFC 3262)."""

from __future__ import annotations

import pytest

from proxy.sip.effects import Effect, Failed, Send, TimedOut
from proxy.sip.errors import ParseError
from proxy.sip.message import Response
from proxy.sip.session.reliable import RAck, ReliableProvisionals, ReliableReceipts, reliable
from proxy.sip.timers import Timers
from proxy.sip.values import CSeq
from tests.kit.messages import SDP, invite, response


def machine() -> ReliableProvisionals:
    return ReliableProvisionals(7, Timers())


def ringing(status: int = 180, body: bytes = b"") -> Response:
    return response(invite(), status, body=body)


def rack(number: int, cseq: int = 1, method: str = "INVITE") -> RAck:
    return RAck(number, CSeq(cseq, method))


def timeline(provisionals: ReliableProvisionals) -> list[tuple[float, Effect]]:
    seen: list[tuple[float, Effect]] = []
    while (due := provisionals.deadline) is not None:
        seen += [(due, effect) for effect in provisionals.expire(due)]
    return seen


# What we send


def test_a_reliable_provisional_is_retransmitted_at_doubling_intervals_until_64_t1_rfc3262_3() -> None:
    provisionals, first = machine(), ringing()
    assert provisionals.deadline is None
    assert provisionals.respond(first, 0.0) == [Send(first)]
    assert (first.headers.get("Require"), first.headers.get("RSeq")) == ("100rel", "7")
    sends = (0.5, 1.5, 3.5, 7.5, 15.5, 31.5)
    assert timeline(provisionals) == [*((at, Send(first)) for at in sends), (32.0, TimedOut())]
    assert provisionals.terminated
    assert provisionals.respond(ringing(), 33.0) == []


def test_the_prack_stops_retransmission_and_a_second_prack_matches_nothing_rfc3262_3() -> None:
    provisionals = machine()
    provisionals.respond(ringing(), 0.0)
    assert provisionals.acknowledges(rack(7))
    assert provisionals.acknowledged(0.3) == []
    assert not provisionals.acknowledges(rack(7))
    assert provisionals.expire(0.5) == []
    assert provisionals.deadline is None
    assert not provisionals.terminated


@pytest.mark.parametrize("other", [rack(8), rack(7, 2), rack(7, 1, "UPDATE")])
def test_a_prack_with_another_rseq_cseq_or_method_matches_nothing_rfc3262_3(other: RAck) -> None:
    provisionals = machine()
    assert not provisionals.acknowledges(rack(7))
    provisionals.respond(ringing(), 0.0)
    assert not provisionals.acknowledges(other)


def test_a_second_reliable_provisional_waits_for_the_prack_of_the_first_rfc3262_3() -> None:
    provisionals, second = machine(), ringing(183)
    provisionals.respond(ringing(), 0.0)
    assert provisionals.respond(second, 0.1) == []
    assert provisionals.acknowledged(0.2) == [Send(second)]
    assert second.headers.get("RSeq") == "8"
    assert provisionals.acknowledges(rack(8))
    assert provisionals.deadline == pytest.approx(0.7)


def test_after_the_final_response_provisionals_stop_but_a_prack_is_still_accepted_rfc3262_3() -> None:
    provisionals = machine()
    provisionals.respond(ringing(), 0.0)
    provisionals.respond(ringing(183), 0.0)
    assert provisionals.final(0.2) == []
    assert (provisionals.deadline, provisionals.terminated) == (32.0, False)
    assert provisionals.acknowledges(rack(7))
    assert provisionals.acknowledged(0.3) == []
    assert provisionals.terminated


def test_after_the_final_response_a_missing_prack_is_no_timeout() -> None:
    provisionals = machine()
    provisionals.respond(ringing(), 0.0)
    provisionals.final(0.2)
    assert timeline(provisionals) == []
    assert provisionals.terminated


def test_the_final_response_terminates_at_once_if_no_prack_is_outstanding() -> None:
    provisionals = machine()
    provisionals.final(0.0)
    assert provisionals.terminated


def test_an_unacknowledged_provisional_with_sdp_is_reported_as_such_rfc3262_3() -> None:
    provisionals = machine()
    provisionals.respond(ringing(), 0.0)
    assert not provisionals.has_description
    provisionals.acknowledged(0.1)
    provisionals.respond(ringing(183, SDP), 0.2)
    assert provisionals.has_description
    provisionals.acknowledged(0.3)
    assert not provisionals.has_description


def test_a_timer_run_before_its_deadline_does_nothing() -> None:
    provisionals = machine()
    provisionals.respond(ringing(), 0.0)
    assert provisionals.expire(0.4) == []


def test_a_transport_failure_of_a_reliable_provisional_is_reported_once() -> None:
    provisionals, error = machine(), OSError("reset")
    provisionals.respond(ringing(), 0.0)
    assert provisionals.fail(error, 0.1) == [Failed(error)]
    assert provisionals.terminated
    assert provisionals.fail(error, 0.2) == []


# What we receive


def received_provisional(
    rseq: str | None, *, tag: str = "bob1", status: int = 180, require: str = "100rel"
) -> Response:
    headers = [("Require", require), *([("RSeq", rseq)] if rseq is not None else [])]
    return response(invite(), status, to_tag=tag, headers=headers)


def test_each_rseq_is_acknowledged_once_and_only_in_order_rfc3262_4() -> None:
    receipts = ReliableReceipts()
    assert receipts.take(received_provisional("5")) == rack(5)
    assert receipts.take(received_provisional("5")) is None
    assert receipts.take(received_provisional("7")) is None
    assert receipts.take(received_provisional("6")) == rack(6)
    assert receipts.take(received_provisional("5")) is None


def test_rseq_is_tracked_per_early_dialog_rfc3262_4() -> None:
    receipts = ReliableReceipts()
    assert receipts.take(received_provisional("5")) == rack(5)
    assert receipts.take(received_provisional("9", tag="bob2")) == rack(9)


@pytest.mark.parametrize("rseq", [None, "", "soon", "-1", "4294967296"])
def test_a_malformed_rseq_raises_parse_error_rfc3262_7_1(rseq: str | None) -> None:
    with pytest.raises(ParseError):
        ReliableReceipts().take(received_provisional(rseq))


@pytest.mark.parametrize(
    ("of", "wanted"),
    [
        (received_provisional("1"), True),
        (received_provisional("1", require="timer, 100REL"), True),
        (received_provisional("1", require="timer"), False),
        (received_provisional("1", status=100), False),
        (received_provisional("1", status=200), False),
    ],
)
def test_only_a_101_to_199_that_requires_100rel_gets_a_prack_rfc3262_4(of: Response, wanted: bool) -> None:
    assert reliable(of) is wanted


@pytest.mark.parametrize("text", ["776656 1 INVITE", " 776656 \t 1   INVITE"])
def test_a_rack_is_parsed_and_serialised_rfc3262_7_2(text: str) -> None:
    assert RAck.parse(text) == rack(776656)
    assert str(RAck.parse(text)) == "776656 1 INVITE"


@pytest.mark.parametrize("text", [None, "", "1", "1 INVITE", "x 1 INVITE", "4294967296 1 INVITE"])
def test_a_malformed_rack_raises_parse_error(text: str | None) -> None:
    with pytest.raises(ParseError):
        RAck.parse(text)
