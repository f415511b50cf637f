from __future__ import annotations

from typing import cast

import pytest

from screening.pending_calls import Awaited, Left, Passed, Waiting
from screening.provider import Provider
from screening.realtime_screening import RealtimeScreening
from screening.webhook import Api

REALTIME, LIVE = Api.REALTIME, Api.LIVE


def waiting(api: Api = LIVE) -> Waiting:
    return Waiting(cast(RealtimeScreening, object()), cast(Provider, object()), api)


def test_a_call_is_handed_out_once_to_the_api_of_its_agent() -> None:
    awaited, call = Awaited(60), waiting()
    awaited.add(b"n", call)
    assert awaited.match(b"n", REALTIME, 0) is Passed.TWIN
    assert awaited.match(b"n", LIVE, 0) is call
    assert awaited.match(b"n", LIVE, 0) is Passed.UNKNOWN
    assert awaited.match(b"n", REALTIME, 0) is Passed.TWIN


def test_a_call_that_ended_is_left_until_its_token_is_no_good() -> None:
    awaited, call = Awaited(60), waiting()
    awaited.add(b"n", call)
    awaited.over(b"n", 0)
    assert awaited.match(b"n", REALTIME, 1) is Passed.TWIN
    assert awaited.match(b"n", LIVE, 1) == Left(call.provider, LIVE)
    assert awaited.match(b"n", LIVE, 1) is Passed.UNKNOWN


def test_what_becomes_of_other_calls_meanwhile_changes_nothing() -> None:
    awaited, left, taken = Awaited(60), waiting(), waiting()
    awaited.add(b"left", left)
    awaited.add(b"taken", taken)
    awaited.over(b"left", 0)
    awaited.match(b"taken", LIVE, 0)
    for n in range(59):
        awaited.add(b"%d" % n, waiting())
        awaited.over(b"%d" % n, n)
    assert awaited.match(b"left", LIVE, 59) == Left(left.provider, LIVE)
    assert awaited.match(b"taken", REALTIME, 59) is Passed.TWIN


@pytest.mark.parametrize("came", [REALTIME, None])
def test_the_twin_is_alone_while_only_it_has_come(came: Api | None) -> None:
    awaited = Awaited(60)
    awaited.add(b"n", waiting())
    if came is not None:
        awaited.match(b"n", came, 0)
    assert awaited.twin_alone(b"n") is (came is REALTIME)
    awaited.match(b"n", LIVE, 0)
    assert not awaited.twin_alone(b"n")


def test_what_is_remembered_does_not_grow() -> None:
    awaited = Awaited(60)
    for n in range(1000):
        nonce = n.to_bytes(2, "big")
        awaited.add(nonce, waiting())
        awaited.over(nonce, n) if n % 2 else awaited.match(nonce, LIVE, n)
    assert len(awaited._left) + len(awaited._taken) <= 61
    assert len(awaited._until) <= 61
