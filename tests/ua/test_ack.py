"""The ACK for a 2xx: routed once, identical when repeated, reported when sent (RFC 3261 §13.2.2.4)."""

from __future__ import annotations

import asyncio

from proxy.sip.dialog import Dialog
from proxy.transport.flow import Flow, Target
from proxy.ua.ack import Acknowledgement
from tests.kit import messages
from tests.ua.user_agent import PEER, Peer, UserAgent

INVITE = messages.invite()


async def acknowledgement(ua: UserAgent, contact: str, sent: list[Flow]) -> Acknowledgement:
    """An ACK not yet sent; the peer's Contact is `contact`, and `sent` records the flows it leaves on."""
    flow = await ua.network.connect(Target("udp", (PEER, 5060), PEER))
    dialog = Dialog.as_uac(INVITE, messages.ok(INVITE, contact=contact))
    return Acknowledgement(ua.core, dialog, INVITE, flow, sent.append)


async def test_the_ack_is_sent_on_the_given_flow_and_reported_once_though_sent_twice(ua: UserAgent) -> None:
    sent: list[Flow] = []
    ack = await acknowledgement(ua, f"<sip:bob@{PEER}:5060>", sent)
    ack.send()
    ack.send()
    await asyncio.sleep(1)
    assert len(sent) == 1
    first, second = ua.peer.all("ACK")
    assert first == second


async def test_the_target_of_the_ack_is_resolved_only_once(ua: UserAgent) -> None:
    other = Peer(ua.wire, "192.0.2.7", names=("pbx.example.com",))
    await other.start()
    sent: list[Flow] = []
    ack = await acknowledgement(ua, "<sip:bob@pbx.example.com>", sent)
    for _ in range(3):
        ack.send()
    await asyncio.sleep(1)
    assert [flow.remote[0] for flow in sent] == ["192.0.2.7"]
    assert (other.count("ACK"), ua.peer.count("ACK")) == (1, 0)


async def test_the_ack_goes_on_the_flow_of_the_invite_if_its_target_cannot_be_resolved(ua: UserAgent) -> None:
    sent: list[Flow] = []
    (await acknowledgement(ua, "<sip:bob@nowhere.example.com>", sent)).send()
    await asyncio.sleep(1)
    assert (len(sent), ua.peer.count("ACK")) == (1, 1)


async def test_the_ack_is_reported_even_if_sending_it_failed(ua: UserAgent) -> None:
    sent: list[Flow] = []
    ack = await acknowledgement(ua, f"<sip:bob@{PEER}:5060>", sent)
    await ua.network.close()
    ack.send()
    await asyncio.sleep(1)
    assert len(sent) == 1


async def test_an_ack_on_a_new_connection_uses_the_tls_profile_of_its_trunk(ua: UserAgent) -> None:
    """A trunk's own authorities and certificate apply to every connection to it, not only to the first."""
    pbx = Peer(ua.wire, "192.0.2.7", transport="tls")
    await pbx.start()
    flow = await ua.network.connect(Target("tls", ("192.0.2.7", 5061), "192.0.2.7", "trunk one"))
    ua.wire.cut(flow)
    dialog = Dialog.as_uac(INVITE, messages.ok(INVITE, contact="<sip:bob@192.0.2.7:5061>"))
    Acknowledgement(ua.core, dialog, INVITE, flow, lambda flow: None, profile="trunk one").send()
    await pbx.hears("ACK")
    assert {target.profile for target in ua.network._made} == {"trunk one"}
