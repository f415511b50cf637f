"""Unknown sources get no answer at all, whatever they send (no amplification)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.transport.flow import Target
from tests.kit import messages
from tests.kit.edge import CARRIER, EDGE, HOST, STRANGER, Edge

METHODS = (
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "REFER", "NOTIFY", "SUBSCRIBE", "UPDATE",
    "PRACK", "INFO", "MESSAGE", "PUBLISH", "FOO",
)  # fmt: skip
GUESSED = {"to_tag": "guess", "call_id": "guess"}


def everything() -> list[bytes]:
    """One message of each kind that a stranger might send, as bytes."""
    sent_by = f"{STRANGER}:5060"
    requests = [messages.request(method, sent_by=sent_by) for method in METHODS]
    requests += [messages.request(method, sent_by=sent_by, **GUESSED) for method in METHODS]
    requests += [
        messages.invite(uri, sent_by=sent_by)
        for uri in (
            "sip:+14155551234@sbc.example.com",
            "tel:+14155551234",
            "urn:service:sos",
            "http://x",
            "sip:911@h",
        )
    ]
    requests += [
        messages.invite(sent_by=CARRIER),
        messages.invite(sent_by=f"{HOST}:5060"),
        messages.invite(sent_by=sent_by, headers=[("Require", "100rel, gruu"), ("Proxy-Require", "x")]),
        messages.invite(sent_by=sent_by, headers=[("Authorization", 'Digest username="a"')]),
        messages.invite(sent_by=sent_by, content_type="text/plain"),
        messages.request("OPTIONS", sent_by=sent_by, headers=[("User-Agent", "friendly-scanner")]),
    ]
    whole = [request.encode() for request in requests]
    invite = messages.invite(sent_by=sent_by).encode()
    whole += [
        messages.trying(messages.invite()).encode(),
        messages.ok(messages.invite()).encode(),
        invite.replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1),
        invite.replace(b"CSeq: 1", b"CSeq: x"),
        invite.replace(b"Call-ID", b"No-ID"),
        invite.replace(b"INVITE sip:", b"INVITE  sip:", 1),
        invite.replace(b"Content-Length: ", b"Content-Length: 9999"),
        invite.replace(b"\r\n\r\n", b"\r\n" + b"X: 1\r\n" * 300 + b"\r\n", 1),
        b"\x00" * 100, b"\xff\xfe", b"hello", b"GET / HTTP/1.0\r\n\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n\r\n",
        b"\x16\x03\x01",
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"\x00" * 12,  # STUN
    ]  # fmt: skip
    return whole


@pytest.mark.parametrize("live", [False, True], ids=["no call", "a call going on"])
async def test_no_udp_message_from_an_unknown_source_is_answered(edge: Edge, live: bool) -> None:
    edge.gate._bans._for_s = 0.0  # this test is about not answering, not about the ban
    if live:
        await edge.connects()
    wire = edge.wire
    for data in everything():
        wire.after(0.001, lambda data=data: edge.host.datagram((STRANGER, 5060), (EDGE, 5060), data))
        await asyncio.sleep(0.01)
    await edge.time_passes(40)
    assert [one for one in [*wire.trace, *wire.lost] if one.destination[0] == STRANGER] == []
    if live:
        await edge.carrier.hangs_up()
        await edge.assert_clean()
    else:
        assert not any(edge.core.left_over().values())


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_no_message_from_an_unknown_source_over_tcp_or_tls_is_answered(
    edge: Edge, transport: str
) -> None:
    edge.gate._bans._for_s = 0.0
    stranger = edge.wire.host(STRANGER)
    port = 5061 if transport == "tls" else 5060

    class Ear:
        def __init__(self):
            self.heard = []

        def welcomes(self, flow):
            return True

        def bars(self, flow):
            return False

        def received(self, flow, data):
            self.heard.append(data)

        def lost(self, flow, error):
            pass

    ear = Ear()
    stranger.start(ear)
    for data in everything():
        flow = await stranger.connect(Target(transport, (EDGE, port), HOST))
        flow.send(data)
    await edge.time_passes(40)
    assert ear.heard == []
