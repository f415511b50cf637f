"""The lab's carrier: calls, holds and CANCEL, and what it reports against RFC 3261."""

import asyncio

import pytest

from tests.kit.network import Wire
from tests.kit.user_agents import OFFER, Voice, carrier_and_edge, routes_of

pytestmark = pytest.mark.virtual


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_carrier_call_is_answered_held_and_hung_up(transport):
    voice = Voice()
    carrier, edge = await carrier_and_edge(transport, audio=voice)
    await carrier.invites(headers=[("X-Trunk", "1")])
    invite = await edge.receives("INVITE")
    assert invite.headers.get("X-Trunk") == "1"
    assert [via.transport for via in invite.vias] == [transport.upper(), "TLS"]
    assert b"c=IN IP4 192.0.2.200\r\n" in invite.body
    assert b"m=audio 7000 RTP/AVP 0 8 101" in invite.body
    edge.responds(invite, 180)
    edge.responds(invite, 200, sdp=OFFER)
    assert (await carrier.receives(200)).reason == "OK"
    await edge.receives("ACK")
    assert voice.told == [(("192.0.2.77", 31000), 0)]

    edge.current.peer.auto.add("INVITE")
    held = await carrier.reinvites(hold=True)
    assert held.status == 200
    again = await edge.receives("INVITE", sdp="a=sendonly")
    assert again.cseq.number == invite.cseq.number + 1
    assert (await carrier.reinvites(hold=False)).status == 200
    await edge.receives("INVITE", sdp="a=sendrecv")
    assert (await carrier.hangs_up()).status == 200
    await edge.receives("BYE")
    assert voice.told[-1] == "silent"
    assert carrier.faults == edge.faults == []
    assert carrier.current.resending == edge.current.resending == 0


async def test_the_carrier_reports_a_bye_with_its_route_set_in_wrong_order():
    carrier, edge = await carrier_and_edge()
    await carrier.invites()
    invite = await edge.receives("INVITE")
    edge.responds(invite, 200, sdp=OFFER)
    await carrier.receives(200)
    bye = await edge.requests("BYE", headers=routes_of(invite)[::-1])
    assert bye.status == 200
    [fault] = carrier.faults
    assert "BYE carries the routes" in fault


async def test_the_carrier_accepts_a_bye_with_the_right_route_set():
    carrier, edge = await carrier_and_edge()
    await carrier.invites()
    invite = await edge.receives("INVITE")
    edge.responds(invite, 200, sdp=OFFER)
    await carrier.receives(200)
    assert (await edge.requests("BYE", headers=routes_of(invite))).status == 200
    await carrier.receives("BYE")
    assert carrier.faults == []
    assert carrier.current.over


async def test_the_carrier_reports_a_request_not_addressed_to_its_contact():
    carrier, edge = await carrier_and_edge()
    await carrier.invites()
    invite = await edge.receives("INVITE")
    edge.responds(invite, 200, sdp=OFFER)
    await carrier.receives(200)
    edge.current.target = "sip:mod_sofia@192.0.2.13:35181;swrad=192.0.2.13~36607~3;transport=tls"
    await edge.requests("BYE", headers=routes_of(invite))
    assert [fault for fault in carrier.faults if "is addressed to" in fault]


async def test_the_carrier_reports_missing_vias_and_record_routes_in_responses():
    carrier, edge = await carrier_and_edge()
    await carrier.invites()
    invite = await edge.receives("INVITE")
    answer = invite.reply(200, to_tag="edge", body=OFFER, content_type="application/sdp")
    answer.headers.remove("Record-Route")
    answer.headers.set("Via", invite.headers.split("Via")[0])
    answer.headers.add("Contact", "<sip:edge@sbc.example.com>")
    edge.current.replies(invite, answer)
    await carrier.receives(200)
    assert [fault.split(" ", 3)[3] for fault in carrier.faults] == [
        f"changed our Vias: {answer.headers.split('Via')}",
        "does not bring back our Record-Routes (RFC 3261 §12.1.1)",
    ]


async def test_a_carrier_cancels_and_gets_487():
    carrier, edge = await carrier_and_edge()
    await carrier.invites()
    invite = await edge.receives("INVITE")
    edge.responds(invite, 180)
    await carrier.receives(180)
    assert (await carrier.cancels()).status == 200
    await carrier.receives(487)
    await edge.receives("CANCEL")
    await edge.receives("ACK")
    assert carrier.current.over
    assert edge.current.over
    assert carrier.faults == edge.faults == []


async def test_a_200_to_the_carriers_invite_without_offer_is_retransmitted_until_its_late_ack():
    wire = Wire()
    carrier, edge = await carrier_and_edge("tcp", wire)
    carrier.auto.discard("ACK")
    await carrier.invites(body=b"")
    invite = await edge.receives("INVITE")
    assert invite.content_type is None
    edge.responds(invite, 200, sdp=OFFER)
    await carrier.receives(200)
    await asyncio.sleep(4)
    carrier.acks()
    await edge.receives("ACK")
    oks = [sent for sent in wire.trace if sent.start_line == "SIP/2.0 200 OK"]
    assert [round(sent.at - oks[0].at, 3) for sent in oks] == [0.0, 0.5, 1.5, 3.5]
