"""Detection of rules, IPsec and NAT that rule out kernel forwarding, in a network namespace."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.media.kernel import host as host_module
from proxy.media.kernel.forwarder import Forwarder
from proxy.media.kernel.host import Host
from proxy.media.kernel.netlink import Netlink
from tests.media.kernel.able import needs_kernel
from tests.media.kernel.namespaces import EDGE, EDGE6, PEERS, PEERS6, Namespaces

pytestmark = [pytest.mark.network, needs_kernel]

IPSEC = "packets may have to be encrypted by IPsec (see `ip xfrm policy`)"
POLICY = (
    *("src", "10.0.0.0/24", "dst", "10.1.0.0/24", "dir", "out"),
    *("tmpl", "src", "192.0.2.1", "dst", "192.0.2.2", "proto", "esp", "mode", "tunnel"),
)
PORT = 20000


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    with Namespaces("sdkh") as namespaces:
        yield namespaces


@pytest.fixture
def host(namespaces) -> Iterator[Host]:
    with namespaces.inside("edge"):
        routes = Netlink()
        host = Host(routes)
    yield host
    host.close()
    routes.close()


def send_packet(namespaces: Namespaces, port: int = PORT, *, six: bool = False) -> None:
    """Send a packet from the edge to the caller."""
    with (
        namespaces.inside("edge"),
        socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as one,
    ):
        one.bind(("", port))
        one.sendto(b"x", ((PEERS6 if six else PEERS)["caller"], 5000))


def test_plain_host_has_no_obstacle(host):
    assert host.obstacle() is None


def test_routing_rule_by_source_address_is_no_obstacle(host, namespaces):
    namespaces.ip("edge", "rule", "add", "from", EDGE["phone"], "lookup", "100")
    assert host.obstacle() is None


@pytest.mark.parametrize(
    "rule",
    ["fwmark 5", "ipproto udp sport 20000-30000", "oif phone", "uidrange 1000-1000"],
    ids=["mark", "ports", "interface", "user"],
)
@pytest.mark.parametrize("version", ["-4", "-6"])
def test_routing_rule_by_mark_port_interface_or_user_is_an_obstacle(host, namespaces, rule, version):
    namespaces.ip("edge", version, "rule", "add", *rule.split(), "lookup", "100")
    obstacle = host.obstacle()
    assert obstacle is not None
    assert obstacle.startswith("a rule of routing goes by ")
    namespaces.ip("edge", version, "rule", "del", *rule.split(), "lookup", "100")
    assert host.obstacle() is None


def test_ipsec_policy_is_an_obstacle(host, namespaces):
    namespaces.ip("edge", "xfrm", "policy", "add", *POLICY)
    assert host.obstacle() == IPSEC
    namespaces.ip("edge", "xfrm", "policy", "flush")
    assert host.obstacle() is None


async def test_obstacle_is_detected_and_cleared_while_running(namespaces):
    with namespaces.inside("edge"):
        forwarder = Forwarder(PORT, PORT + 99, ["0.0.0.0"])
        forwarder.watch()
    assert forwarder.route(PEERS["caller"], None) is not None
    async with asyncio.timeout(5):
        namespaces.ip("edge", "xfrm", "policy", "add", *POLICY)
        while forwarder.obstacle is None:
            await asyncio.sleep(0.01)
        assert forwarder.route(PEERS["caller"], None) is None
        namespaces.ip("edge", "xfrm", "policy", "flush")
        while forwarder.obstacle is not None:
            await asyncio.sleep(0.01)
        namespaces.ip("edge", "rule", "add", "fwmark", "5", "lookup", "100")
        while forwarder.obstacle is None:
            await asyncio.sleep(0.01)
    forwarder.close()


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
def test_source_nat_of_a_flow_is_detected(host, namespaces, six):
    ours, peer = (EDGE6 if six else EDGE)["caller"], ((PEERS6 if six else PEERS)["caller"], 5000)
    send_packet(namespaces, six=six)
    assert not host.translates((ours, PORT), peer)  # conntrack has no entry yet
    family, there = ("ip6", f"[{ours}]") if six else ("ip", ours)
    namespaces.nft(
        "edge",
        f"add table {family} t; add chain {family} t out {{ type nat hook postrouting priority 100; }}",
    )
    namespaces.nft("edge", f"add rule {family} t out udp sport {PORT + 2} snat to {there}:30000")
    send_packet(namespaces, six=six)
    send_packet(namespaces, PORT + 2, six=six)
    assert not host.translates((ours, PORT), peer)
    assert host.translates((ours, PORT + 2), peer)


def test_tracked_connections_without_conntrack_netlink_count_as_translated(
    host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tracked = tmp_path / "count"
    monkeypatch.setattr(host_module, "_TRACKED", tracked)
    monkeypatch.setattr(
        host_module, "_CT_GET", 1 << 8 | 0x7F
    )  # unknown request, as without nf_conntrack_netlink
    assert not host.translates((EDGE["caller"], PORT), (PEERS["caller"], 5000))
    tracked.write_text("0\n")
    assert not host.translates((EDGE["caller"], PORT), (PEERS["caller"], 5000))
    tracked.write_text("7\n")
    assert host.translates((EDGE["caller"], PORT), (PEERS["caller"], 5000))


def test_kernel_without_ipsec_and_conntrack_has_no_obstacle(namespaces, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(host_module, "_NETLINK_XFRM", 31)
    monkeypatch.setattr(host_module, "_NETLINK_NETFILTER", 31)
    monkeypatch.setattr(host_module, "_TRACKED", Path("/nowhere"))
    with namespaces.inside("edge"):
        routes = Netlink()
        host = Host(routes)
    namespaces.ip("edge", "xfrm", "policy", "add", *POLICY)
    assert host.obstacle() is None
    assert host.changes() is None
    assert not host.translates((EDGE["caller"], PORT), (PEERS["caller"], 5000))
    host.close()
    routes.close()
