"""The timer shared by RTCP streams and media watches: a wheel that is idle without members."""

import asyncio
import itertools
from collections import Counter

from proxy.media.periodic_timer import PeriodicTimer
from tests.kit.virtual_loop import stoppable


class Member:
    def __init__(self) -> None:
        self.times: list[float] = []

    def report(self) -> None:
        self.times.append(round(asyncio.get_running_loop().time() - 5000, 3))


async def test_member_is_called_after_half_an_interval_and_then_every_interval_rfc3550_6_2():
    timer, first, second = PeriodicTimer(), Member(), Member()
    timer.join(first)
    timer.join(first)
    await asyncio.sleep(1.01)
    timer.join(second)
    await asyncio.sleep(12)
    assert first.times == [2.5, 7.5, 12.5]
    assert second.times == [3.9, 8.9]
    assert len(timer) == 2


async def test_wheel_wakes_only_for_due_members_and_at_most_every_two_seconds():
    loop, timer, member, stops = asyncio.get_running_loop(), PeriodicTimer(), Member(), list[float]()
    call_at = loop.call_at

    def counted(when: float, *context: object, **more: object) -> asyncio.TimerHandle:
        stops.append(round(when - 5000, 3))
        return call_at(when, *context, **more)

    loop.call_at = counted
    timer.join(member)
    gone = loop.create_future()
    call_at(5009, gone.set_result, None)
    await gone
    loop.call_at = call_at
    timer.leave(member)
    assert stops == [2.0, 2.5, 4.5, 6.5, 7.5, 9.5]
    assert member.times == [2.5, 7.5]


async def test_reports_resume_after_half_an_interval_when_the_process_was_stopped():
    timer, first, second = PeriodicTimer(), Member(), Member()
    timer.join(first)
    await asyncio.sleep(1.01)
    timer.join(second)
    await asyncio.sleep(0.09)
    stoppable().stop_for(60)
    await asyncio.sleep(12)
    assert first.times == [61.83, 66.83, 71.83]
    assert second.times == [63.23, 68.23]
    assert len(timer) == 2


async def test_member_joining_between_wakeups_is_called_on_time():
    timer, members = PeriodicTimer(), [Member() for _ in range(60)]
    joined = []
    for member in members:
        joined.append(asyncio.get_running_loop().time() - 5000)
        timer.join(member)
        await asyncio.sleep(0.33)
    await asyncio.sleep(3)
    waits = [member.times[0] - at for member, at in zip(members, joined, strict=True)]
    assert 1.97 <= min(waits) < max(waits) <= 3.0
    for member in members:
        later = [two - one for one, two in itertools.pairwise(member.times)]
        assert all(round(wait, 3) == 5 for wait in later)
        timer.leave(member)


async def test_members_joining_together_are_spread_over_the_wheel():
    timer, members = PeriodicTimer(), [Member() for _ in range(510)]
    for member in members:
        timer.join(member)
    await asyncio.sleep(4)
    together = Counter(time for member in members for time in member.times)
    assert sum(together.values()) == 510
    assert max(together.values()) == 10
    assert 2.0 <= min(together) < 2.1
    assert 2.9 < max(together) <= 3.0
    for member in members:
        timer.leave(member)


async def test_member_that_left_is_not_called_until_it_joins_again():
    timer, member = PeriodicTimer(), Member()
    timer.join(member)
    await asyncio.sleep(3)
    timer.leave(member)
    timer.leave(member)
    await asyncio.sleep(20)
    assert member.times == [2.5]
    assert len(timer) == 0
    timer.join(member)
    await asyncio.sleep(3)
    assert len(member.times) == 2
    timer.leave(member)


async def test_member_may_leave_during_its_own_report():
    timer, staying = PeriodicTimer(), Member()

    class Leaving(Member):
        def report(self) -> None:
            super().report()
            timer.leave(self)

    leaving = Leaving()
    timer.join(leaving)
    timer.join(staying)
    await asyncio.sleep(8)
    assert (leaving.times, staying.times) == ([2.5], [2.9, 7.9])
    timer.leave(staying)


async def test_members_of_one_slot_report_in_separate_loop_iterations():
    timer, loop, busy, reports = PeriodicTimer(), asyncio.get_running_loop(), set[Member](), list[int]()

    class Busy(Member):
        def report(self) -> None:
            super().report()
            busy.add(self)
            loop.call_soon(busy.discard, self)
            reports.append(len(busy))

    members = [Busy() for _ in range(153)]  # three in each slot of the wheel
    for member in members:
        timer.join(member)
    await asyncio.sleep(4)
    assert reports == [1] * 153
    for member in members:
        timer.leave(member)


async def test_member_leaving_while_its_slot_reports_is_not_called():
    timer, last = PeriodicTimer(), Member()

    class First(Member):
        def report(self) -> None:
            super().report()
            timer.leave(last)

    first, others = First(), [Member() for _ in range(50)]
    for member in (first, *others, last):
        timer.join(member)
    await asyncio.sleep(4)
    assert (first.times, last.times) == ([2.5], [])
    for member in (first, *others):
        timer.leave(member)


async def test_failing_report_does_not_stop_the_others():
    timer, failures, second = PeriodicTimer(), list[object](), Member()

    class Failing(Member):
        def report(self) -> None:
            raise ValueError

    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    failing, others = Failing(), [Member() for _ in range(50)]
    for member in (failing, *others, second):
        timer.join(member)
    await asyncio.sleep(8)
    asyncio.get_running_loop().set_exception_handler(None)
    assert second.times == [2.5, 7.5]
    assert [type(failure) for failure in failures] == [ValueError, ValueError]
    for member in (failing, *others, second):
        timer.leave(member)
