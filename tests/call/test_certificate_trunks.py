"""Trunks identified by their TLS certificates."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from proxy.call.admission import Admission
from proxy.call.certificate_trunks import CertificateTrunks, by_address

SOURCES = {
    "one": ["192.0.2.0/24", "tls:sip.one.example", "sip.one.example"],
    "two": ["tls:sip.two.example", "tls:edge.two.example"],
    "three": ["198.51.100.7"],
}


def a_flow(*names: str, host: str = "203.0.113.99") -> Any:
    return SimpleNamespace(remote=(host, 40000), transport="tls", peer_names=frozenset(names))


async def resolved(name: str) -> tuple[list[str], float]:
    return ["203.0.113.7"], 60.0


def test_a_connection_is_assigned_to_a_trunk_by_its_certificate_names() -> None:
    certified = CertificateTrunks(SOURCES)
    assert certified.trunk(a_flow("sip.one.example")) == "one"
    assert certified.trunk(a_flow("other.example", "edge.two.example")) == "two"
    assert certified.trunk(a_flow("other.example")) is None
    assert certified.trunk(a_flow()) is None


def test_sources_without_the_tls_prefix_are_addresses() -> None:
    assert by_address(SOURCES) == {
        "one": ["192.0.2.0/24", "sip.one.example"],
        "two": [],
        "three": ["198.51.100.7"],
    }
    assert CertificateTrunks({"three": ["198.51.100.7"]}).trunk(a_flow("sip.one.example")) is None


async def test_a_trunk_is_admitted_by_its_certificate_or_its_address() -> None:
    gate = Admission(SOURCES, resolved)
    await gate.refresh()
    flows = [
        a_flow("sip.two.example"),
        a_flow(host="192.0.2.8"),
        a_flow(host="203.0.113.7"),
        a_flow(host="198.51.100.7"),
        a_flow("sip.three.example"),
        a_flow(host=""),
    ]
    sources = [gate.source(flow) for flow in flows]
    trunks = [source.trunk if source is not None else None for source in sources]
    assert trunks == ["two", "one", "one", "three", None, None]
    assert [gate.admits(flow) for flow in flows] == [True, True, True, True, False, False]
    assert sources[0] is not None
    assert not sources[0].wide
