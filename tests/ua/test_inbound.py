"""Checks of every received message, before it is dispatched."""

import pytest

from proxy.sip.dialog import DialogId
from proxy.sip.errors import ParseError
from proxy.sip.transaction_key import client_key, server_key
from proxy.ua.inbound import routing_keys
from tests.kit import messages

INVITE = messages.invite()


def test_a_message_is_known_by_the_key_of_its_transaction_rfc3261_17_1_3() -> None:
    assert routing_keys(INVITE)[0] == server_key(INVITE)
    assert routing_keys(messages.ok(INVITE)) == (client_key(INVITE), None)


def test_a_request_is_known_by_its_dialog_too_rfc3261_12() -> None:
    bye = messages.bye(INVITE, to_tag="bob1")
    for request in (INVITE, bye):
        assert routing_keys(request)[1] == DialogId.of_request(request)


def test_what_an_answer_is_owed_to_comes_with_the_error_rfc3261_8_2() -> None:
    bare = messages.invite(contact=None)
    with pytest.raises(ParseError, match="INVITE without a Contact") as refused:
        routing_keys(bare)
    assert refused.value.partial is bare


def test_a_response_with_the_via_of_another_is_owed_nothing_rfc3261_8_1_3_3() -> None:
    ok = messages.ok(INVITE)
    ok.headers.add("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKx")
    with pytest.raises(ParseError, match="the Via of another") as refused:
        routing_keys(ok)
    assert refused.value.partial is None
