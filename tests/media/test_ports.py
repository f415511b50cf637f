"""The pool of RTP ports: even numbers, reuse order, and ports taken by other programs."""

import pytest

from proxy.media.ports import NoPortFree, PortPool


def test_ports_are_even_and_leave_room_for_rtcp_rfc3550_11():
    pool = PortPool(20001, 20006)
    assert [pool.take(), pool.take()] == [20002, 20004]
    with pytest.raises(NoPortFree, match="all 2 pairs"):
        pool.take()


def test_returned_port_is_reused_last():
    pool = PortPool(20000, 20005)
    first = pool.take()
    pool.give_back(first)
    assert [pool.take(), pool.take(), pool.take()] == [20002, 20004, 20000]
    assert (pool.lent, pool.free) == (3, 0)


def test_rested_port_is_lent_before_an_unused_one():
    now = 10.0
    pool = PortPool(20000, 20009, clock=lambda: now)
    pool.give_back(pool.take())
    now += 1.9
    assert pool.take() == 20002
    now += 0.1
    assert pool.take() == 20000


def test_lend_says_whether_the_port_has_rested_since_its_last_call():
    now = 10.0
    pool = PortPool(20000, 20001, clock=lambda: now)
    assert pool.lend() == (20000, True)
    pool.give_back(20000)
    assert pool.lend() == (20000, False)
    pool.give_back(20000)
    now += 2.0
    assert pool.lend() == (20000, True)


def test_passed_over_port_is_tried_after_one_just_returned():
    now = 10.0
    pool = PortPool(20000, 20005, clock=lambda: now)
    pool.pass_over(pool.take())
    pool.give_back(pool.take())
    assert pool.free == 3
    assert [pool.take(), pool.take(), pool.take()] == [20004, 20002, 20000]


def test_returning_a_port_that_was_not_lent_raises():
    pool = PortPool(20000, 20005)
    with pytest.raises(ValueError, match="20002 was not lent"):
        pool.give_back(20002)
    with pytest.raises(ValueError, match="20002 was not lent"):
        pool.pass_over(20002)


@pytest.mark.parametrize(("low", "high"), [(0, 10), (10, 10), (20, 10), (60000, 65536), (20001, 20002)])
def test_invalid_port_range_is_refused(low, high):
    with pytest.raises(ValueError):  # noqa: PT011
        PortPool(low, high)
