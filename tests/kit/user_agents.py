"""Scripted peers for the tests of the lab, each on an in-memory host of its own."""

from __future__ import annotations

from proxy.lab.carrier import Carrier
from proxy.lab.message_templates import PHONE_SDP, sdp
from proxy.lab.peer import AUTO, Peer
from proxy.lab.peer_call import PeerCall
from proxy.sip.message import Request
from proxy.sip.uri import Uri
from tests.kit.network import Wire

PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}
EDGE, CARRIER, OPENAI, PHONE = "203.0.113.10", "198.51.100.114", "203.0.113.50", "203.0.113.70"
NAMES = {EDGE: "sbc.example.com", OPENAI: "sip.api.openai.com"}
OFFER = sdp(PHONE_SDP)


class Voice:
    """An audio port that only notes how it is called."""

    def __init__(self) -> None:
        self.told = []

    def sdp(self):
        return sdp(
            "v=0\no=- 1 1 IN IP4 192.0.2.200\ns=-\nc=IN IP4 192.0.2.200\nt=0 0\nm=audio 7000 RTP/AVP 0\n"
        )

    def start(self, remote, payload_type):
        self.told.append((remote, payload_type))

    def secure(self, ours: bytes, theirs: bytes) -> None:
        self.agreed = ours, theirs

    def stop(self):
        self.told.append("silent")


async def peer(wire, kind, host, transport="udp", **options):
    network = wire.host(host, [NAMES[host]] if host in NAMES else [])
    made = kind(network=network, bind=(host, PORTS[transport]), transport=transport, **options)
    await made.start()
    return made


async def plain(wire, host=EDGE, transport="udp", **options):
    """A well-behaved user agent in place of the edge."""
    return await peer(wire, Peer, host, transport, name="edge", public_host=NAMES[host], **options)


async def carrier_and_edge(transport="udp", wire=None, *, edge_auto=AUTO, **options):
    wire = wire or Wire()
    edge = await plain(wire, transport=transport, auto=edge_auto)
    carrier = await peer(
        wire, Carrier, CARRIER, transport, edge=f"sbc.example.com:{PORTS[transport]}", **options
    )
    return carrier, edge


async def calls(edge: Peer, uri: str, *, headers=(), body=OFFER, call_id=None) -> PeerCall:
    """Have the plain user agent send an INVITE."""
    contact = f"<{edge.uri('edge')}>"
    flow = await edge.flow_to(Uri.parse(uri))
    local = f"<sip:edge@sbc.example.com>;tag={edge.ids.tag()}"
    call = PeerCall(
        edge, call_id or edge.ids.call_id(), flow, local, f"<{uri}>", contact, target=uri, sdp=body
    )
    edge.calls[call.call_id] = edge.call = call
    await call.launch(call.request("INVITE", body=body, headers=headers))
    return call


def routes_of(invite: Request) -> list[tuple[str, str]]:
    return [("Route", value) for value in invite.headers.split("Record-Route")]
