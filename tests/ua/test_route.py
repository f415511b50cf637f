"""Where in-dialog requests go (RFC 3261 §12.2.1.1, RFC 5626 §5.3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.transport.flow import Address, TransportFailed
from proxy.ua.response_route import response_target
from proxy.ua.route import dialog_flow, leads_to_next_hop, reach, verified_name
from tests.kit import messages
from tests.ua.user_agent import Peer, UserAgent


class AFlow:
    """A stand-in for a flow, which only has an address and a transport."""

    peer_name: str | None = None
    peer_names: frozenset[str] = frozenset()
    mutual = False

    def __init__(self, transport: str, remote: Address, closed: bool = False) -> None:
        self.transport, self.remote, self.closed = transport, remote, closed
        self.reliable = transport != "udp"
        self.local = ("203.0.113.10", 5060)

    def when_closed(self, then: Callable[[], None]) -> None: ...
    def send(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def fail(self, why: TransportFailed) -> None: ...


@pytest.mark.parametrize(
    ("transport", "remote", "closed", "next_hop", "expected"),
    [
        ("tls", ("8.8.8.8", 5061), False, "sip:x@elsewhere.example.com", True),
        ("tls", ("8.8.8.8", 5061), True, "sip:x@8.8.8.8:5061", False),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@8.8.8.8", True),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@8.8.8.8:5062", False),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@8.8.4.4", False),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@10.0.0.1:5071", True),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@100.64.0.1:5071", True),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@127.0.0.1:5071", False),
        ("udp", ("10.0.0.2", 5060), False, "sip:x@10.0.0.1", False),
        ("udp", ("8.8.8.8", 5060), False, "sip:x@pbx.example.com", False),
        ("udp", ("2001:db8::1", 5060), False, "sip:x@[2001:db8::1]:5060", True),
        ("udp", ("8.8.8.8", 5060), False, "tel:+14155550100", False),
    ],
)  # fmt: skip
def test_leads_to_next_hop_compares_transport_address_and_nat(
    transport: str, remote: Address, closed: bool, next_hop: str, expected: bool
) -> None:
    assert leads_to_next_hop(AFlow(transport, remote, closed), next_hop) is expected


@pytest.mark.parametrize(
    ("transport", "closed", "method", "kept", "moves"),
    [
        ("udp", False, "INVITE", False, True),
        ("udp", False, "UPDATE", True, True),
        ("udp", False, "BYE", False, False),
        ("tls", False, "INVITE", False, False),
        ("tls", False, "INVITE", True, True),
        ("tls", True, "NOTIFY", False, True),
    ],
)
def test_dialog_flow_moves_with_a_target_refresh_or_after_a_lost_connection(
    transport: str, closed: bool, method: str, kept: bool, moves: bool
) -> None:
    flow, came = AFlow(transport, ("8.8.8.8", 5060), closed), AFlow(transport, ("8.8.4.4", 5060))
    assert dialog_flow(flow, came, method, kept=kept) is (came if moves else flow)


async def test_the_transport_of_the_dialog_takes_precedence_over_that_of_the_uri(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    for uri in ("sip:x@192.0.2.7:5061", "sips:x@192.0.2.7", "sip:x@192.0.2.7:5061;transport=udp"):
        assert (await reach(ua.network, uri, "tls")).transport == "tls"


async def test_the_first_address_that_accepts_a_connection_is_used(ua: UserAgent) -> None:
    dead = Peer(ua.wire, "192.0.2.7", "tcp", names=("pbx.example.com",))
    alive = Peer(ua.wire, "192.0.2.8", "tcp", names=("pbx.example.com",))
    await alive.start()
    assert (await reach(ua.network, "sip:x@pbx.example.com;transport=tcp")).remote[0] == alive.address
    assert dead.heard == []
    with pytest.raises(TransportFailed):
        await reach(ua.network, "sip:x@192.0.2.7;transport=tcp")


async def test_the_preferred_address_is_tried_first_if_it_still_resolves(
    ua: UserAgent,
) -> None:
    first, second = (
        Peer(ua.wire, host, "tcp", names=("pbx.example.com",)) for host in ("192.0.2.7", "192.0.2.8")
    )
    await first.start()
    await second.start()
    for prefer, host in (("192.0.2.8", 5060), "192.0.2.8"), (("192.0.2.9", 5060), "192.0.2.7"):
        flow = await reach(ua.network, "sip:x@pbx.example.com;transport=tcp", prefer=prefer)
        assert flow.remote[0] == host


async def test_a_uri_without_a_host_raises_transport_failed(ua: UserAgent) -> None:
    with pytest.raises(TransportFailed):
        await reach(ua.network, "tel:+14155550100", "tls")
    with pytest.raises(TransportFailed):
        await reach(ua.network, "tel:+14155550100")


async def test_an_ip_address_in_a_route_over_tls_is_verified_against_the_peers_name_rfc5922_7_3(
    ua: UserAgent,
) -> None:
    """SignalWire's Record-Route over TLS is an address, and no certificate names it."""
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    flow = await reach(ua.network, "sip:192.0.2.7;lr", "tls", profile="trunk x", peer="sip.carrier.example")
    assert flow.peer_name == "sip.carrier.example"
    ua.wire.refuse_tls("sip.carrier.example")
    with pytest.raises(TransportFailed, match="not trusted"):
        await reach(ua.network, "sip:192.0.2.7;lr", "tls", peer="sip.carrier.example")
    named = Peer(ua.wire, "192.0.2.8", "tls", names=("edge.carrier.example",))
    await named.start()
    flow = await reach(ua.network, "sip:edge.carrier.example", "tls", peer="sip.carrier.example")
    assert flow.peer_name == "edge.carrier.example"


async def test_a_connection_is_shared_only_within_one_tls_profile(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    one = await reach(ua.network, "sip:192.0.2.7", "tls", profile="trunk one")
    assert await reach(ua.network, "sip:192.0.2.7", "tls", profile="trunk one") is one
    assert await reach(ua.network, "sip:192.0.2.7", "tls", profile="trunk two") is not one
    assert await reach(ua.network, "sip:192.0.2.7", "tls") is not one


def test_verified_name_is_the_requested_name_or_one_of_the_certificate() -> None:
    flow = AFlow("tls", ("192.0.2.7", 40000))
    assert verified_name(flow) is None
    flow.peer_names = frozenset(["b.example", "a.example"])
    assert verified_name(flow) == "a.example"
    flow.peer_name = "c.example"
    assert verified_name(flow) == "c.example"


def test_the_response_target_is_the_source_address_with_the_port_of_the_via_rfc3261_18_2_2() -> None:
    flow = AFlow("tls", ("192.0.2.7", 40000))
    request = messages.request("OPTIONS", sent_by="pbx.example.com:5071", transport="TLS")
    back = response_target(request, flow, "trunk x")
    assert (back.address, back.name, back.profile) == (("192.0.2.7", 5071), "pbx.example.com", "trunk x")
    request = messages.request("OPTIONS", sent_by="192.0.2.7", transport="TLS")
    flow.peer_names = frozenset(["sip.carrier.example"])
    back = response_target(request, flow, "")
    assert (back.address, back.name) == (("192.0.2.7", 5061), "sip.carrier.example")
