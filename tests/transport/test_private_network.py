"""Our address in the private network of a peer."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.transport.private_network import is_private, local_address_near

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t0000000A\t0101A8C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
"""


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    """192.168.1.0/24 directly connected; 10.0.0.0/8 and the default route via 192.168.1.1."""
    file = tmp_path / "route"
    file.write_text(ROUTES)
    return file


@pytest.mark.parametrize(
    ("peer", "ours"),
    [
        ("192.168.1.20", "192.168.1.10"),
        ("192.168.2.20", None),
        ("10.1.2.3", None),
        ("198.51.100.7", None),
        ("192.168.1.10", None),
    ],
)
def test_peer_on_a_directly_connected_private_network_gets_our_local_address(
    routes: Path, peer: str, ours: str | None
) -> None:
    assert local_address_near(peer, routes, lambda peer: "192.168.1.10") == ours


def test_missing_or_malformed_routes_give_no_local_address(routes: Path) -> None:
    assert local_address_near("192.168.1.20", routes, lambda peer: None) is None
    assert local_address_near("192.168.1.20", routes, lambda peer: "203.0.113.10") is None
    assert local_address_near("192.168.1.20", routes.parent / "none", lambda peer: "192.168.1.10") is None
    routes.write_text("Iface\nnonsense\n")
    assert local_address_near("192.168.1.20", routes, lambda peer: "192.168.1.10") is None
    routes.write_text(ROUTES.splitlines()[0])
    assert local_address_near("192.168.1.20", routes, lambda peer: "192.168.1.10") is None


@pytest.mark.parametrize("host", ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1"])
def test_rfc1918_addresses_are_private(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize("host", ["172.32.0.1", "10.example.com", "127.0.0.1", "100.64.0.1", "fd00::1", ""])
def test_other_hosts_are_not_private(host: str) -> None:
    assert not is_private(host)
