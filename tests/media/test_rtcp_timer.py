"""The RTCP report scheduler: a timer wheel for all streams, idle when there are none."""

import asyncio
import itertools
from collections import Counter

from proxy.media.rtcp_timer import RtcpTimer
from tests.kit.virtual_loop import stoppable


class Member:
    def __init__(self) -> None:
        self.times: list[float] = []

    def report(self) -> None:
        self.times.append(round(asyncio.get_running_loop().time() - 5000, 3))


async def test_each_is_called_after_about_half_an_interval_and_every_interval_then_rfc3550_6_2():
    rounds, first, second = RtcpTimer(), Member(), Member()
    rounds.join(first)
    rounds.join(first)
    await asyncio.sleep(1.01)
    rounds.join(second)
    await asyncio.sleep(12)
    assert first.times == [2.5, 7.5, 12.5]
    assert second.times == [3.9, 8.9]
    assert len(rounds) == 2


async def test_the_wheel_stops_where_somebody_is_due_and_no_more_often_than_it_must():
    loop, rounds, member, stops = asyncio.get_running_loop(), RtcpTimer(), Member(), list[float]()
    call_at = loop.call_at

    def counted(when: float, *told: object, **more: object) -> asyncio.TimerHandle:
        stops.append(round(when - 5000, 3))
        return call_at(when, *told, **more)

    loop.call_at = counted
    rounds.join(member)
    gone = loop.create_future()
    call_at(5009, gone.set_result, None)
    await gone
    loop.call_at = call_at
    rounds.leave(member)
    assert stops == [2.0, 2.5, 4.5, 6.5, 7.5, 9.5]
    assert member.times == [2.5, 7.5]


async def test_after_a_stop_of_the_process_nobody_reports_before_what_came_meanwhile_is_read():
    rounds, first, second = RtcpTimer(), Member(), Member()
    rounds.join(first)
    await asyncio.sleep(1.01)
    rounds.join(second)
    await asyncio.sleep(0.09)
    stoppable().stop_for(60)
    await asyncio.sleep(12)
    assert first.times == [61.83, 66.83, 71.83]
    assert second.times == [63.23, 68.23]
    assert len(rounds) == 2


async def test_who_joins_while_the_wheel_rests_is_called_when_anybody_would_be():
    rounds, members = RtcpTimer(), [Member() for _ in range(60)]
    joined = []
    for member in members:
        joined.append(asyncio.get_running_loop().time() - 5000)
        rounds.join(member)
        await asyncio.sleep(0.33)
    await asyncio.sleep(3)
    waits = [member.times[0] - at for member, at in zip(members, joined, strict=True)]
    assert 1.97 <= min(waits) < max(waits) <= 3.0
    for member in members:
        later = [two - one for one, two in itertools.pairwise(member.times)]
        assert all(round(wait, 3) == 5 for wait in later)
        rounds.leave(member)


async def test_those_who_join_together_are_not_called_together():
    rounds, members = RtcpTimer(), [Member() for _ in range(510)]
    for member in members:
        rounds.join(member)
    await asyncio.sleep(4)
    together = Counter(time for member in members for time in member.times)
    assert sum(together.values()) == 510
    assert max(together.values()) == 10
    assert 2.0 <= min(together) < 2.1
    assert 2.9 < max(together) <= 3.0
    for member in members:
        rounds.leave(member)


async def test_who_left_is_called_no_more_and_the_last_stops_the_timer():
    rounds, member = RtcpTimer(), Member()
    rounds.join(member)
    await asyncio.sleep(3)
    rounds.leave(member)
    rounds.leave(member)
    await asyncio.sleep(20)
    assert member.times == [2.5]
    assert len(rounds) == 0
    rounds.join(member)
    await asyncio.sleep(3)
    assert len(member.times) == 2
    rounds.leave(member)


async def test_one_may_leave_while_another_is_called():
    rounds, staying = RtcpTimer(), Member()

    class Leaving(Member):
        def report(self) -> None:
            super().report()
            rounds.leave(self)

    leaving = Leaving()
    rounds.join(leaving)
    rounds.join(staying)
    await asyncio.sleep(8)
    assert (leaving.times, staying.times) == ([2.5], [2.9, 7.9])
    rounds.leave(staying)


async def test_those_of_one_notch_report_in_a_turn_of_the_loop_each_so_that_packets_pass_between_them():
    rounds, loop, busy, reports = RtcpTimer(), asyncio.get_running_loop(), set[Member](), list[int]()

    class Busy(Member):
        def report(self) -> None:
            super().report()
            busy.add(self)
            loop.call_soon(busy.discard, self)
            reports.append(len(busy))

    members = [Busy() for _ in range(153)]  # three in each slot of the wheel
    for member in members:
        rounds.join(member)
    await asyncio.sleep(4)
    assert reports == [1] * 153
    for member in members:
        rounds.leave(member)


async def test_who_leaves_while_his_notch_reports_is_not_called():
    rounds, last = RtcpTimer(), Member()

    class First(Member):
        def report(self) -> None:
            super().report()
            rounds.leave(last)

    first, others = First(), [Member() for _ in range(50)]
    for member in (first, *others, last):
        rounds.join(member)
    await asyncio.sleep(4)
    assert (first.times, last.times) == ([2.5], [])
    for member in (first, *others):
        rounds.leave(member)


async def test_one_whose_report_fails_keeps_nobody_else_from_his():
    rounds, failures, second = RtcpTimer(), list[object](), Member()

    class Failing(Member):
        def report(self) -> None:
            raise ValueError

    asyncio.get_running_loop().set_exception_handler(lambda _, told: failures.append(told["exception"]))
    failing, others = Failing(), [Member() for _ in range(50)]
    for member in (failing, *others, second):
        rounds.join(member)
    await asyncio.sleep(8)
    asyncio.get_running_loop().set_exception_handler(None)
    assert second.times == [2.5, 7.5]
    assert [type(failure) for failure in failures] == [ValueError, ValueError]
    for member in (failing, *others, second):
        rounds.leave(member)
