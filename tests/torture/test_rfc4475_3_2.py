"""RFC 4475 §3.2: the transaction layer."""

from __future__ import annotations

from tests.torture.caller import Caller, request


def test_requests_whose_branch_is_only_the_magic_cookie_are_separate_transactions_rfc4475_3_2_1(
    caller: Caller,
) -> None:
    for number in range(3):  # separate transactions despite the same branch
        line = "Via: SIP/2.0/TRANSPORT 192.0.2.1;branch=z9hG4bK"
        response = caller.expect(200, request("OPTIONS", line, f"CSeq: {number} OPTIONS"))
        assert response.cseq.number == number
