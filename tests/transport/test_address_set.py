"""The source addresses of a carrier's name and their lifetime, with names from a table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dns.resolver
import pytest

from proxy.transport.address_set import DEFAULT_TTL_S, AddressSetLookup
from proxy.transport.lookup import SrvRecord
from tests.transport.test_resolver import Names


class TtlResolver:
    """A resolver that only knows the TTLs of records."""

    def __init__(self, **ttls: int) -> None:
        self._ttls = ttls

    async def resolve(self, name: str, kind: str, lifetime: float) -> Any:
        if kind not in self._ttls:
            raise dns.resolver.NoAnswer
        return SimpleNamespace(rrset=SimpleNamespace(ttl=self._ttls[kind]))


def lookup(names: Names, **ttls: int) -> AddressSetLookup:
    return AddressSetLookup(names, resolver=TtlResolver(**ttls))  # type: ignore[arg-type]


async def test_address_set_includes_the_hosts_of_srv_records() -> None:
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
    ("ttls", "expected"), [({}, DEFAULT_TTL_S), ({"A": 60}, 60.0), ({"AAAA": 300}, DEFAULT_TTL_S)]
)
async def test_lookup_without_ttl_has_the_default_lifetime(ttls: dict[str, int], expected: float) -> None:
    assert await lookup(Names({"c": ["192.0.2.1"]}), **ttls)("c") == (
        ["192.0.2.1"],
        expected,
    )


async def test_unknown_name_has_no_addresses() -> None:
    assert (await lookup(Names({}))("c"))[0] == []
