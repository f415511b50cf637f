"""Detection of rules, IPsec and NAT that rule out kernel forwarding, in a network namespace."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.media.kernel import host as asked
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


def say(namespaces: Namespaces, port: int = PORT, *, six: bool = False) -> None:
    """Send a packet from the edge to the caller."""
    with (
        namespaces.inside("edge"),
        socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as one,
    ):
        one.bind(("", port))
        one.sendto(b"x", ((PEERS6 if six else PEERS)["caller"], 5000))


def test_a_plain_machine_gives_no_reason_for_doubt(host):
    assert host.obstacle() is None


def test_a_table_for_a_source_is_plain_too_for_we_can_ask_for_it(host, namespaces):
    namespaces.ip("edge", "rule", "add", "from", EDGE["phone"], "lookup", "100")
    assert host.obstacle() is None


@pytest.mark.parametrize(
    "rule",
    ["fwmark 5", "ipproto udp sport 20000-30000", "oif phone", "uidrange 1000-1000"],
    ids=["mark", "ports", "interface", "user"],
)
@pytest.mark.parametrize("version", ["-4", "-6"])
def test_a_rule_that_goes_by_what_we_cannot_ask_for_is_one(host, namespaces, rule, version):
    namespaces.ip("edge", version, "rule", "add", *rule.split(), "lookup", "100")
    told = host.obstacle()
    assert told is not None
    assert told.startswith("a rule of routing goes by ")
    namespaces.ip("edge", version, "rule", "del", *rule.split(), "lookup", "100")
    assert host.obstacle() is None


def test_ipsec_is_one(host, namespaces):
    namespaces.ip("edge", "xfrm", "policy", "add", *POLICY)
    assert host.obstacle() == IPSEC
    namespaces.ip("edge", "xfrm", "policy", "flush")
    assert host.obstacle() is None


async def test_a_doubt_that_comes_and_goes_is_seen_while_calls_go_on(namespaces):
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
def test_what_leaves_under_another_address_is_known(host, namespaces, six):
    ours, peer = (EDGE6 if six else EDGE)["caller"], ((PEERS6 if six else PEERS)["caller"], 5000)
    say(namespaces, six=six)
    assert not host.translates((ours, PORT), peer)  # conntrack has no entry yet
    family, there = ("ip6", f"[{ours}]") if six else ("ip", ours)
    namespaces.nft(
        "edge",
        f"add table {family} t; add chain {family} t out {{ type nat hook postrouting priority 100; }}",
    )
    namespaces.nft("edge", f"add rule {family} t out udp sport {PORT + 2} snat to {there}:30000")
    say(namespaces, six=six)
    say(namespaces, PORT + 2, six=six)
    assert not host.translates((ours, PORT), peer)
    assert host.translates((ours, PORT + 2), peer)


def test_where_connections_are_tracked_and_nobody_tells_of_them_they_may_be_translated(
    host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tracked = tmp_path / "count"
    monkeypatch.setattr(asked, "_TRACKED", tracked)
    monkeypatch.setattr(asked, "_CT_GET", 1 << 8 | 0x7F)  # unknown request, as without nf_conntrack_netlink
    assert not host.translates((EDGE["caller"], PORT), (PEERS["caller"], 5000))
    tracked.write_text("0\n")
    assert not host.translates((EDGE["caller"], PORT), (PEERS["caller"], 5000))
    tracked.write_text("7\n")
    assert host.translates((EDGE["caller"], PORT), (PEERS["caller"], 5000))


def test_a_kernel_without_ipsec_and_tracking_has_neither(namespaces, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asked, "_NETLINK_XFRM", 31)
    monkeypatch.setattr(asked, "_NETLINK_NETFILTER", 31)
    monkeypatch.setattr(asked, "_TRACKED", Path("/nowhere"))
    with namespaces.inside("edge"):
        routes = Netlink()
        host = Host(routes)
    namespaces.ip("edge", "xfrm", "policy", "add", *POLICY)
    assert host.obstacle() is None
    assert host.changes() is None
    assert not host.translates((EDGE["caller"], PORT), (PEERS["caller"], 5000))
    host.close()
    routes.close()
