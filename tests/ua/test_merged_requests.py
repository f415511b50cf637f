"""Merged requests: a copy that arrived by another path is recognised while its transaction lasts."""

from __future__ import annotations

from proxy.sip.transaction_key import server_key
from proxy.ua.merged_requests import MergedRequests
from tests.kit import messages


def test_a_merged_request_is_recognised_until_the_first_transaction_ends_rfc3261_8_2_2_2() -> None:
    origins = MergedRequests()
    one, copy = messages.invite(branch="z9hG4bKone"), messages.invite(branch="z9hG4bKtwo")
    key, other = server_key(one), server_key(copy)
    assert origins.is_first(key, one)
    assert origins.is_first(key, one)
    assert not origins.is_first(other, copy)
    origins.forget(other)
    assert not origins.is_first(other, copy)
    origins.forget(key)
    assert origins.is_first(other, copy)
    origins.clear()
    assert origins.is_first(key, one)
