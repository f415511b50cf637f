"""The addresses of trunks: single addresses, networks, and names whose addresses change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from structlog.testing import capture_logs

from proxy.call import sources
from proxy.call.sources import KEPT_S, MAX_KNOWN, Source, Sources


class Names:
    """A name service that answers what the test sets."""

    def __init__(self, *addresses: str, ttl_s: float = 90.0) -> None:
        self.addresses: Sequence[str] = addresses
        self.ttl_s = ttl_s
        self.fails = False
        self.asked: list[float] = []

    async def __call__(self, name: str) -> tuple[Sequence[str], float]:
        self.asked.append(asyncio.get_running_loop().time())
        if self.fails:
            raise OSError(f"{name} is not known")
        return self.addresses, self.ttl_s


def test_addresses_and_networks_belong_to_their_trunk() -> None:
    table = Sources({"a": ["198.51.100.7"], "b": ["192.0.2.0/24", "2001:db8::/32"]}, Names())
    assert table.at("198.51.100.7") == Source("a", wide=False)
    assert table.at("192.0.2.99") == Source("b", wide=False)
    assert table.at("2001:db8::1%eth0") == Source("b", wide=True)
    assert table.at("198.51.100.8") is None
    assert table.at("2001:db9::1") is None
    assert table.at("") is None
    assert table.at("no address") is None


def test_the_longest_matching_prefix_decides_the_trunk() -> None:
    table = Sources({"wide": ["10.0.0.0/8"], "exact": ["10.1.2.3"]}, Names())
    assert table.at("10.1.2.3") == Source("exact", wide=False)
    assert table.at("10.1.2.4") == Source("wide", wide=True)


def test_the_cache_of_looked_up_addresses_has_a_maximum_size() -> None:
    table = Sources({"wide": ["10.0.0.0/8"]}, Names())
    for number in range(MAX_KNOWN + 5):
        assert table.at(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(table.known) <= MAX_KNOWN


async def test_a_name_is_resolved_again_when_its_record_expires_within_60_to_300_seconds() -> None:
    for ttl_s, interval in ((5.0, 60.0), (90.0, 90.0), (86400.0, 300.0)):
        names = Names("192.0.2.1", ttl_s=ttl_s)
        table = Sources({"trunk": ["sip.example.com"]}, names)
        await table.refresh()
        keeping = asyncio.ensure_future(table.keep_fresh())
        await asyncio.sleep(interval * 2 + 1)
        assert [round(after - names.asked[0]) for after in names.asked] == [0, interval, 2 * interval]
        keeping.cancel()


async def test_a_name_that_never_resolved_is_retried_with_backoff_up_to_a_minute() -> None:
    """The machine is up before its network, as after a power failure."""
    names = Names("192.0.2.1")
    names.fails = True
    table = Sources({"trunk": ["sip.example.com"]}, names)
    await table.refresh()
    keeping = asyncio.ensure_future(table.keep_fresh())
    await asyncio.sleep(200)
    assert [round(after - names.asked[0]) for after in names.asked] == [0, 2, 6, 14, 30, 62, 122, 182]
    names.fails = False
    await asyncio.sleep(60)
    assert table.at("192.0.2.1")
    keeping.cancel()


async def test_a_name_with_a_new_address_admits_it_at_once_and_drops_the_old_one_after_an_hour() -> None:
    names = Names("192.0.2.1")
    table = Sources({"trunk": ["sip.example.com"]}, names)
    assert table.at("192.0.2.1") is None
    await table.refresh()
    assert table.at("192.0.2.1") == Source("trunk", wide=False)
    names.addresses = ["192.0.2.2"]
    keeping = asyncio.ensure_future(table.keep_fresh())
    await asyncio.sleep(91)
    assert table.at("192.0.2.2") == Source("trunk", wide=False)
    await asyncio.sleep(KEPT_S - 92)
    assert table.at("192.0.2.1") == Source("trunk", wide=False)
    await asyncio.sleep(90)
    assert table.at("192.0.2.1") is None
    assert table.at("192.0.2.2") == Source("trunk", wide=False)
    keeping.cancel()


async def test_rotating_dns_answers_keep_all_their_addresses() -> None:
    names = Names("192.0.2.1", "192.0.2.2")
    table = Sources({"trunk": ["sip.example.com"]}, names)
    await table.refresh()
    keeping = asyncio.ensure_future(table.keep_fresh())
    await asyncio.sleep(1)
    for number in range(100):
        names.addresses = [f"192.0.2.{number % 3 + 1}", f"192.0.2.{(number + 1) % 3 + 1}"]
        await asyncio.sleep(names.ttl_s)
        assert all(map(table.at, names.addresses)), number
        if number:
            assert all(table.at(f"192.0.2.{last}") for last in (1, 2, 3)), number
    keeping.cancel()


async def test_a_name_that_stops_resolving_keeps_its_addresses_for_an_hour() -> None:
    names = Names("192.0.2.1")
    table = Sources({"trunk": ["sip.example.com"]}, names)
    await table.refresh()
    names.addresses = []
    keeping = asyncio.ensure_future(table.keep_fresh())
    with capture_logs() as logs:
        await asyncio.sleep(KEPT_S - 60)
        assert table.at("192.0.2.1")
        names.fails = True
        await asyncio.sleep(120)
        assert table.at("192.0.2.1") is None
        names.fails = False
        names.addresses = ["192.0.2.1"]
        await asyncio.sleep(sources.REFRESH_S[0])
        assert table.at("192.0.2.1"), "it is tried again all the same"
    keeping.cancel()
    given_up = [line for line in logs if line["log_level"] == "error"]
    assert [line["event"] for line in given_up] == [
        "trunk name given up: nobody at its old addresses is let in any more"
    ]
    assert given_up[0]["problem"] == "sip.example.com is not known"
    assert {line["event"] for line in logs} - {given_up[0]["event"]} == {"trunk name not resolved"}


async def test_a_table_of_numeric_addresses_resolves_nothing_and_stays_valid() -> None:
    table = Sources({"trunk": ["192.0.2.1"]}, Names())
    keeping = asyncio.ensure_future(table.keep_fresh())
    await asyncio.sleep(3 * KEPT_S)
    assert not keeping.done()
    assert table.at("192.0.2.1")
    keeping.cancel()
