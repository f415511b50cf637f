"""What crosses from one leg to another, seen on the wire; and what each peer may do to its own messages."""

from __future__ import annotations

import re

import pytest

from proxy.call.border import Identity, towards_agent, towards_phone
from proxy.call.outcome import Result
from proxy.call.routing import Agent, Destination, Trunk
from proxy.lab.shapes import CARRIER_MARKS
from proxy.sip.message import Request, Response
from tests.kit.edge import CARRIER, EDGE, HOST, OPENAI, PHONE_NUMBER, Edge, NewEdge, story
from tests.kit.messages import invite

BORDER = {
    "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Allow", "Supported",
    "Session-Expires", "Min-SE",
    "X-Screendoor-Token", "Content-Type", "Content-Length",
}  # fmt: skip
"""Every header that an INVITE to the agent may have."""


def received(peer, method: str) -> list[Request]:
    """The requests of a method that a peer received."""
    messages = [each.message for each in peer.trace if each.direction == "<"]
    return [each for each in messages if isinstance(each, Request) and each.method == method]


def origin(sdp: bytes) -> tuple[str, str, str]:
    """Of the o= line: its id, its version, its address."""
    match = re.search(rb"^o=\S+ (\d+) (\d+) IN IP4 (\S+)\r$", sdp, re.MULTILINE)
    assert match is not None
    return match[1].decode(), match[2].decode(), match[3].decode()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_nothing_of_the_carrier_reaches_the_agent(new_edge: NewEdge, transport: str) -> None:
    async with new_edge(transport=transport, audio=False) as edge:
        theirs = [("X-Account", "secret"), ("P-Asserted-Identity", "<sip:a@192.0.2.13>")]
        await edge.carrier.invites(headers=theirs)
        request = await edge.agent.receives("INVITE")
        assert len(request.headers.split("Via")) == 1
        assert request.via.transport == "TLS"
        assert request.routes == request.record_routes == []
        [contact] = request.headers.split("Contact")
        assert re.fullmatch(rf"<sip:\w+@{HOST}:5061;transport=tls>", contact)
        assert {name for name, _ in request.headers} <= BORDER
        assert request.headers.get("X-Screendoor-Token") == "t0ken"
        assert request.headers.get("Session-Expires") == "1800"  # the carrier's is 600
        text = request.encode().decode()
        assert not [mark for mark in (*CARRIER_MARKS, CARRIER, "192.0.2.13", "secret") if mark in text]
        assert origin(request.body)[2] == EDGE
        assert f"c=IN IP4 {EDGE}\r\n".encode() in request.body
        assert f"sip:+13475550148@{HOST}" in request.headers.get("From")
        assert (request.to.uri.port, request.to.uri.transport) == (None, None)  # RFC 3261 §19.1.1
        await edge.carrier.cancels()
        await edge.assert_clean()


async def test_nothing_of_the_carrier_reaches_the_phone_nor_the_other_way_round(edge: Edge) -> None:
    await edge.bridges()
    [_, request] = received(edge.phone, "INVITE")
    assert len(request.headers.split("Via")) == len(request.headers.split("Contact")) == 1
    assert {name for name, _ in request.headers} <= BORDER - {"X-Screendoor-Token"} | {"Proxy-Authorization"}
    text = request.encode().decode()
    assert not [mark for mark in (*CARRIER_MARKS, CARRIER, OPENAI, "openai") if mark in text]
    assert request.from_.display == "Ann Caller"
    assert str(request.from_.uri) == "sip:+14155550100@trunk.example.com"
    for each in edge.wire.trace:
        if each.destination[0] == CARRIER:
            foreign = (b"192.0.2.77", b"openai", OPENAI.encode(), b"OAI")
            assert not [mark for mark in foreign if mark in each.data]
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_our_descriptions_keep_one_origin_per_leg_rfc3264_8(edge: Edge) -> None:
    await edge.bridges()
    before = origin((await edge.carrier.reinvites()).body)
    held = origin((await edge.carrier.reinvites(hold=True)).body)
    back = origin((await edge.carrier.reinvites(hold=False)).body)
    assert before[0] == held[0] == back[0]
    assert int(held[1]) == int(before[1]) + 1
    assert int(back[1]) == int(held[1]) + 1
    call = edge.carrier.current
    answer = next(
        each.message for each in call.trace
        if each.direction == "<" and isinstance(each.message, Response) and each.message.status == 200
    )  # fmt: skip
    assert origin(answer.body) == before
    legs = {origin(answer.body)[0], *(origin(each.body)[0] for each in received(edge.phone, "INVITE")),
            *(origin(each.body)[0] for each in received(edge.agent, "INVITE"))}  # fmt: skip
    assert len(legs) == 3
    await edge.carrier.hangs_up()
    await edge.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_the_carriers_route_set_is_followed_exactly_rfc3261_12_2_1_1(
    new_edge: NewEdge, transport: str
) -> None:
    async with new_edge(transport=transport, audio=False) as edge:
        await edge.bridges()
        await edge.phone.hangs_up()
        bye = await edge.carrier.receives("BYE")
        routes = edge.carrier.current.invite.headers.split("Record-Route")
        assert len(routes) == 2
        assert all("r2=on" in route for route in routes)
        assert bye.headers.split("Route") == routes
        assert bye.uri == "sip:mod_sofia@192.0.2.13:35181;transport=tls;swrad=192.0.2.13~36607~3"
        await edge.assert_clean()


