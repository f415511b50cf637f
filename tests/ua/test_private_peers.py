"""Private peers: which peers see our address in the private network, in Via and Contact."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.sip.headers import Headers
from proxy.sip.message import Request
from proxy.ua import private_peers
from proxy.ua.advertised import Advertised
from proxy.ua.errors import Rejected
from proxy.ua.private_peers import PrivatePeer, PrivatePeers
from proxy.ua.uac import Outgoing
from tests.kit import messages
from tests.ua.user_agent import EDGE, Peer, UserAgent

PHONE, HERE, PUBLIC = "192.168.1.20", "192.168.1.10", "203.0.113.10"


def a_flow(host: str = PHONE, transport: str = "udp", local: str = "0.0.0.0") -> Any:
    return SimpleNamespace(transport=transport, remote=(host, 5060), local=(local, 5060))


def a_request(*vias: str, method: str = "REGISTER") -> Request:
    headers = Headers(("Via", f"SIP/2.0/UDP {via};branch=z9hG4bK{n}") for n, via in enumerate(vias))
    return Request(method, f"sip:{PUBLIC}", headers)


def advertised_with_private_peers() -> Advertised:
    """Our advertised address, with a private address towards the phone and Docker's bridge."""
    private_peers = PrivatePeers({PHONE: HERE, "172.17.0.1": "172.17.0.2"}.get)
    return Advertised("sbc.example.com", {"udp": 5060, "tcp": 5062, "tls": 5061}, private_peers=private_peers)


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_phone_in_the_private_network_gets_our_private_address(method: str) -> None:
    advertised = advertised_with_private_peers()
    advertised.learn(a_request(f"{PHONE}:5060", method=method), a_flow())
    assert advertised.private_peer(a_flow()) == PrivatePeer(PHONE, HERE)
    assert advertised.towards(a_flow()) == f"{HERE}:5060"
    assert advertised.towards(a_flow(transport="tcp")) == f"{HERE}:5062"
    assert advertised.towards(a_flow("198.51.100.7")) == "sbc.example.com:5060"


def test_over_tls_the_advertised_host_name_is_kept() -> None:
    advertised = advertised_with_private_peers()
    advertised.learn(a_request(PHONE), a_flow())
    assert advertised.towards(a_flow(transport="tls")) == "sbc.example.com:5061"


def test_a_request_relayed_by_dockers_bridge_is_not_a_private_peer() -> None:
    advertised = advertised_with_private_peers()
    advertised.learn(a_request("198.51.100.7:5060"), a_flow("172.17.0.1"))
    assert advertised.private_peer(a_flow("172.17.0.1")) is None


@pytest.mark.parametrize("vias", [(PHONE, "198.51.100.7"), ("198.51.100.7",), (), ("192.168.1.20:x",)])
def test_a_later_request_relayed_by_a_proxy_ends_the_private_peer(vias: tuple[str, ...]) -> None:
    advertised = advertised_with_private_peers()
    advertised.learn(a_request(PHONE), a_flow())
    advertised.learn(a_request(*vias), a_flow())
    assert advertised.private_peer(a_flow()) is None


def test_an_options_does_not_make_a_private_peer() -> None:
    advertised = advertised_with_private_peers()
    advertised.learn(a_request(PHONE, method="OPTIONS"), a_flow())
    assert advertised.private_peer(a_flow()) is None


def test_a_listener_bound_to_another_address_has_no_private_peer() -> None:
    advertised = advertised_with_private_peers()
    advertised.learn(a_request(PHONE), a_flow(local="192.168.2.10"))
    assert advertised.private_peer(a_flow()) is None
    advertised.learn(a_request(PHONE), a_flow(local=HERE))
    assert advertised.private_peer(a_flow()) is not None


def test_without_private_peers_the_public_address_is_always_advertised() -> None:
    advertised = Advertised(PUBLIC, {"udp": 5060})
    advertised.learn(a_request(PHONE), a_flow())
    assert advertised.towards(a_flow()) == f"{PUBLIC}:5060"


def test_the_number_of_private_peers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_peers, "MAX_PEERS", 2)
    peers = PrivatePeers(lambda peer: HERE)
    for n in range(5):
        host = f"192.168.1.{20 + n}"
        peers.learn(a_request(host), a_flow(host))
        assert peers.of(a_flow(host)) is not None
    assert peers.of(a_flow(PHONE)) is None


async def test_calls_from_and_to_a_private_peer_use_our_private_address(ua: UserAgent) -> None:
    ua.core.advertised = Advertised(
        "sbc.example.com", {"udp": 5060}, private_peers=PrivatePeers(lambda peer: EDGE)
    )
    peer = Peer(ua.wire, PHONE)
    await peer.start()
    call = messages.invite(sent_by=PHONE)
    leg, answer = await ua.answered_leg(call, peer)
    assert answer.contact.uri.host == EDGE
    assert leg.media.near == (PHONE, EDGE)
    outwards = ua.leg("agent")
    task = asyncio.ensure_future(outwards.invite(Outgoing(f"sip:bob@{PHONE}", "<sip:us@sbc.example.com>")))
    invite = await peer.hears("INVITE")
    assert (invite.via.host, invite.contact.uri.host) == (EDGE, EDGE)
    assert outwards.media.near == (PHONE, EDGE)
    peer.answers(invite, 486)
    with pytest.raises(Rejected):
        await task
    await peer.says(messages.bye(call, to_tag=answer.to_tag or ""))
    await peer.hears(200)
    await ua.assert_clean()


def test_a_registrar_in_the_private_network_gets_our_private_address() -> None:
    advertised = advertised_with_private_peers()
    assert advertised.towards(a_flow(), registrar=True) == f"{HERE}:5060"
    assert advertised.towards(a_flow()) == "sbc.example.com:5060"
    assert advertised.towards(a_flow("198.51.100.7"), registrar=True) == "sbc.example.com:5060"
    assert Advertised(PUBLIC, {"udp": 5060}).towards(a_flow(), registrar=True) == f"{PUBLIC}:5060"
