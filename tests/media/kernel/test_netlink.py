"""Netlink route look-ups and route-change notifications, in network namespaces."""

from collections.abc import Iterator

import pytest

from proxy.media.kernel.netlink import IpRoute, Netlink, changes
from tests.media.kernel.able import needs_kernel
from tests.media.kernel.namespaces import EDGE, EDGE6, PEERS, PEERS6, Namespaces

pytestmark = [pytest.mark.network, needs_kernel]


@pytest.fixture(scope="module")
def namespaces() -> Iterator[Namespaces]:
    with Namespaces("sdnl") as namespaces:
        yield namespaces


@pytest.fixture
def edge(namespaces) -> Iterator[Netlink]:
    with namespaces.inside("edge"):
        netlink = Netlink()
    yield netlink
    netlink.close()


def test_route_to_a_peer_has_its_interface_and_our_address(edge):
    for peers, ours in ((PEERS, EDGE), (PEERS6, EDGE6)):
        for who in ("caller", "phone"):
            route = edge.route(peers[who])
            assert route is not None
            assert (route.source, route.local) == (ours[who], False)
            assert edge.interfaces_of(ours[who]) == {route.interface}


def test_own_address_is_routed_through_loopback(edge):
    assert edge.route("127.0.0.1") == IpRoute(1, "127.0.0.1", True)
    assert edge.route(EDGE["caller"], "127.0.0.1") == IpRoute(1, "127.0.0.1", True)
    assert edge.route("::1") == IpRoute(1, "::1", True)


def test_no_route_and_blackhole_route_give_none(edge, namespaces):
    assert edge.route("203.0.113.77") is None
    namespaces.ip("edge", "route", "add", "blackhole", "203.0.113.0/24")
    assert edge.route("203.0.113.77") is None


def test_given_source_address_is_kept(edge):
    assert edge.route(PEERS["caller"], EDGE["phone"]).source == EDGE["phone"]


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
def test_route_depending_on_the_source_address_needs_the_source(edge, namespaces, six):
    ours, peer = (EDGE6 if six else EDGE)["phone"], (PEERS6 if six else PEERS)["phone"]
    version, far = ("-6", "2001:db8:9::7") if six else ("-4", "203.0.116.7")
    other = "2001:db8:2::66" if six else "198.51.100.66"
    namespaces.ip("edge", version, "route", "add", far, "via", peer)
    assert edge.route(far).source == ours
    namespaces.ip("edge", version, "rule", "add", "from", ours, "lookup", "100")
    namespaces.ip("edge", version, "route", "add", "default", "via", other, "dev", "phone", "table", "100")
    assert edge.route(far) is None  # via `peer` without a source address, via `other` from ours
    assert edge.route(far, ours).source == ours  # from our address, both are via `other`
    namespaces.ip("edge", version, "route", "replace", "default", "via", peer, "dev", "phone", "table", "100")
    assert edge.route(far).source == ours
    namespaces.ip("edge", version, "rule", "del", "from", ours, "lookup", "100")


def test_interfaces_without_ethernet_frames_are_excluded(edge, namespaces):
    before = edge.interfaces()
    assert len(before) == 3
    assert [index for index, loopback in before.items() if loopback] == [1]
    namespaces.ip("edge", "tuntap", "add", "dev", "tun9", "mode", "tun")
    assert edge.interfaces() == before
    namespaces.ip("edge", "link", "del", "tun9")


def test_route_change_is_notified(namespaces):
    with namespaces.inside("edge"):
        notifications = changes()
    with notifications:
        namespaces.ip("edge", "route", "add", "203.0.114.0/24", "via", PEERS["caller"])
        assert notifications.recv(65536)
