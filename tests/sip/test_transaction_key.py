"""Matching messages to transactions (RFC 3261 §17.1.3, §17.2.3, §9.2)."""

from __future__ import annotations

import pytest

from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.sip.transaction_key import TransactionKey, client_key, invite_key_of, server_key
from tests.kit.messages import ack, cancel, invite, ok, request, signalwire_invite, within

OLD = "1-not-magic"
"""A branch in the style of RFC 2543 elements."""


def changed(original: Request, **headers: str) -> Request:
    copy = Request(original.method, original.uri, original.headers.copy(), original.body)
    for name, value in headers.items():
        copy.headers.set(name.replace("_", "-"), value)
    return copy


def test_a_response_matches_the_transaction_of_its_request_rfc3261_17_1_3() -> None:
    sent = invite()
    assert client_key(ok(sent)) == client_key(sent)
    assert len({client_key(ok(sent)), client_key(sent)}) == 1


def test_responses_to_invite_and_cancel_on_the_same_branch_have_different_keys_rfc3261_17_1_3() -> None:
    sent = invite()
    assert client_key(ok(cancel(sent))) != client_key(ok(sent))
    assert client_key(ok(cancel(sent))) == client_key(cancel(sent))


def test_the_transaction_key_uses_only_the_top_via_rfc3261_17_1_3() -> None:
    assert client_key(signalwire_invite()).branch == "z9hg4bk8c51.5a3160c67f160008b7c6e49421e7930c.0"


def test_a_response_without_branch_raises_parse_error() -> None:
    answer = ok(invite())
    answer.headers.set("Via", "SIP/2.0/UDP 192.0.2.1:5060")
    with pytest.raises(ParseError, match="no branch"):
        client_key(answer)


def test_a_retransmitted_invite_has_the_same_key_rfc3261_17_2_3() -> None:
    assert server_key(invite()) == server_key(invite())


def test_the_ack_for_a_non_2xx_has_the_key_of_its_invite_rfc3261_17_2_3() -> None:
    received = invite()
    same_branch = within(received, "ACK", to_tag="b1", branch=received.via.branch or "", cseq=1)
    assert server_key(same_branch) == server_key(received)


def test_the_ack_for_a_2xx_matches_no_transaction_rfc3261_17_1_1_3() -> None:
    received = invite()
    assert server_key(ack(received, to_tag="b1")) != server_key(received)


def test_cancel_has_its_own_key_and_identifies_its_invite_rfc3261_9_2() -> None:
    received = invite()
    assert server_key(cancel(received)) != server_key(received)
    assert invite_key_of(cancel(received)) == server_key(received)


def test_the_same_branch_from_another_sent_by_is_another_transaction_rfc3261_17_2_3() -> None:
    assert server_key(invite(sent_by="192.0.2.1:5060")) != server_key(invite(sent_by="192.0.2.1:5062"))


def test_branch_and_sent_by_are_case_insensitive_rfc3261_7_3_1() -> None:
    assert server_key(invite(branch="Z9HG4BKabc", sent_by="Host.Example.com")) == server_key(
        invite(branch="z9hG4bKABC", sent_by="host.example.COM")
    )


def test_received_and_rport_do_not_change_the_key() -> None:
    received = invite()
    marked = changed(received, Via=str(received.via.with_("received", "203.0.113.9").with_("rport", "9")))
    assert server_key(marked) == server_key(received)


def test_an_rfc2543_retransmission_matches_without_magic_cookie_rfc3261_17_2_3() -> None:
    assert server_key(invite(branch=OLD)) == server_key(invite(branch=OLD))


def test_an_rfc2543_retransmission_without_a_branch_matches() -> None:
    bare = changed(invite(), Via="SIP/2.0/UDP 192.0.2.1:5060")
    assert server_key(bare) == server_key(changed(invite(), Via="SIP/2.0/UDP 192.0.2.1:5060"))


@pytest.mark.parametrize(
    "other",
    [
        invite("sip:carol@sbc.example.com", branch=OLD),
        invite(branch=OLD, from_tag="alice2"),
        invite(branch=OLD, call_id="another"),
        invite(branch=OLD, cseq=2),
        invite(branch=OLD + "2"),
        request("OPTIONS", branch=OLD),
    ],
    ids=["request-uri", "from-tag", "call-id", "cseq", "via", "method"],
)
def test_an_rfc2543_request_that_differs_is_another_transaction_rfc3261_17_2_3(other: Request) -> None:
    assert server_key(other) != server_key(invite(branch=OLD))


def test_a_branch_that_is_only_the_magic_cookie_is_matched_as_in_rfc2543() -> None:
    one, other = invite(branch="z9hG4bK"), invite(branch="z9hG4bK", call_id="another")
    assert server_key(one) == server_key(invite(branch="z9hG4bK"))
    assert server_key(one) != server_key(other)


def test_received_and_rport_do_not_change_an_rfc2543_key() -> None:
    received = invite(branch=OLD)
    marked = received.via.with_("received", "203.0.113.9").with_("rport", "9")
    assert invite_key_of(changed(cancel(received), Via=str(marked))) == server_key(received)


def test_an_rfc2543_ack_with_our_to_tag_matches_its_invite() -> None:
    received = invite(branch=OLD)
    assert server_key(within(received, "ACK", to_tag="b1", branch=OLD, cseq=1)) == server_key(received)


def test_an_rfc2543_cancel_identifies_its_invite() -> None:
    received = invite(branch=OLD)
    assert invite_key_of(cancel(received)) == server_key(received)
    assert server_key(cancel(received)) != server_key(received)


def test_of_two_vias_on_one_line_the_first_determines_the_key_rfc3261_7_3_1() -> None:
    joined = invite()
    joined.headers.set("Via", "SIP/2.0/UDP Host.Example:5070;branch=z9hG4bKa, SIP/2.0/UDP b;branch=z9hG4bKb")
    assert server_key(joined) == TransactionKey("z9hg4bka", "INVITE", "host.example:5070")
