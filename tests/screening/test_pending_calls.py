from __future__ import annotations

from typing import cast

import pytest

from screening.pending_calls import EndedCall, Ignored, PendingCall, PendingCalls
from screening.provider import Provider
from screening.realtime_screening import RealtimeScreening
from screening.webhook import Api

REALTIME, LIVE = Api.REALTIME, Api.LIVE


def waiting(api: Api = LIVE) -> PendingCall:
    return PendingCall(cast(RealtimeScreening, object()), cast(Provider, object()), api)


def test_a_pending_call_is_matched_once_and_only_by_the_api_of_its_agent() -> None:
    pending, call = PendingCalls(60), waiting()
    pending.add(b"n", call)
    assert pending.match(b"n", REALTIME, 0) is Ignored.OTHER_API
    assert pending.match(b"n", LIVE, 0) is call
    assert pending.match(b"n", LIVE, 0) is Ignored.UNKNOWN
    assert pending.match(b"n", REALTIME, 0) is Ignored.OTHER_API


def test_an_ended_call_is_matched_once_within_the_lifetime_of_its_token() -> None:
    pending, call = PendingCalls(60), waiting()
    pending.add(b"n", call)
    pending.end(b"n", 0)
    assert pending.match(b"n", REALTIME, 1) is Ignored.OTHER_API
    assert pending.match(b"n", LIVE, 1) == EndedCall(call.provider, LIVE)
    assert pending.match(b"n", LIVE, 1) is Ignored.UNKNOWN


def test_an_ended_call_is_remembered_while_other_calls_come_and_go() -> None:
    pending, left, taken = PendingCalls(60), waiting(), waiting()
    pending.add(b"left", left)
    pending.add(b"taken", taken)
    pending.end(b"left", 0)
    pending.match(b"taken", LIVE, 0)
    for n in range(59):
        pending.add(b"%d" % n, waiting())
        pending.end(b"%d" % n, n)
    assert pending.match(b"left", LIVE, 59) == EndedCall(left.provider, LIVE)
    assert pending.match(b"taken", REALTIME, 59) is Ignored.OTHER_API


@pytest.mark.parametrize("came", [REALTIME, None])
def test_only_other_api_announced_is_true_until_the_right_api_announces(came: Api | None) -> None:
    pending = PendingCalls(60)
    pending.add(b"n", waiting())
    if came is not None:
        pending.match(b"n", came, 0)
    assert pending.only_other_api_announced(b"n") is (came is REALTIME)
    pending.match(b"n", LIVE, 0)
    assert not pending.only_other_api_announced(b"n")


def test_remembered_calls_are_bounded_by_the_token_lifetime() -> None:
    pending = PendingCalls(60)
    for n in range(1000):
        nonce = n.to_bytes(2, "big")
        pending.add(nonce, waiting())
        pending.end(nonce, n) if n % 2 else pending.match(nonce, LIVE, n)
    assert len(pending._ended) + len(pending._taken) <= 61
    assert len(pending._until) <= 61
