"""RFC 4475 §3.2: the transaction layer."""

from __future__ import annotations

from tests.torture.caller import Caller, request


def test_a_branch_that_is_only_the_cookie_tells_no_requests_apart_rfc4475_3_2_1(caller: Caller) -> None:
    for number in range(3):  # separate transactions despite the same branch
        line = "Via: SIP/2.0/TRANSPORT 192.0.2.1;branch=z9hG4bK"
        response = caller.expect(200, request("OPTIONS", line, f"CSeq: {number} OPTIONS"))
        assert response.cseq.number == number
