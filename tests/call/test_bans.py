"""Strangers who persist are banned for a while; nobody can get one of our peers banned."""

from __future__ import annotations

from proxy.call.bans import MAX_SOURCES, WINDOW_S, Bans
from tests.call.flows import a_flow

BAD = "192.0.2.66"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def new_bans(*, after: int = 3, for_s: float = 600.0) -> tuple[Bans, Clock]:
    clock = Clock()
    return Bans(after, for_s, clock), clock


def test_a_source_that_persists_is_barred_for_a_while() -> None:
    bans, clock = new_bans()
    assert [bans.strike(a_flow(BAD)) for _ in range(3)] == [(True, False), (False, False), (False, True)]
    assert bans.bars(a_flow(BAD))
    assert not bans.bars(a_flow("192.0.2.67"))
    assert len(bans) == 1
    clock.now += 600
    assert len(bans) == 0
    assert not bans.bars(a_flow(BAD))
    assert bans.strike(a_flow(BAD)) == (True, False), "it begins anew"


def test_a_source_that_comes_now_and_then_is_not() -> None:
    bans, clock = new_bans()
    for _ in range(20):
        assert not bans.strike(a_flow(BAD))[1]
        clock.now += WINDOW_S + 1


def test_two_windows_count_together() -> None:
    bans, clock = new_bans()
    bans.strike(a_flow(BAD), 2)
    clock.now += WINDOW_S
    assert bans.strike(a_flow(BAD))[1]


def test_what_came_over_udp_bars_udp_alone_for_its_sender_can_be_forged() -> None:
    bans, _ = new_bans(after=1)
    bans.strike(a_flow(BAD))
    assert bans.bars(a_flow(BAD))
    assert not bans.bars(a_flow(BAD, "tls"))
    bans.strike(a_flow(BAD, "tcp"))
    assert bans.bars(a_flow(BAD, "tls"))
    assert bans.bars(a_flow(BAD, "udp"))


def test_nothing_counts_against_a_peer_and_becoming_one_lifts_a_ban() -> None:
    bans, _ = new_bans(after=1)
    bans.strike(a_flow(BAD, "tcp"))
    bans.spare(a_flow(BAD))
    assert not bans.bars(a_flow(BAD))
    assert not bans.bars(a_flow(BAD, "tcp"))
    assert bans.strike(a_flow(BAD), 100) == (False, False)
    assert not bans.bars(a_flow(BAD))


def test_calls_from_where_a_peer_is_are_news_once_a_window_and_count_for_nothing() -> None:
    bans, clock = new_bans(after=1)
    bans.spare(a_flow(BAD))
    assert [bans.strike(a_flow(BAD), calls=True) for _ in range(3)] == [(True, False), *[(False, False)] * 2]
    clock.now += WINDOW_S
    assert bans.strike(a_flow(BAD), calls=True) == (True, False)
    assert not bans.bars(a_flow(BAD))


def test_no_time_means_no_bans() -> None:
    bans, _ = new_bans(for_s=0)
    for _ in range(100):
        assert not bans.strike(a_flow(BAD))[1]
    assert bans.busiest(1) == [(BAD, 100, False)]


def test_the_busiest_are_told_with_what_they_sent_while_barred() -> None:
    bans, clock = new_bans()
    bans.strike(a_flow("192.0.2.1"))
    clock.now += WINDOW_S
    for _ in range(2):
        bans.strike(a_flow("192.0.2.2"))
    for _ in range(3):
        bans.strike(a_flow(BAD))
    for _ in range(4):
        bans.bars(a_flow(BAD))
    assert bans.busiest(9) == [(BAD, 7, True), ("192.0.2.2", 2, False), ("192.0.2.1", 1, False)]
    assert bans.busiest(1) == [(BAD, 7, True)]


def test_a_flood_from_everywhere_takes_bounded_memory() -> None:
    bans, _ = new_bans(after=2)
    for number in range(2 * MAX_SOURCES + 5):
        flow = a_flow(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "tcp")
        bans.strike(flow, number % 2 + 1)
        bans.spare(a_flow(f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert len(bans._datagrams) == len(bans._streams) == MAX_SOURCES
    assert len(bans._tally._now) + len(bans._tally._before) <= 2 * MAX_SOURCES
    assert len(bans._spared) == MAX_SOURCES


def test_a_host_with_a_whole_64_of_ipv6_is_barred_as_one() -> None:
    bans, _ = new_bans()
    for number in range(3):
        bans.strike(a_flow(f"2001:db8::{number}"))
    assert bans.bars(a_flow("2001:db8::dead"))
    assert not bans.bars(a_flow("2001:db8:0:1::1"))
    bans.spare(a_flow("2001:db8::1"))
    assert not bans.bars(a_flow("2001:db8::dead"))