async def test_an_answer_without_content_type_works(edge: Edge) -> None:
    edge.agent.content_type = False
    await edge.bridges()
    await edge.carrier.hangs_up()
    assert story(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_an_answer_with_its_parameters_in_another_order_works(edge: Edge) -> None:
    """OpenAI has been seen to turn round the parameters of our Via and From."""
    await edge.carrier.invites()
    call = await edge.agent.invited()
    via = call.invite.via
    turned = ";".join([f"SIP/2.0/TLS {via.sent_by}", *reversed(str(via).split(";")[1:])])
    assert turned != str(via)
    call.invite.headers.set("Via", turned)
    call.invite.headers.set("From", call.invite.headers.get("From").replace(";tag=", ";x=1;tag="))
    await edge.agent.answers()
    await edge.carrier.receives(200)
    assert (await edge.agent.refers(f"tel:{PHONE_NUMBER}")).status == 202
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    assert story(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    await edge.assert_clean()


async def test_a_contact_without_transport_is_reached_on_the_flow_of_its_dialog(edge: Edge) -> None:
    await edge.bridges()
    call = edge.agent.current
    assert "transport" not in call.contact
    [bye] = received(edge.agent, "BYE")
    assert bye.uri == call.contact.strip("<>")
    assert {each.transport for each in edge.wire.trace if each.destination[0] == OPENAI} == {"tls"}
    await edge.carrier.hangs_up()
    await edge.assert_clean()


# The list itself.

AGENT = Agent("openai", "sip:proj_X@sip.api.openai.com:5061;transport=tls")


@pytest.mark.parametrize(
    ("sender", "number", "name"),
    [
        ('"Ann Caller" <sip:+13475550148@a.example>', "+13475550148", "Ann Caller"),
        ("<sip:+1-347-555-0148@a.example>", "+13475550148", None),
        ("<sip:3475550148@a.example>", "3475550148", None),
        ("<tel:+13475550148>", "+13475550148", None),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', None, None),
        ("<sip:a.example>", None, None),
        ('"Alice" <sip:alice@a.example>', None, "Alice"),
        ('"a\\"b\\\\c" <sip:+13475550148@a.example>', "+13475550148", "abc"),
        (f'"{"x" * 99}" <sip:+13475550148@a.example>', "+13475550148", "x" * 64),
    ],
)
def test_of_from_a_number_and_a_name_are_known(sender: str, number: str | None, name: str | None) -> None:
    request = invite()
    request.headers.set("From", f"{sender};tag=1")
    assert Identity.of(request) == Identity(number, name, 69)


@pytest.mark.parametrize(("received", "sent"), [("61", 60), ("1", 0), (None, 70)])
def test_a_call_that_goes_round_in_circles_comes_to_an_end_rfc7332(received: str | None, sent: int) -> None:
    request = invite()
    request.headers.remove("Max-Forwards")
    if received is not None:
        request.headers.add("Max-Forwards", received)
    caller = Identity.of(request)
    assert towards_agent(caller, AGENT, {}, HOST).max_forwards == sent
    assert towards_phone(caller, Destination("sip:alice@192.0.2.9"), HOST).max_forwards == sent


def test_the_agent_is_called_as_the_caller_under_our_own_name() -> None:
    outgoing = towards_agent(Identity("+13475550148", "Ann"), AGENT, {"X-Screendoor-Token": "t"}, HOST)
    assert outgoing.uri == AGENT.uri
    assert outgoing.identity == f'"Ann" <sip:+13475550148@{HOST}>'
    assert outgoing.headers == (("X-Screendoor-Token", "t"),)
    assert towards_agent(Identity(None, None), AGENT, {}, HOST).identity == f"<sip:anonymous@{HOST}>"


def test_a_trunk_is_called_with_the_number_that_it_lets_us_show() -> None:
    trunk = Trunk("t", "sip:trunk.example.com", "user", "secret", "+14155550100")
    outgoing = towards_phone(Identity("+13475550148", None), Destination("sip:+1@t", "+1", trunk), HOST)
    assert outgoing.identity == '"+13475550148" <sip:+14155550100@trunk.example.com>'
    assert outgoing.credentials is not None
    bare = towards_phone(Identity(None, None), Destination("sip:+1@t", "+1", Trunk("t")), HOST)
    assert bare.identity == f'"anonymous" <sip:anonymous@{HOST}>'
    assert bare.credentials is None


def test_a_place_that_is_dialled_directly_is_called_as_the_caller() -> None:
    place = Destination("sip:alice@192.0.2.9")
    assert towards_phone(Identity("+1", "Ann"), place, HOST).identity == f'"Ann" <sip:+1@{HOST}>'
    assert towards_phone(Identity(None, None), place, HOST).identity == f'"anonymous" <sip:anonymous@{HOST}>'
