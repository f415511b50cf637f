"""RFC 5118 §4: IPv6 torture messages, sent to an edge over IPv6 and over IPv4."""

from __future__ import annotations

import pytest

from tests.torture.caller import Caller, request
from tests.torture.edge import NUMBERS

SDP6 = """\
v=0
o=caller 20261122 0 IN IP6 2001:db8::20
s=six
c=IN IP6 2001:db8::20
t=0 0
m=audio 6000 RTP/AVP 0
"""


def test_ipv6_addresses_in_brackets_are_accepted_in_request_uri_via_and_contact_rfc5118_4_1(
    caller: Caller, caller6: Caller
) -> None:
    lines = [
        "OPTIONS sip:[2001:db8::10] SIP/2.0",
        "Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKUNIQUE",
        'Contact: "Caller" <sip:caller@[2001:db8::1]>',
    ]
    for each in (caller, caller6):
        assert each.expect(200, request("OPTIONS", *lines)).via.host == "[2001:db8::9:1]"
        each.expect(405, request("REGISTER", lines[0].replace("OPTIONS", "REGISTER"), *lines[1:]))


def test_an_ipv6_request_uri_without_brackets_gets_400_rfc5118_4_2(caller: Caller, caller6: Caller) -> None:
    for each in (caller, caller6):
        each.expect(400, request("REGISTER", "REGISTER sip:2001:db8::10 SIP/2.0"))
        each.expect(400, request("OPTIONS", "OPTIONS sip:2001:db8::10 SIP/2.0"))


@pytest.mark.parametrize(
    ("uri", "section"), [("sip:[2001:db8::10:5070]", "4_3"), ("sip:[2001:db8::10]:5070", "4_4")]
)
def test_a_port_is_parsed_after_the_ipv6_brackets_but_not_inside_them_rfc5118_4_3_rfc5118_4_4(
    caller: Caller, uri: str, section: str
) -> None:
    assert caller.expect(200, request("OPTIONS", f"OPTIONS {uri} SIP/2.0", f"To: {uri}")).to.uri.port == (
        None if section == "4_3" else 5070
    )


@pytest.mark.parametrize("received", ["[2001:db8::9:255]", "2001:db8::9:255"])
def test_received_is_parsed_with_and_without_brackets_rfc5118_4_5(caller6: Caller, received: str) -> None:
    vias = [
        "Via: SIP/2.0/TRANSPORT [2001:db8::9:1];branch=z9hG4bKUNIQUE",
        f"Via: SIP/2.0/UDP [2001:db8::9:1];received={received};branch=z9hG4bKinner1",
    ]
    response = caller6.expect(481, request("BYE", *vias, "To: <sip:user@example.com>;tag=gone6"))
    assert response.vias[1].received == "2001:db8::9:255"
    assert response.via.received == "::1"


def test_an_sdp_offer_with_an_ipv6_address_is_accepted_by_an_ipv6_edge_rfc5118_4_6(caller6: Caller) -> None:
    contact = "Contact: <sip:caller@[2001:db8::20]>"
    caller6.rings_phone(request("INVITE", contact), SDP6)
    # Audio of the other address family is not possible: the offer is refused at once.


def test_an_sdp_offer_with_an_ipv6_address_gets_488_from_an_ipv4_edge_rfc5118_4_6(caller: Caller) -> None:
    caller.expect(488, request("INVITE"), SDP6)


def test_ipv4_and_ipv6_addresses_mixed_in_vias_and_received_are_accepted_rfc5118_4_7(caller6: Caller) -> None:
    vias = [
        "Via: SIP/2.0/TRANSPORT [2001:db8::9:1]:6050;branch=z9hG4bKUNIQUE",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144",
        "Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bKinner3;received=192.0.2.200",
    ]
    response = caller6.expect(481, request("BYE", *vias, "To: sip:user@example.com;tag=k1"))
    assert [via.host for via in response.vias] == ["[2001:db8::9:1]", "192.0.2.1", "[2001:db8::9:255]"]
    assert response.vias[2].received == "192.0.2.200"


MIXED = """\
v=0
o=caller 5118 5118 IN IP6 2001:db8::20
s=-
c=IN IP6 2001:db8::20
t=0 0
m=audio 22334 RTP/AVP 0
c=IN IP4 192.0.2.1
m=video 6024 RTP/AVP 107
a=rtpmap:107 H263-1998/90000
"""


def test_media_level_connection_addresses_of_another_family_are_accepted_rfc5118_4_8(
    caller: Caller, caller6: Caller
) -> None:
    caller.rings_phone(request("INVITE"), MIXED)
    caller6.rings_phone(request("INVITE"), MIXED.replace("c=IN IP4 192.0.2.1\n", ""))


def test_ipv4_mapped_ipv6_addresses_are_accepted_in_headers_and_sdp_rfc5118_4_9(caller6: Caller) -> None:
    lines = [
        f"INVITE sip:{NUMBERS['udp']}@[::ffff:192.0.2.7] SIP/2.0",
        "Via: SIP/2.0/TRANSPORT [::ffff:192.0.2.10]:19823;branch=z9hG4bKUNIQUE",
        "Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKmap",
        'Contact: "T. at home" <sip:tess@[::ffff:192.0.2.2]>',
    ]
    mapped = SDP6.replace("2001:db8::20", "::ffff:192.0.2.2")
    caller6.rings_phone(request("INVITE", *lines), mapped)


@pytest.mark.parametrize("host", ["[2001:db8:::192.0.2.1]", "[2001:db8::192.0.2.1]"])
def test_an_extra_colon_in_an_ipv6_reference_is_accepted_rfc5118_4_10(caller: Caller, host: str) -> None:
    caller.expect(200, request("OPTIONS", f"OPTIONS sip:user@{host} SIP/2.0", f"To: sip:user@{host}"))
