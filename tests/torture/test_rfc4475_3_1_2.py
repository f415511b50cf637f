"""RFC 4475 §3.1.2: syntactically invalid messages. Most get 400; none harms the edge."""

from __future__ import annotations

import pytest

from tests.torture.caller import SDP, Caller, request
from tests.torture.edge import NUMBERS
from tests.torture.phone import answer


def test_empty_contact_parameters_get_400_and_an_unreadable_via_no_response_rfc4475_3_1_2_1(
    caller: Caller,
) -> None:
    lines = [
        "Max-Forwards: 0",
        'Contact: "Ann" <sip:ann@example.org>;;;;',
        "Via: SIP/2.0/UDP 192.0.2.5;;,;,,",
    ]
    caller.send(request("INVITE", *lines), SDP)
    caller.expect_no_response()  # no response can be routed by an unreadable Via
    caller.expect(400, request("INVITE", lines[1]), SDP)


def test_a_content_length_beyond_the_end_gets_400_on_udp_and_waits_on_a_stream_rfc4475_3_1_2_2(
    caller: Caller,
) -> None:
    caller.send(request("INVITE", "Content-Length: 9999"), SDP)
    if not caller.stream:
        caller.receive(400)
        return
    caller.assert_edge_responds()  # an incomplete message on one connection does not block others
    caller.send(b"\r\n" * ((9999 - len(SDP.replace("\n", "\r\n"))) // 2) + b" ")
    caller.receive(180)


@pytest.mark.parametrize("length", ["-999", "ten", "+5", "12 13", "", "1, 2"])
def test_an_invalid_content_length_gets_400_and_closes_a_stream_rfc4475_3_1_2_3(
    caller: Caller, length: str
) -> None:
    line = f"Content-Length: {length}"
    if length or caller.stream:
        caller.expect(400, request("INVITE", line), SDP)
    else:
        caller.rings_phone(request("INVITE", line))  # in a datagram an empty Content-Length counts as none
    if caller.stream:
        caller.expect_closed()
    caller.assert_edge_responds()


@pytest.mark.parametrize(
    "line", ["CSeq: 73786976294838206464 INVITE", "Max-Forwards: 300", f"CSeq: {'9' * 4000} INVITE"]
)
def test_out_of_range_cseq_and_max_forwards_get_400_and_expires_is_tolerated_rfc4475_3_1_2_4(
    caller: Caller, line: str
) -> None:
    caller.expect_raw(400, request("INVITE", line), SDP)
    caller.rings_phone(
        request(
            "INVITE",
            "Expires: 1000000000000000000000000000000",
            "Contact: <sip:a@192.0.2.5>;expires=98765432109876",
        )
    )


def test_a_response_with_an_out_of_range_cseq_is_dropped_rfc4475_3_1_2_5(caller: Caller) -> None:
    caller.edge.phone.script = lambda invite: [
        answer(
            invite,
            "SIP/2.0 503 Service Unavailable",
            "CSeq: 8675309867530986753098 INVITE",
            "Retry-After: 314159265358979323846264338",
            'Warning: 1812 edge "far too much"',
        ),
        answer(invite, "SIP/2.0 180 Ringing"),
    ]
    caller.rings_phone(request("INVITE", f"INVITE sip:{NUMBERS[caller.transport]}@localhost SIP/2.0"))


def test_an_unterminated_quoted_string_in_to_gets_400_rfc4475_3_1_2_6(caller: Caller) -> None:
    caller.expect_raw(400, request("INVITE", 'To: "Ms. Ann B. <sip:ann@example.com>'), SDP)


def test_a_request_uri_in_angle_brackets_gets_400_rfc4475_3_1_2_7(caller: Caller) -> None:
    caller.expect(400, request("INVITE", "INVITE <sip:door@example.com> SIP/2.0"), SDP)


def test_white_space_in_the_request_uri_gets_400_rfc4475_3_1_2_8(caller: Caller) -> None:
    caller.expect(400, request("INVITE", "INVITE sip:door@example.com; lr SIP/2.0"), SDP)


def test_double_spaces_in_the_request_line_get_400_rfc4475_3_1_2_9(caller: Caller) -> None:
    caller.expect(400, request("INVITE", "INVITE  sip:door@example.com  SIP/2.0"), SDP)


def test_trailing_spaces_in_the_request_line_get_400_rfc4475_3_1_2_10(caller: Caller) -> None:
    caller.expect(400, request("OPTIONS", "OPTIONS sip:door@example.com SIP/2.0  "))


def test_headers_in_the_request_uri_get_400_rfc4475_3_1_2_11(caller: Caller) -> None:
    caller.expect(
        400, request("INVITE", "INVITE sip:door@example.com?Route=%3Csip:example.com%3E SIP/2.0"), SDP
    )


def test_an_invalid_date_header_is_ignored_rfc4475_3_1_2_12(caller: Caller) -> None:
    caller.rings_phone(request("INVITE", "Date: Sun, 22 Nov 2026 11:00:00 CET"))


def test_a_contact_uri_with_headers_but_no_angle_brackets_gets_400_rfc4475_3_1_2_13(caller: Caller) -> None:
    line = "Contact: sip:caller@example.com?Route=%3Csip:sip.example.com%3E"
    caller.expect(400, request("INVITE", line), SDP)
    caller.expect(400, request("REGISTER", line))


def test_spaces_inside_angle_brackets_are_accepted_around_the_uri_but_not_within_rfc4475_3_1_2_14(
    caller: Caller,
) -> None:
    to = '"Watson, Door" < sip:w.door@example.org >'
    assert caller.expect(200, request("OPTIONS", f"To: {to}")).to.uri.host == "example.org"
    caller.expect_raw(400, request("OPTIONS", "To: <sip:t. watson@example.org>"))


def test_an_unquoted_display_name_with_a_comma_is_accepted_and_sent_on_quoted_rfc4475_3_1_2_15(
    caller: Caller,
) -> None:
    rung = caller.rings_phone(
        request("INVITE", "From: Graham, Ann <sip:+14155550199@example.com>;tag=gUNIQUE")
    )
    assert (rung.headers.get("From") or "").startswith('"Graham, Ann" <sip:')  # we send it quoted
    caller.expect(400, request("OPTIONS", "From: Graham; Ann <sip:a.g@example.com>;tag=1"))


def test_an_unknown_sip_version_gets_505_or_no_response_if_in_the_via_too_rfc4475_3_1_2_16(
    caller: Caller,
) -> None:
    lines = ["OPTIONS sip:door@example.org SIP/7.0", "Via: SIP/7.0/UDP c.example.com;branch=z9hG4bKUNIQUE"]
    caller.expect(505, request("OPTIONS", lines[0]))
    caller.send(request("OPTIONS", *lines))
    caller.expect_no_response()  # SIP/2.0 does not define how to read a Via of another version


def test_a_known_method_that_differs_from_its_cseq_gets_400_rfc4475_3_1_2_17(caller: Caller) -> None:
    caller.expect(400, request("OPTIONS", "CSeq: 8 INVITE"))


def test_an_unknown_method_that_differs_from_its_cseq_gets_501_rfc4475_3_1_2_18(caller: Caller) -> None:
    response = caller.expect(501, request("NEWMETHOD", "CSeq: 8 INVITE"))
    assert "INVITE" in (response.headers.get("Allow") or "")


def test_a_response_with_an_out_of_range_status_code_is_dropped_rfc4475_3_1_2_19(caller: Caller) -> None:
    caller.edge.phone.script = lambda invite: [
        answer(invite, "SIP/2.0 4294967301 far beyond"),
        answer(invite, "SIP/2.0 700 none"),
        answer(invite, "SIP/2.0 180 Ringing"),
    ]
    caller.rings_phone(request("INVITE", f"INVITE sip:{NUMBERS[caller.transport]}@localhost SIP/2.0"))
    caller.send(request("OPTIONS", "SIP/2.0 4294967301 straight to us"))
    caller.expect_no_response()
