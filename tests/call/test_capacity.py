"""Limits on calls: per trunk, per number and in total."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from proxy.call.capacity import Capacity, Limit
from tests.call.flows import a_flow
from tests.kit.edge import NewEdge
from tests.kit.ids import CountingIds

TRUNK, OTHER, STRANGER = a_flow("192.0.2.1"), a_flow("192.0.2.2"), a_flow("192.0.2.66")
NAMES = {"192.0.2.1": "one", "192.0.2.2": "two"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def new_capacity(clock: Clock | None = None, **limits: object) -> Capacity:
    return Capacity(
        clock or Clock(),
        CountingIds().uniform,
        trunk_of=lambda flow: NAMES.get(flow.remote[0]),
        **limits,  # type: ignore[arg-type]
    )


def test_without_limits_everything_comes_in() -> None:
    capacity = new_capacity()
    assert {capacity.sheds(flow) for flow in [TRUNK, STRANGER] * 1000} == {None}
    assert {capacity.refuses("+14155551234") for _ in range(1000)} == {None}


def test_a_trunk_has_so_many_calls_at_once_and_another_is_not_hurt_by_it() -> None:
    capacity = new_capacity(trunks={"one": Limit(calls=2), "two": Limit(calls=2)})
    over = [capacity.enter(TRUNK, "n") for _ in range(2)]
    assert capacity.sheds(TRUNK) == 30
    assert capacity.sheds(OTHER) is None
    capacity.leave(over[0])
    assert capacity.sheds(TRUNK) is None
    assert capacity.counts == {"strain": 0, "trunk": 1, "number": 0}


def test_a_number_has_so_many_calls_at_once() -> None:
    capacity = new_capacity(numbers={"n": Limit(calls=1)})
    accounts = capacity.enter(TRUNK, "n")
    assert (capacity.refuses("n"), capacity.refuses("m")) == (30, None)
    capacity.leave(accounts)
    assert capacity.refuses("n") is None


def test_a_second_worth_of_calls_may_come_in_one_go_and_then_they_come_evenly() -> None:
    clock = Clock()
    capacity = new_capacity(clock, trunks={"one": Limit(calls_per_s=5)})
    assert [capacity.sheds(TRUNK) for _ in range(6)] == [None] * 5 + [4]
    clock.now += 0.2
    assert [capacity.sheds(TRUNK) for _ in range(2)] == [None, 4]
    clock.now += 3600
    assert [capacity.sheds(TRUNK) for _ in range(6)] == [None] * 5 + [4]


def test_less_than_one_call_a_second_is_one_and_then_a_wait() -> None:
    clock = Clock()
    capacity = new_capacity(clock, numbers={"n": Limit(calls_per_s=0.1)})
    assert [capacity.refuses("n"), capacity.refuses("n")] == [None, 4]
    clock.now += 10
    assert capacity.refuses("n") is None


def test_all_trunks_share_what_is_said_of_the_machine() -> None:
    capacity = new_capacity(overall=Limit(calls=2))
    capacity.enter(TRUNK, "n")
    capacity.enter(OTHER, "n")
    assert capacity.sheds(TRUNK) == capacity.sheds(OTHER) == 30


def test_a_strained_machine_takes_no_call_and_says_why_once_a_second() -> None:
    clock = Clock()
    capacity = new_capacity(clock, overload=lambda: "the event loop is late")
    with capture_logs() as logs:
        assert [capacity.sheds(TRUNK) for _ in range(100)] == [30] * 100
        clock.now += 1
        capacity.sheds(TRUNK)
    assert [line["why"] for line in logs] == ["the event loop is late"] * 2


def test_those_turned_away_come_back_at_different_times_rfc3261_20_33() -> None:
    drawn = []
    capacity = Capacity(Clock(), lambda low, high: drawn.append((low, high)) or high)
    assert capacity.retry_after_s() == 45
    assert drawn == [(15.0, 45.0)]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_trunk_beyond_its_limit_hears_503_and_the_calls_going_on_are_not_hurt_rfc3261_21_5_4(
    new_edge: NewEdge, transport: str
) -> None:
    async with new_edge(transport=transport, trunks={"signalwire": Limit(calls=1)}) as edge:
        await edge.connects()
        first = edge.carrier.current
        for _ in range(3):
            await edge.carrier.invites()
            await edge.carrier.receives(503, retry_after="30")
        await edge.passes(40)
        assert edge.core.left_over()["server transactions"] == 0, "nothing is kept for those turned away"
        await first.hangs_up()
        await edge.over()
        # the carrier has one audio stream for all its calls; it stopped when one of them was refused
        edge.excused = lambda silence: silence.peer == "openai"
        await edge.assert_clean()


async def test_a_number_beyond_its_limit_hears_503_rfc3261_21_5_4(new_edge: NewEdge) -> None:
    async with new_edge(numbers={"+14155551234": Limit(calls_per_s=1.0)}) as edge:
        await edge.carrier.invites()
        first = edge.carrier.current
        await edge.agent.answers()
        await edge.carrier.receives(200)
        await edge.carrier.invites()
        await edge.carrier.receives(503, retry_after="4")
        await first.hangs_up()
        await edge.over()
        await edge.assert_clean()


def test_a_trunk_beyond_its_own_limit_takes_nothing_of_what_is_everybodys() -> None:
    capacity = new_capacity(overall=Limit(calls_per_s=3), trunks={"one": Limit(calls_per_s=1)})
    assert [capacity.sheds(TRUNK) is None for _ in range(50)] == [True] + [False] * 49
    assert [capacity.sheds(OTHER) for _ in range(2)] == [None, None]
    full = new_capacity(overall=Limit(calls_per_s=1), trunks={"two": Limit(calls=0)})
    assert full.sheds(OTHER) is not None
    assert full.sheds(TRUNK) is None


def test_an_invite_of_a_phone_which_is_no_call_takes_no_trunks_turn() -> None:
    capacity = new_capacity(overall=Limit(calls_per_s=1))
    assert [capacity.sheds(STRANGER) for _ in range(5)] == [None] * 5
    assert capacity.sheds(TRUNK) is None
    assert capacity.sheds(TRUNK) is not None
