"""The source addresses of a carrier's name and their lifetime, with names from a table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dns.resolver
import pytest

from proxy.transport.address_set import DEFAULT_TTL_S, AddressSetLookup
from proxy.transport.lookup import SrvRecord
from tests.transport.test_resolver import Names


class Lives:
    """A resolver that only knows the TTLs of records."""

    def __init__(self, **lives: int) -> None:
        self._lives = lives

    async def resolve(self, name: str, kind: str, lifetime: float) -> Any:
        if kind not in self._lives:
            raise dns.resolver.NoAnswer
        return SimpleNamespace(rrset=SimpleNamespace(ttl=self._lives[kind]))


def lookup(names: Names, **lives: int) -> AddressSetLookup:
    return AddressSetLookup(names, resolver=Lives(**lives))  # type: ignore[arg-type]


async def test_a_carrier_may_call_from_the_hosts_behind_its_srv_records_too() -> None:
    names = Names(
        {
            "c": ["192.0.2.1"],
            "a.c": ["192.0.2.2", "192.0.2.1"],
            "b.c": ["2001:db8::1"],
        },
        {
            "_sip._udp.c": [SrvRecord(1, 1, 5060, "a.c")],
            "_sips._tcp.c": [SrvRecord(1, 1, 5061, "b.c"), SrvRecord(1, 1, 0, "")],
        },
    )
    assert await lookup(names, A=77, AAAA=99)("c") == (
        ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
        77.0,
    )


@pytest.mark.parametrize(
    ("lives", "expected"), [({}, DEFAULT_TTL_S), ({"A": 60}, 60.0), ({"AAAA": 300}, DEFAULT_TTL_S)]
)
async def test_a_record_that_tells_no_life_has_two_minutes(lives: dict[str, int], expected: float) -> None:
    assert await lookup(Names({"c": ["192.0.2.1"]}), **lives)("c") == (
        ["192.0.2.1"],
        expected,
    )


async def test_a_name_that_is_not_known_has_no_addresses() -> None:
    assert (await lookup(Names({}))("c"))[0] == []
