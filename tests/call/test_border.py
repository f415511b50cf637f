"""Topology hiding: what crosses from one leg to another, as seen on the wire (RFC 7092 B2BUA)."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from proxy.call.border import (
    NAMELESS,
    Identity,
    _asserted_parties,
    _diverted_from,
    _name,
    _printable,
    _withheld,
    towards_agent,
    towards_phone,
)
from proxy.call.identity_profile import IdentityProfile
from proxy.call.outcome import Result
from proxy.call.routing import Agent, Destination, Number, Trunk
from proxy.lab.message_templates import CARRIER_MARKS
from proxy.lab.peer_call import PeerCall
from proxy.sip.errors import ParseError
from proxy.sip.identity import has_only_from
from proxy.sip.message import Request, Response
from proxy.sip.uri import Uri
from proxy.sip.values import NameAddr
from tests.kit.edge import CARRIER, EDGE, HOST, OPENAI, PHONE_NUMBER, Edge, NewEdge, a_number, summary
from tests.kit.messages import invite

BORDER = {
    "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Allow", "Supported",
    "Session-Expires", "Min-SE",
    "X-Screendoor-Token", "Content-Type", "Content-Length",
}  # fmt: skip
"""Every header that an INVITE to the agent may carry."""


def received(peer, method: str) -> list[Request]:
    """The requests with this method that a peer received."""
    messages = [each.message for each in peer.trace if each.direction == "<"]
    return [each for each in messages if isinstance(each, Request) and each.method == method]


def origin(sdp: bytes) -> tuple[str, str, str]:
    """Session id, version and address of the o= line."""
    match = re.search(rb"^o=\S+ (\d+) (\d+) IN IP4 (\S+)\r$", sdp, re.MULTILINE)
    assert match is not None
    return match[1].decode(), match[2].decode(), match[3].decode()


@given(some.text('a"\\\\ \t\x00\u00e9\u200b\u2028\udcff') | some.text() | some.text(min_size=60))
@example("")
@example('"')
@example("\\\\")
@example("Zo\u00eb")
@example("a\u00a0b")
@example("\x7f")
def test_the_fast_path_for_display_names_gives_the_same_as_the_slow_one(shown: str) -> None:
    party = NameAddr(shown, Uri.parse("sip:+13475550148@carrier.example.com"))
    assert _name(party) == _printable(shown)[:64].strip()


@given(
    some.sampled_from(("<sip:a@b>", '"A >;tag=1" <sip:a@b;x=1>', "sip:a@b", '<sip:a@b>;x="1', "")),
    some.text(';tag=1> "x,', max_size=8) | some.sampled_from((";tag=1", ";tag=", ";tag=a;x", ";x;tag=1")),
)
def test_sender_parses_the_same_address_as_from_whatever_its_parameters(address: str, beside: str) -> None:
    request = invite()
    request.headers.set("From", address + beside)
    try:
        named = request.from_
    except ParseError:
        with pytest.raises(ParseError):
            _ = request.sender
        return
    sender = request.sender
    assert (sender.display, sender.uri, sender.raw_uri) == (named.display, named.uri, named.raw_uri)


SENDERS = ("+13475550148", "anonymous", "Anonymous", "restricted", "unavailable", "alice", "%2B13475550148")


@given(some.sampled_from(SENDERS) | some.from_regex(r"[a-z0-9+]{0,8}", fullmatch=True), some.booleans())
@example("", True)
@example("", False)
def test_the_fast_path_for_requests_with_only_from_gives_the_same_identity(user: str, trusted: bool) -> None:
    request = invite()
    request.headers.set("From", f'"Ann" <sip:{user + "@" if user else ""}carrier.example.com>;tag=1')
    sender = request.from_
    assert sender.display == "Ann"
    assert has_only_from(request.headers)
    assert (_asserted_parties(request), _diverted_from(request)) == ((), None)
    assert Identity.of(request, trusted=trusted).withheld is _withheld(request, sender, trusted)
    assert Identity.of(request, trusted=True) == Identity.of(request)


@pytest.mark.parametrize(
    "more",
    [
        ("P-Asserted-Identity", "<sip:+1@x>"),
        ("p-asserted-identity", "<sip:+1@x>"),
        ("Remote-Party-ID", "<sip:+1@x>;screen=yes"),
        ("Privacy", "id"),
        ("Diversion", "<sip:+1@x>"),
        ("History-Info", "<sip:+1@x>;index=1"),
    ],
)
def test_any_other_identity_header_disables_the_from_only_fast_path(more: tuple[str, str]) -> None:
    assert not has_only_from(invite(headers=[more]).headers)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_no_header_or_address_of_the_carrier_reaches_the_agent(
    new_edge: NewEdge, transport: str
) -> None:
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


async def test_no_header_or_address_of_one_peer_reaches_another(edge: Edge) -> None:
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


async def test_our_sdp_keeps_one_session_id_per_leg_and_increments_its_version_rfc3264_8(edge: Edge) -> None:
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


async def test_an_sdp_answer_without_content_type_is_accepted(edge: Edge) -> None:
    edge.agent.content_type = False
    await edge.bridges()
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_a_response_with_reordered_via_and_from_parameters_is_matched(edge: Edge) -> None:
    """OpenAI has been seen to reorder the parameters of our Via and From."""
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
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    await edge.assert_clean()


async def test_a_contact_without_transport_is_reached_over_the_dialogs_connection(edge: Edge) -> None:
    await edge.bridges()
    call = edge.agent.current
    assert "transport" not in call.contact
    [bye] = received(edge.agent, "BYE")
    assert bye.uri == call.contact.strip("<>")
    assert {each.transport for each in edge.wire.trace if each.destination[0] == OPENAI} == {"tls"}
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_a_sips_contact_is_reached_over_the_dialogs_connection(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenAI's own, in a trace of 2026; RFC 3261 §12.1.1 requires no such thing of a sip: request.
    replies, contact = PeerCall.replies, "<sips:OAI@sip.api.openai.com:5061>"

    def by_sips(call: PeerCall, request: Request, response: Response) -> None:
        if call.peer is edge.agent and response.headers.get("Contact"):
            call.contact = contact
            response.headers.remove("Contact")
            response.headers.add("Contact", contact)
        replies(call, request, response)

    monkeypatch.setattr(PeerCall, "replies", by_sips)
    await edge.bridges()
    [bye] = received(edge.agent, "BYE")
    assert bye.uri == "sips:OAI@sip.api.openai.com:5061"
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
        ('"Nobody knows" <sip:unavailable@a.example>', None, None),
        ('"Alice" <sip:alice@a.example>', None, "Alice"),
        ('"a\\"b\\\\c" <sip:+13475550148@a.example>', "+13475550148", "abc"),
        (f'"{"x" * 99}" <sip:+13475550148@a.example>', "+13475550148", "x" * 64),
    ],
)
def test_number_and_display_name_are_read_from_the_from_header(
    sender: str, number: str | None, name: str | None
) -> None:
    request = invite()
    request.headers.set("From", f"{sender};tag=1")
    assert Identity.of(request) == Identity(number, name, 69)


@pytest.mark.parametrize(
    "sender",
    [
        '"Anonymous" <sip:anonymous@anonymous.invalid>',
        '"Ann" <sip:Anonymous@a.example>',
        "<sip:restricted@a.example>",
        '"ANONYMOUS" <sip:+266696687@a.example>',
        "<sip:+7378742833@a.example>",
        "<sip:+2562533@a.example>",
        "<sip:a.example>",
    ],
)
def test_a_from_may_say_that_the_caller_is_withheld_rfc3323_4_1_1_3(sender: str) -> None:
    request = invite()
    request.headers.set("From", f"{sender};tag=1")
    assert Identity.of(request) == Identity(None, None, 69, withheld=True)


@pytest.mark.parametrize("user", ["unavailable", "+86282452253", "+8656696"])
def test_a_number_that_nobody_knows_is_none_not_even_if_it_is_spelled_in_digits(user: str) -> None:
    request = invite()
    request.headers.set("From", f'"UNAVAILABLE" <sip:{user}@a.example>;tag=1')
    assert Identity.of(request) == Identity(None, None, 69)


def test_no_number_that_somebody_may_have_says_that_there_is_none() -> None:
    dialled = {word for word in NAMELESS if word.startswith("+")}
    assert len(dialled) == 5
    assert not any(phonenumbers.is_valid_number(phonenumbers.parse(each)) for each in dialled)


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
    assert bare.identity == f'"Unknown" <sip:anonymous@{HOST}>'
    assert bare.credentials is None


def test_a_place_that_is_dialled_directly_is_called_as_the_caller() -> None:
    place = Destination("sip:alice@192.0.2.9")
    assert towards_phone(Identity("+1", "Ann"), place, HOST).identity == f'"Ann" <sip:+1@{HOST}>'
    assert towards_phone(Identity(None, None), place, HOST).identity == f'"Unknown" <sip:unavailable@{HOST}>'


# Caller identity: every kind of caller with every profile, and each header that carries it.

DID, OWN, ACCOUNT = "+14155551234", "+14155550100", "screendoor"
TRUNK_HOST = "trunk.example.com"
TRUNK_DID = IdentityProfile.TRUNK_DID

CALLERS = {
    "normal": [("From", '"Ann Caller" <sip:+13475550148@a.example>;tag=1')],
    "no name": [("From", "<sip:+13475550148@a.example>;tag=1")],
    "a name with quotes and letters of elsewhere": [
        ("From", '"Zoë \\"Z\\" Müller" <sip:+49301234@a.example>;tag=1')
    ],
    "tel": [("From", "<tel:+1-347-555-0148;phone-context=x>;tag=1")],
    "no number": [("From", '"Alice" <sip:alice@a.example>;tag=1')],
    "withheld by From": [("From", '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1')],
    "withheld by Privacy": [
        ("From", '"Ann Caller" <sip:+13475550148@a.example>;tag=1'),
        ("P-Asserted-Identity", '"Ann Caller" <sip:+13475550148@a.example>'),
        ("Privacy", "id"),
    ],
    "asserted as another": [
        ("From", '"Made up" <sip:+19005550100@a.example>;tag=1'),
        ("P-Asserted-Identity", '"Ann Caller" <sip:+13475550148@a.example;verstat=TN-Validation-Passed>'),
    ],
    "an emergency service that calls back": [
        ("From", '"PSAP" <sip:911@a.example>;tag=1'),
        ("Priority", "psap-callback"),
    ],
}

ANN, JUST_ANN = ('"Ann Caller"', "+13475550148"), ("", "+13475550148")
PAI, PPI, DIVERSION = "P-Asserted-Identity", "P-Preferred-Identity", "Diversion"


def at(host: str, display: str, user: str) -> str:
    return f"{display} <sip:{user}@{host}>".lstrip()


def trunk_did(display: str) -> list[tuple[str, str]]:
    return [("From", at(TRUNK_HOST, display, OWN))]


def diversion() -> tuple[str, str]:
    return DIVERSION, f"<sip:{DID}@{TRUNK_HOST}>;reason=unconditional"


def original(display: str, user: str) -> list[tuple[str, str]]:
    return [("From", at(TRUNK_HOST, display, user)), (PAI, at(TRUNK_HOST, display, user)), diversion()]


def pai_original(shown: str, display: str, user: str) -> list[tuple[str, str]]:
    return [("From", at(TRUNK_HOST, shown, OWN)), (PAI, at(TRUNK_HOST, display, user)), diversion()]


def ppi(display: str) -> list[tuple[str, str]]:
    return [("From", at(TRUNK_HOST, display, ACCOUNT)), (PPI, at(TRUNK_HOST, "", OWN))]


Made = dict[IdentityProfile, list[tuple[str, str]]]

NOBODY = ("From", '"Anonymous" <sip:anonymous@anonymous.invalid>')
PRIVATE = ("Privacy", "id")
WITHHELD = {
    IdentityProfile.TRUNK_DID: trunk_did('"Anonymous"'),
    IdentityProfile.PPI_ACCOUNT: ppi('"Anonymous"'),
    IdentityProfile.ORIGINAL_WITH_DIVERSION: [NOBODY, (PAI, at(TRUNK_HOST, "", OWN)), PRIVATE, diversion()],
    IdentityProfile.PAI_ORIGINAL: [
        ("From", at(TRUNK_HOST, '"Anonymous"', OWN)), (PAI, at(TRUNK_HOST, "", OWN)), PRIVATE, diversion(),
    ],
    IdentityProfile.INTERNAL: [NOBODY, PRIVATE],
}  # fmt: skip


def known(
    shown: str, display: str, user: str, *, vouched: bool = False
) -> dict[IdentityProfile, list[tuple[str, str]]]:
    """The identity headers of a caller whose number may be shown, by profile; `shown` is the display name."""
    internal = [("From", at(HOST, shown, user))] + ([(PAI, at(HOST, display, user))] if vouched else [])
    return {
        IdentityProfile.TRUNK_DID: trunk_did(shown),
        IdentityProfile.PPI_ACCOUNT: ppi(shown),
        IdentityProfile.ORIGINAL_WITH_DIVERSION: original(display, user),
        IdentityProfile.PAI_ORIGINAL: pai_original(shown, display, user),
        IdentityProfile.INTERNAL: internal,
    }


MADE: dict[str, Made] = {
    "normal": known('"Ann Caller"', *ANN),
    "no name": known('"+13475550148"', *JUST_ANN),
    "a name with quotes and letters of elsewhere": known('"Zoë Z Müller"', '"Zoë Z Müller"', "+49301234"),
    "tel": known('"+13475550148"', *JUST_ANN),
    "no number": {
        IdentityProfile.TRUNK_DID: trunk_did('"Alice"'),
        IdentityProfile.PPI_ACCOUNT: ppi('"Alice"'),
        IdentityProfile.ORIGINAL_WITH_DIVERSION: trunk_did('"Alice"'),
        IdentityProfile.PAI_ORIGINAL: trunk_did('"Alice"'),
        IdentityProfile.INTERNAL: [("From", f'"Alice" <sip:unavailable@{HOST}>')],
    },
    "withheld by From": WITHHELD,
    "withheld by Privacy": WITHHELD,
    "asserted as another": known('"Ann Caller"', *ANN, vouched=True),
    "an emergency service that calls back": known('"PSAP"', '"PSAP"', "911"),
}


def through(
    profile: IdentityProfile | None = None, trunk_says: IdentityProfile = IdentityProfile.TRUNK_DID
) -> Number:
    """The dialled number, with a destination behind a trunk."""
    trunk = Trunk("trunk", f"sip:{TRUNK_HOST}", ACCOUNT, "secret", OWN, identity=trunk_says)
    place = Destination(f"sip:{PHONE_NUMBER}@{TRUNK_HOST}", PHONE_NUMBER, trunk, identity=profile)
    return a_number(dialed=DID, destinations=(place,))


def called_by(kind: str) -> Request:
    request = invite()
    request.headers.remove("From")
    for name, value in CALLERS[kind]:
        request.headers.add(name, value)
    return request


@pytest.mark.parametrize("profile", IdentityProfile)
@pytest.mark.parametrize("kind", CALLERS)
def test_each_kind_of_caller_by_each_profile_rfc3323_rfc3325_rfc5806(
    kind: str, profile: IdentityProfile
) -> None:
    caller = Identity.of(called_by(kind), trusted=True)
    [place] = through(profile).destinations
    outgoing = towards_phone(caller, place, HOST, dialed=DID)
    assert [("From", outgoing.identity), *outgoing.headers] == MADE[kind][profile]
    assert outgoing.uri == place.uri
    if caller.withheld:
        assert "3475550148" not in f"{outgoing.identity}{outgoing.headers}"


@pytest.mark.parametrize("kind", CALLERS)
def test_a_place_without_a_trunk_is_called_as_internal(kind: str) -> None:
    caller = Identity.of(called_by(kind), trusted=True)
    outgoing = towards_phone(caller, Destination("sip:desk@192.0.2.9"), HOST, dialed=DID)
    assert [("From", outgoing.identity), *outgoing.headers] == MADE[kind][IdentityProfile.INTERNAL]
    assert outgoing.credentials is None


def test_a_destinations_own_profile_goes_before_that_of_its_trunk() -> None:
    assert through().destinations[0].identity_profile is IdentityProfile.TRUNK_DID
    assert (
        through(None, IdentityProfile.PAI_ORIGINAL).destinations[0].identity_profile
        is IdentityProfile.PAI_ORIGINAL
    )
    assert (
        through(IdentityProfile.INTERNAL, IdentityProfile.PAI_ORIGINAL).destinations[0].identity_profile
        is IdentityProfile.INTERNAL
    )
    assert Destination("sip:desk@192.0.2.9").identity_profile is IdentityProfile.INTERNAL


@pytest.mark.parametrize(
    ("dialed", "caller_id", "diverting"),
    [
        ("+14155551234", "+14155550100", "+14155551234"),
        ("4155551234", "+14155550100", "+14155550100"),
        ("*", "+14155550100", "+14155550100"),
        ("4155551234", None, "4155551234"),
        ("*", None, None),
    ],
)
def test_the_number_that_sends_the_call_on_is_one_of_ours_rfc5806_4(
    dialed: str, caller_id: str | None, diverting: str | None
) -> None:
    trunk = Trunk(
        "t", f"sip:{TRUNK_HOST}", caller_id=caller_id, identity=IdentityProfile.ORIGINAL_WITH_DIVERSION
    )
    outgoing = towards_phone(Identity("+1", None), Destination("sip:+1@t", "+1", trunk), HOST, dialed=dialed)
    said = f"<sip:{diverting}@{TRUNK_HOST}>;reason=unconditional" if diverting else None
    assert dict(outgoing.headers).get("Diversion") == said


# The same on the wire, with everything that a carrier's message may contain.

FOREIGN = [
    ("X-Account", "zz-account"),
    ("P-Asserted-Identity", '"Ann Caller" <sip:+13475550148@zz-pai.example>'),
    ("P-Preferred-Identity", "<sip:+19005550101@zz-ppi.example>"),
    ("Remote-Party-ID", "<sip:+19005550102@zz-rpid.example>;party=calling;screen=yes;privacy=off"),
    ("Diversion", "<sip:+19005550103@zz-diversion.example>;reason=no-answer"),
    ("History-Info", "<sip:+19005550104@zz-history.example>;index=1"),
    ("Identity", "zz-passport;info=<https://zz-cert.example/c>;alg=ES256;ppt=shaken"),
    ("Geolocation", "<cid:zz-place@zz-geo.example>"),
    ("P-Charge-Info", "<sip:+19005550105@zz-charge.example>"),
    ("P-Called-Party-ID", "<sip:+19005550106@zz-called.example>"),
    ("P-Access-Network-Info", "3GPP-zz"),
    ("P-Visited-Network-ID", "zz-visited"),
    ("P-Charging-Vector", "icid-value=zz-icid"),
    ("P-Attestation-Indicator", "zz-A"),
    ("P-Origination-ID", "zz-origination"),
    ("Referred-By", "<sip:zz@zz-referred.example>"),
    ("Reply-To", "<sip:zz@zz-reply.example>"),
    ("Call-Info", "<https://zz-info.example/i.png>;purpose=icon"),
    ("Alert-Info", "<https://zz-alert.example/ring.wav>"),
    ("Subject", "zz-subject"),
    ("Organization", "zz-organization"),
    ("Priority", "zz-urgent"),
    ("Reason", 'Q.850;cause=16;text="zz-reason"'),
    ("User-to-User", "zz-uui;encoding=hex"),
    ("Session-ID", "zz-session"),
    ("Warning", '399 zz.example "zz-warning"'),
    ("Date", "Sat, 13 Nov 2027 23:29:00 GMT"),
    ("Authorization", 'Digest username="zz-user"'),
]
MARKS = {*CARRIER_MARKS, CARRIER, "zz", "+1900", "2027"} - {"r2=on"}  # the phone's own trunk sends it, too

SAYS_WHO = {"From", "P-Asserted-Identity", "P-Preferred-Identity", "Diversion", "Privacy"}
ADDED = {
    IdentityProfile.TRUNK_DID: set(),
    IdentityProfile.PPI_ACCOUNT: {"P-Preferred-Identity"},
    IdentityProfile.ORIGINAL_WITH_DIVERSION: {"P-Asserted-Identity", "Diversion"},
    IdentityProfile.PAI_ORIGINAL: {"P-Asserted-Identity", "Diversion"},
    IdentityProfile.INTERNAL: {"P-Asserted-Identity"},
}
"""The headers that each profile adds to a call whose caller is not withheld."""


@pytest.mark.parametrize("profile", IdentityProfile)
async def test_nothing_but_the_profile_reaches_agent_and_phone(
    new_edge: NewEdge, profile: IdentityProfile
) -> None:
    async with new_edge(audio=False, number=through(profile)) as edge:
        await edge.carrier.invites(headers=FOREIGN)
        await edge.agent.answers()
        await edge.carrier.receives(200)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        await edge.assert_clean()
        to_agent, to_phone = received(edge.agent, "INVITE"), received(edge.phone, "INVITE")
        assert [len(to_agent), len(to_phone)] == [1, 2]  # the phone's trunk challenges
        for request in to_agent:
            assert {name for name, _ in request.headers} <= BORDER
        for request in to_phone:
            names = {name for name, _ in request.headers}
            assert names <= BORDER - {"X-Screendoor-Token"} | ADDED[profile] | {"Proxy-Authorization"}
            said = [
                (name, value.partition(";tag=")[0]) for name, value in request.headers if name in SAYS_WHO
            ]
            assert said == known('"Ann Caller"', *ANN, vouched=True)[profile]
        for peer in (edge.agent, edge.phone):
            for each in peer.trace:
                if each.direction == "<":
                    text = each.message.encode().decode()
                    assert not [mark for mark in MARKS if mark in text]


WHY = (("Reason", 'Q.850;cause=16;text="zz-reason"'), ("X-Account", "zz-account"))


async def test_why_the_caller_hangs_up_is_told_to_no_other_rfc3326(edge: Edge) -> None:
    await edge.bridges()
    edge.carrier.current.finish()
    await edge.carrier.requests("BYE", headers=WHY)
    await edge.phone.receives("BYE")
    await edge.over()
    assert not [sent for sent in edge.wire.trace if sent.source[0] == EDGE and b"zz-" in sent.data]
    await edge.assert_clean()


async def test_why_the_phone_refuses_is_told_to_no_other_rfc3326(edge: Edge) -> None:
    """The agent learns by NOTIFY that the phone refused: the status, with our own reason phrase."""
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rejects(486, headers=WHY)
    await edge.agent.receives("NOTIFY", sipfrag=486)
    await edge.carrier.hangs_up()
    await edge.over()
    assert not [sent for sent in edge.wire.trace if sent.source[0] == EDGE and b"zz-" in sent.data]
    await edge.assert_clean()
