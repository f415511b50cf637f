"""Strangers who persist are banned for a while; nobody can get one of our peers banned."""

from __future__ import annotations

from proxy.call.bans import MAX_SOURCES, WINDOW_S, Bans
from tests.call.flows import stub_flow

BAD = "192.0.2.66"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def new_bans(*, after: int = 3, for_s: float = 600.0) -> tuple[Bans, Clock]:
    clock = Clock()
    return Bans(after, for_s, clock), clock


def test_a_source_is_banned_at_the_third_strike_until_the_ban_expires() -> None:
    bans, clock = new_bans()
    assert [bans.strike(stub_flow(BAD)) for _ in range(3)] == [(True, False), (False, False), (False, True)]
    assert bans.bars(stub_flow(BAD))
    assert not bans.bars(stub_flow("192.0.2.67"))
    assert len(bans) == 1
    clock.now += 600
    assert len(bans) == 0
    assert not bans.bars(stub_flow(BAD))
    assert bans.strike(stub_flow(BAD)) == (True, False), "it begins anew"


def test_strikes_more_than_a_window_apart_never_ban() -> None:
    bans, clock = new_bans()
    for _ in range(20):
        assert not bans.strike(stub_flow(BAD))[1]
        clock.now += WINDOW_S + 1


def test_strikes_of_the_current_and_the_previous_window_are_added() -> None:
    bans, clock = new_bans()
    bans.strike(stub_flow(BAD), 2)
    clock.now += WINDOW_S
    assert bans.strike(stub_flow(BAD))[1]


def test_strikes_over_udp_ban_udp_only_and_strikes_over_tcp_ban_every_transport() -> None:
    bans, _ = new_bans(after=1)
    bans.strike(stub_flow(BAD))
    assert bans.bars(stub_flow(BAD))
    assert not bans.bars(stub_flow(BAD, "tls"))
    bans.strike(stub_flow(BAD, "tcp"))
    assert bans.bars(stub_flow(BAD, "tls"))
    assert bans.bars(stub_flow(BAD, "udp"))


def test_sparing_a_peer_lifts_its_ban_and_its_strikes_are_not_counted() -> None:
    bans, _ = new_bans(after=1)
    bans.strike(stub_flow(BAD, "tcp"))
    bans.spare(stub_flow(BAD))
    assert not bans.bars(stub_flow(BAD))
    assert not bans.bars(stub_flow(BAD, "tcp"))
    assert bans.strike(stub_flow(BAD), 100) == (False, False)
    assert not bans.bars(stub_flow(BAD))


def test_calls_from_a_spared_address_are_reported_once_per_window_and_never_ban() -> None:
    bans, clock = new_bans(after=1)
    bans.spare(stub_flow(BAD))
    assert [bans.strike(stub_flow(BAD), calls=True) for _ in range(3)] == [
        (True, False),
        *[(False, False)] * 2,
    ]
    clock.now += WINDOW_S
    assert bans.strike(stub_flow(BAD), calls=True) == (True, False)
    assert not bans.bars(stub_flow(BAD))


def test_a_ban_duration_of_zero_disables_bans() -> None:
    bans, _ = new_bans(for_s=0)
    for _ in range(100):
        assert not bans.strike(stub_flow(BAD))[1]
    assert bans.busiest(1) == [(BAD, 100, False)]


def test_busiest_lists_sources_by_messages_including_those_sent_while_banned() -> None:
    bans, clock = new_bans()
    bans.strike(stub_flow("192.0.2.1"))
    clock.now += WINDOW_S
    for _ in range(2):
        bans.strike(stub_flow("192.0.2.2"))
    for _ in range(3):
        bans.strike(stub_flow(BAD))
    for _ in range(4):
        bans.bars(stub_flow(BAD))
    assert bans.busiest(9) == [(BAD, 7, True), ("192.0.2.2", 2, False), ("192.0.2.1", 1, False)]
    assert bans.busiest(1) == [(BAD, 7, True)]


def test_the_tables_of_bans_and_strikes_have_a_maximum_size() -> None:
    bans, _ = new_bans(after=2)
    for number in range(2 * MAX_SOURCES + 5):
        flow = stub_flow(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "tcp")
        bans.strike(flow, number % 2 + 1)
        bans.spare(stub_flow(f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert len(bans._datagrams) == len(bans._streams) == MAX_SOURCES
    assert len(bans._tally._now) + len(bans._tally._before) <= 2 * MAX_SOURCES
    assert len(bans._spared) == MAX_SOURCES


def test_ipv6_addresses_of_the_same_64_prefix_are_banned_together() -> None:
    bans, _ = new_bans()
    for number in range(3):
        bans.strike(stub_flow(f"2001:db8::{number}"))
    assert bans.bars(stub_flow("2001:db8::dead"))
    assert not bans.bars(stub_flow("2001:db8:0:1::1"))
    bans.spare(stub_flow("2001:db8::1"))
    assert not bans.bars(stub_flow("2001:db8::dead"))
