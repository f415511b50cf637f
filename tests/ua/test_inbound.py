"""Checks of every received message, before it is dispatched."""

import pytest

from proxy.sip.dialog import DialogId
from proxy.sip.errors import ParseError
from proxy.sip.transaction_key import client_key, server_key
from proxy.ua.inbound import routing_keys
from tests.kit import messages

INVITE = messages.invite()


def test_a_message_is_routed_by_its_transaction_key_rfc3261_17_1_3() -> None:
    assert routing_keys(INVITE)[0] == server_key(INVITE)
    assert routing_keys(messages.ok(INVITE)) == (client_key(INVITE), None)


def test_a_request_is_also_routed_by_its_dialog_id_rfc3261_12() -> None:
    bye = messages.bye(INVITE, to_tag="bob1")
    for request in (INVITE, bye):
        assert routing_keys(request)[1] == DialogId.of_request(request)


def test_the_error_for_an_invalid_request_carries_the_request_to_answer_rfc3261_8_2() -> None:
    bare = messages.invite(contact=None)
    with pytest.raises(ParseError, match="INVITE without a Contact") as refused:
        routing_keys(bare)
    assert refused.value.partial is bare


def test_the_error_for_a_response_with_two_vias_carries_no_request_to_answer_rfc3261_8_1_3_3() -> None:
    ok = messages.ok(INVITE)
    ok.headers.add("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKx")
    with pytest.raises(ParseError, match="the Via of another") as refused:
        routing_keys(ok)
    assert refused.value.partial is None
