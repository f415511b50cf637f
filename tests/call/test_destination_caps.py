"""Limits on how often a destination is dialled per hour."""

from __future__ import annotations

import pytest

from proxy.call.destination_caps import HOUR_S, DestinationCaps
from proxy.call.outcome import Result
from proxy.transport.flow import TransportFailed
from screening.contract import News
from tests.kit.edge import Edge, NewEdge, a_number, leg_ends, summary


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_call_over_the_hourly_limit_of_a_destination_is_refused() -> None:
    clock = Clock()
    caps = DestinationCaps(clock)
    for _ in range(3):
        caps.charge("sip:a@h", 3)
        clock.now += 60
    with pytest.raises(TransportFailed, match="3 times within an hour"):
        caps.charge("sip:a@h", 3)
    caps.charge("sip:b@h", 3)
    clock.now = 1000.0 + HOUR_S
    caps.charge("sip:a@h", 3)
    with pytest.raises(TransportFailed):
        caps.charge("sip:a@h", 3)


def test_a_limit_of_zero_counts_no_calls() -> None:
    caps = DestinationCaps(Clock())
    for _ in range(1000):
        caps.charge("sip:a@h", 0)
    assert caps._dialled == {}


async def test_a_destination_over_its_hourly_limit_is_reported_to_the_agent_as_503(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(calls_per_destination_per_hour=1)) as edge:
        await edge.bridges()
        await edge.carrier.hangs_up()
        await edge.over()
        await edge.connects()
        await edge.agent.refers("tel:+14155559876")
        assert await told(edge) == 503
        assert edge.screening.news[-1] is News.PHONE_UNREACHABLE
        await edge.carrier.hangs_up()
        await edge.over(2)
        second = edge.records[1]
        assert summary(second) == (Result.CALLER_LEFT, "ALLOW", "refer", "caller")
        assert [leg for leg, _ in leg_ends(second)] == ["caller", "agent"]
        assert "not called: it was called 1 times within an hour, which is its limit" in second.steps
        assert len(edge.phone.calls) == 1, "it was not dialled"
        await edge.assert_clean(calls=2)


async def told(edge: Edge) -> int | None:
    await edge.time_passes(1)
    return edge.notify_statuses()[-1]
