"""RFC 4475 §3.3: well-formed messages with invalid or unusual semantics (application layer)."""

from __future__ import annotations

import pytest

from tests.torture.caller import SDP, Caller, request
from tests.torture.edge import NUMBERS
from tests.torture.phone import answer


@pytest.mark.parametrize(
    "missing", [["-Call-ID", "-From", "-To"], ["-Call-ID"], ["-From"], ["-To"], ["-CSeq"], ["-Contact"]]
)
def test_an_invite_without_a_mandatory_header_gets_400_rfc4475_3_3_1(
    caller: Caller, missing: list[str]
) -> None:
    response = caller.expect_raw(400, request("INVITE", *missing), SDP)
    assert b"branch=z9hG4bK" in response


@pytest.mark.parametrize("uri", ["nobodyUsesThisScheme:anopaquestring", "isbn:9780306406157"])
def test_a_request_uri_with_an_unknown_scheme_gets_416_rfc4475_3_3_2(caller: Caller, uri: str) -> None:
    caller.expect(416, request("OPTIONS", f"OPTIONS {uri} SIP/2.0"))
    caller.expect(416, request("INVITE", f"INVITE {uri} SIP/2.0"), SDP)


def test_a_request_uri_with_a_known_non_sip_scheme_gets_416_rfc4475_3_3_3(caller: Caller) -> None:
    caller.expect(416, request("OPTIONS", "OPTIONS soap.beep://192.0.2.88:605 SIP/2.0"))


def test_non_sip_uri_schemes_in_to_from_and_contact_are_accepted_rfc4475_3_3_4(caller: Caller) -> None:
    lines = [
        "To: isbn:9780306406157",
        "From: <http://door.example.com>;tag=other1",
        "Contact: <name:Ann_Bell>",
    ]
    caller.expect(405, request("REGISTER", *lines))
    caller.expect(200, request("OPTIONS", *lines))
    caller.rings_phone(request("INVITE", *lines[:2]))


def test_unknown_extensions_in_require_get_420_with_unsupported_rfc4475_3_3_5(caller: Caller) -> None:
    lines = [
        "Require: nobodySupportsThis, nobodySupportsThisEither",
        "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis",
    ]
    for method, body in (("OPTIONS", ""), ("INVITE", SDP)):
        response = caller.expect(420, request(method, *lines), body)
        assert response.headers.get("Unsupported") == "nobodySupportsThis, nobodySupportsThisEither"
    caller.rings_phone(request("INVITE", lines[1]))  # Proxy-Require concerns proxies only


def test_a_body_of_an_unknown_type_gets_415_unless_its_handling_is_optional_rfc4475_3_3_6(
    caller: Caller,
) -> None:
    body = "<door open='yes'/>\n"
    line = "Content-Type: application/unheardof"
    response = caller.expect(415, request("INVITE", line), body)
    assert response.headers.get("Accept") == "application/sdp"
    caller.rings_phone(request("INVITE", line, "Content-Disposition: render;handling=optional"), body)


def test_an_encoded_body_gets_415_and_a_required_encrypted_one_493_rfc3261_8_2_3_rfc3261_21_4_28(
    caller: Caller,
) -> None:
    response = caller.expect(415, request("INVITE", "Content-Encoding: gzip"), "\x1f")
    assert response.headers.get("Accept-Encoding") == "identity"
    mime = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data"
    caller.expect(415, request("INVITE", mime), "\x30")
    caller.expect(493, request("INVITE", mime, "Content-Disposition: attachment;handling=required"), "\x30")


def test_credentials_with_an_unknown_scheme_are_ignored_rfc4475_3_3_7(caller: Caller) -> None:
    line = "Authorization: NobodyKnowsThisScheme token=there"
    caller.expect(405, request("REGISTER", line))
    caller.rings_phone(request("INVITE", line))


TWICE = """
INVITE sip:door@house.example.com SIP/2.0
{lines}
Via: SIP/2.0/TRANSPORT 192.0.2.25;branch=z9hG4bKUNIQUE
Contact: <sip:caller@host3.example.com>
Content-Type: application/sdp
l: LENGTH
"""
SINGLE = {
    "Call-ID": ("UNIQUE", "UNIQUEother"),
    "From": ("<sip:caller@example.net>;tag=1", "<sip:caller@example.net>;tag=2"),
    "To": ("<sip:door@example.com>", "<sip:window@example.com>"),
    "CSeq": ("5 INVITE", "59 INVITE"),
    "Max-Forwards": ("70", "5"),
}


def doubled(*names: str) -> str:
    lines = [f"{name}: {value}" for name, values in SINGLE.items() for value in values[: 1 + (name in names)]]
    return TWICE.format(lines="\n".join(lines))


@pytest.mark.parametrize("names", [[*SINGLE], *([name] for name in SINGLE)], ids="-".join)
def test_two_different_values_of_a_single_value_header_get_400_rfc4475_3_3_8(
    caller: Caller, names: list[str]
) -> None:
    caller.expect_raw(400, doubled(*names), SDP)


def test_two_content_lengths_get_400_and_close_a_stream_rfc4475_3_3_9(caller: Caller) -> None:
    caller.expect(400, request("OPTIONS", "Content-Length: 13", "l: 5"), "Thirteen or 5")
    if caller.stream:
        caller.expect_closed()
    caller.assert_edge_responds()


def test_a_response_with_a_second_via_is_dropped_rfc4475_3_3_10(caller: Caller) -> None:
    caller.edge.phone.script = lambda invite: [
        answer(
            invite,
            "SIP/2.0 486 Busy",
            f"Via: {invite.headers.get('Via')}, SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKwide",
        ),
        answer(invite, "SIP/2.0 180 Ringing"),
    ]
    caller.rings_phone(request("INVITE", f"INVITE sip:{NUMBERS[caller.transport]}@localhost SIP/2.0"))


def test_max_forwards_0_gets_200_for_options_and_483_for_an_invite_rfc4475_3_3_11(caller: Caller) -> None:
    caller.expect(200, request("OPTIONS", "Max-Forwards: 0"))
    caller.expect(483, request("INVITE", "Max-Forwards: 0"), SDP)


CONTACTS = {
    "3_3_12": "sip:+14155550104@gate.example.net;unheardof",
    "3_3_13": "<sip:+14155550104@gate.example.net;unheardof>",
    "3_3_14": "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
}


@pytest.mark.parametrize("section", CONTACTS)
def test_a_contact_with_parameters_or_escaped_headers_is_accepted_rfc4475_3_3_12_to_3_3_14(
    caller: Caller, section: str
) -> None:
    line = f"Contact: {CONTACTS[section]}"
    caller.expect(405, request("REGISTER", line))
    caller.rings_phone(request("INVITE", line))


def test_an_invite_whose_accept_excludes_sdp_gets_406_rfc4475_3_3_15(caller: Caller) -> None:
    caller.expect(406, request("INVITE", "Accept: text/onlyWeWriteThis"), SDP)
    caller.rings_phone(request("INVITE", "Accept: text/onlyWeWriteThis, application/*;q=0.5"))
