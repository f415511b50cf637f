"""Limits on calls: per trunk, per number and in total."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from proxy.call.capacity import Capacity, Limit
from tests.call.flows import stub_flow
from tests.kit.edge import NewEdge
from tests.kit.ids import CountingIds

TRUNK, OTHER, STRANGER = stub_flow("192.0.2.1"), stub_flow("192.0.2.2"), stub_flow("192.0.2.66")
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


def test_without_limits_no_call_is_refused() -> None:
    capacity = new_capacity()
    assert {capacity.sheds(flow) for flow in [TRUNK, STRANGER] * 1000} == {None}
    assert {capacity.refuses("+14155551234") for _ in range(1000)} == {None}


def test_a_trunk_at_its_limit_of_concurrent_calls_is_refused_and_others_are_not() -> None:
    capacity = new_capacity(trunks={"one": Limit(calls=2), "two": Limit(calls=2)})
    over = [capacity.enter(TRUNK, "n") for _ in range(2)]
    assert capacity.sheds(TRUNK) == 30
    assert capacity.sheds(OTHER) is None
    capacity.leave(over[0])
    assert capacity.sheds(TRUNK) is None
    assert capacity.counts == {"strain": 0, "trunk": 1, "number": 0}


def test_a_number_at_its_limit_of_concurrent_calls_is_refused() -> None:
    capacity = new_capacity(numbers={"n": Limit(calls=1)})
    accounts = capacity.enter(TRUNK, "n")
    assert (capacity.refuses("n"), capacity.refuses("m")) == (30, None)
    capacity.leave(accounts)
    assert capacity.refuses("n") is None


def test_calls_per_s_allows_a_burst_of_one_second_and_then_an_even_rate() -> None:
    clock = Clock()
    capacity = new_capacity(clock, trunks={"one": Limit(calls_per_s=5)})
    assert [capacity.sheds(TRUNK) for _ in range(6)] == [None] * 5 + [4]
    clock.now += 0.2
    assert [capacity.sheds(TRUNK) for _ in range(2)] == [None, 4]
    clock.now += 3600
    assert [capacity.sheds(TRUNK) for _ in range(6)] == [None] * 5 + [4]


def test_a_rate_below_one_call_per_second_allows_one_call_per_interval() -> None:
    clock = Clock()
    capacity = new_capacity(clock, numbers={"n": Limit(calls_per_s=0.1)})
    assert [capacity.refuses("n"), capacity.refuses("n")] == [None, 4]
    clock.now += 10
    assert capacity.refuses("n") is None


def test_the_overall_limit_is_shared_by_all_trunks() -> None:
    capacity = new_capacity(overall=Limit(calls=2))
    capacity.enter(TRUNK, "n")
    capacity.enter(OTHER, "n")
    assert capacity.sheds(TRUNK) == capacity.sheds(OTHER) == 30


def test_an_overloaded_machine_refuses_calls_and_logs_the_reason_once_a_second() -> None:
    clock = Clock()
    capacity = new_capacity(clock, overload=lambda: "the event loop is late")
    with capture_logs() as logs:
        assert [capacity.sheds(TRUNK) for _ in range(100)] == [30] * 100
        clock.now += 1
        capacity.sheds(TRUNK)
    assert [line["why"] for line in logs] == ["the event loop is late"] * 2


def test_retry_after_is_randomized_rfc3261_20_33() -> None:
    drawn = []
    capacity = Capacity(Clock(), lambda low, high: drawn.append((low, high)) or high)
    assert capacity.retry_after_s() == 45
    assert drawn == [(15.0, 45.0)]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_trunk_over_its_limit_gets_503_and_its_current_call_goes_on_rfc3261_21_5_4(
    new_edge: NewEdge, transport: str
) -> None:
    async with new_edge(transport=transport, trunks={"signalwire": Limit(calls=1)}) as edge:
        await edge.connects()
        first = edge.carrier.current
        for _ in range(3):
            await edge.carrier.invites()
            await edge.carrier.receives(503, retry_after="30")
        await edge.time_passes(40)
        assert edge.core.left_over()["server transactions"] == 0, "nothing is kept for those turned away"
        await first.hangs_up()
        await edge.over()
        # the carrier has one audio stream for all its calls; it stopped when one of them was refused
        edge.excused_silence = lambda silence: silence.peer == "openai"
        await edge.assert_clean()


async def test_a_call_to_a_number_over_its_limit_gets_503_rfc3261_21_5_4(new_edge: NewEdge) -> None:
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


def test_calls_refused_by_a_trunks_limit_do_not_count_towards_the_overall_limit() -> None:
    capacity = new_capacity(overall=Limit(calls_per_s=3), trunks={"one": Limit(calls_per_s=1)})
    assert [capacity.sheds(TRUNK) is None for _ in range(50)] == [True] + [False] * 49
    assert [capacity.sheds(OTHER) for _ in range(2)] == [None, None]
    full = new_capacity(overall=Limit(calls_per_s=1), trunks={"two": Limit(calls=0)})
    assert full.sheds(OTHER) is not None
    assert full.sheds(TRUNK) is None


def test_an_invite_that_is_from_no_trunk_does_not_count_towards_the_overall_limit() -> None:
    capacity = new_capacity(overall=Limit(calls_per_s=1))
    assert [capacity.sheds(STRANGER) for _ in range(5)] == [None] * 5
    assert capacity.sheds(TRUNK) is None
    assert capacity.sheds(TRUNK) is not None
