"""The SIP side of the simulated OpenAI: answer, REFER, and the INVITEs it objects to."""

import asyncio

import pytest

from proxy.lab.carrier import Carrier
from proxy.lab.openai_sip import AgentCall, OpenAiSip, ReferFailed
from proxy.lab.peer_call import PeerCall
from proxy.sip.sipfrag import sipfrag
from proxy.sip.uri import Uri
from tests.kit.network import Wire
from tests.kit.user_agents import CARRIER, OPENAI, calls, peer, plain

pytestmark = pytest.mark.virtual


async def agent_and_edge(wire=None, **options):
    wire = wire or Wire()
    edge = await plain(wire, transport="tls")
    agent = await peer(wire, OpenAiSip, OPENAI, "tls", public_host="sip.api.openai.com", **options)
    return agent, edge, wire


PROJECT = "sip:proj_XXXX@sip.api.openai.com:5061;transport=tls"


@pytest.mark.parametrize("new_connection", [False, True])
async def test_the_agents_200_has_only_the_mandatory_headers_and_its_refer_is_accepted(new_connection):
    agent, edge, wire = await agent_and_edge()
    call = await calls(edge, PROJECT)
    await agent.answers()
    answer = await call.receives(200)
    assert answer.contact.raw_uri == "sip:OAI@sip.api.openai.com:5061"
    assert [name for name, _ in answer.headers] == [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "Content-Type",
        "Content-Length",
    ]
    referring = asyncio.ensure_future(agent.refers("tel:+15550100", new_connection=new_connection))
    refer = await call.receives("REFER")
    assert refer.headers.get("Refer-To") == "<tel:+15550100>"
    assert refer.uri == "sip:edge@sbc.example.com:5061;transport=tls"
    assert len(wire.flows()) == 1 + new_connection
    edge.responds(refer, 202)
    assert (await referring).status == 202
    fragment = [("Content-Type", "message/sipfrag"), ("Event", "refer")]
    for status in (100, 486):
        await call.requests("NOTIFY", body=sipfrag(status), headers=fragment)
    await agent.receives("NOTIFY", sipfrag=486, event="refer")
    await agent.hangs_up()
    await call.receives("BYE")
    assert agent.faults == edge.faults == []


async def test_a_refer_opens_a_new_connection_if_the_old_one_was_reset():
    agent, edge, wire = await agent_and_edge()
    call = await calls(edge, PROJECT)
    await agent.answers()
    await call.receives(200)
    await agent.receives("ACK")
    wire.cut(wire.flows()[0])
    referring = asyncio.ensure_future(agent.refers("tel:+15550100"))
    edge.responds(await call.receives("REFER"), 603)
    assert (await referring).status == 603
    assert agent.losses == edge.losses == ["connection reset by peer"]


async def test_the_api_controls_a_call_by_answer_refer_reject_and_hangup():
    arrived, over = [], []
    _, edge, _ = await agent_and_edge(on_invite=arrived.append, content_type=False)
    call = await calls(edge, PROJECT, headers=[("X-Screendoor-Token", "t")])
    await call.receives(180)
    side: AgentCall = arrived[0]
    side.on_over(lambda: over.append("over"))
    assert ("X-Screendoor-Token", "t") in side.headers
    await side.answer()
    assert (await call.receives(200)).headers.get("Content-Type") is None
    referring = asyncio.ensure_future(side.refer("sip:alice@example.com"))
    edge.responds(await call.receives("REFER"), 403)
    with pytest.raises(ReferFailed, match="403 Forbidden"):
        await referring
    await side.reject(603)
    await side.hangup()
    await side.hangup()
    await side.answer()
    await call.receives("BYE")
    assert over == ["over"]

    call = await calls(edge, PROJECT)
    await call.receives(180)
    arrived[1].on_over(lambda: over.append("cancelled"))
    await call.cancels()
    await call.receives(487)
    assert over == ["over", "cancelled"]

    call = await calls(edge, PROJECT)
    await call.receives(180)
    await arrived[2].reject(486)
    await call.receives(486)


async def test_the_agent_reports_an_invite_with_headers_openai_must_not_get():
    wire = Wire()
    agent = await peer(wire, OpenAiSip, OPENAI, "tls")
    carrier = await peer(wire, Carrier, CARRIER, "tls", edge="203.0.113.50:5061")
    await carrier.invites()
    await agent.rejects(503)
    await carrier.receives(503)
    seen = "\n".join(agent.faults)
    for fault in ("INVITE has 2 Vias", "INVITE has a Record-Route", "INVITE has a Allow-Events",
                  "brings '192.0.2.13'", "brings 'swrad'", "brings 'SignalWire'"):  # fmt: skip
        assert fault in seen


@pytest.mark.parametrize(("contact", "fault"), [
    ("<sip:a@b;transport=tls;transport=tls>", "names 2 transports"),
    ("<sip:a@b>", "names 0 transports"),
    ("<sip:a@b;transport=tcp>", "is not for tls"),
])  # fmt: skip
async def test_the_agent_reports_a_contact_that_openai_would_reject(contact, fault):
    agent, edge, _ = await agent_and_edge()
    flow = await edge.flow_to(Uri.parse(PROJECT))
    call = PeerCall(edge, "c", flow, "<sip:e@x>;tag=1", "<sip:p@x>", contact, target=PROJECT)
    edge.calls["c"] = call
    await call.launch(call.request("INVITE"))
    await agent.rejects(403)
    assert agent.faults == [f"Contact {contact} {fault}"]
    twice = f"{contact}, {contact}"
    call = PeerCall(edge, "d", flow, "<sip:e@x>;tag=1", "<sip:p@x>", twice, target=PROJECT)
    edge.calls["d"] = call
    await call.launch(call.request("INVITE"))
    await agent.rejects(403)
    assert agent.faults[1:] == ["INVITE has 2 Contacts"]


async def test_a_plain_sip_agent_over_udp_needs_no_transport_in_the_contact():
    wire = Wire()
    edge, agent = await plain(wire), await peer(wire, OpenAiSip, OPENAI, "udp")
    call = await calls(edge, f"sip:agent@{OPENAI}")
    await agent.answers()
    await call.receives(200)
    assert agent.faults == []
