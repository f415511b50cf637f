"""Request, Response, parse_message."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.sip import message as reading
from proxy.sip.errors import ParseError, SipError
from proxy.sip.headers import Headers
from proxy.sip.message import MAX_HEAD_BYTES, MAX_LINES, Request, Response, parse_message
from proxy.sip.values import CSeq
from tests.sip.shapes import HEAD, KAMAILIO_INVITE, OPENAI_200, SIGNALWIRE_INVITE, wire


def request(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def refused(data: bytes) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_message(data)
    return caught.value


def test_an_invite_of_signalwire_is_parsed() -> None:
    invite = request(SIGNALWIRE_INVITE)
    assert invite.method == "INVITE"
    assert invite.start_line == "INVITE sip:inbound@sbc.example.com:5060;transport=UDP SIP/2.0"
    assert invite.target.user == "inbound"
    assert invite.target.transport == "udp"
    assert invite.via.branch == "z9hG4bK8c51.5a3160c67f160008b7c6e49421e7930c.0"
    assert [via.transport for via in invite.vias] == ["UDP", "TLS"]
    assert invite.from_tag == "0eKrUHDBKvXFB"
    assert invite.to_tag is None
    assert invite.call_id == "14f108a5-c92b-4602-b14f-0012b70eddcd"
    assert invite.cseq == CSeq(105354320, "INVITE")
    assert invite.contact is not None
    assert invite.contact.raw_uri == "sip:mod_sofia@192.0.2.13:35181;transport=tls;swrad=192.0.2.13~36607~3"
    assert [route.uri.port for route in invite.record_routes] == [5060, 5061]
    assert invite.routes == []
    assert invite.max_forwards == 61
    assert invite.content_type == "application/sdp"
    assert invite.body.startswith(b"v=0\r\no=FreeSWITCH")
    assert len(invite.body) == 272


def test_a_200_of_openai_is_parsed() -> None:
    answer = parse_message(OPENAI_200)
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason, answer.start_line) == (200, "OK", "SIP/2.0 200 OK")
    assert answer.to_tag == "b2"
    assert answer.record_routes == []
    assert answer.max_forwards is None


def test_record_routes_of_all_lines_are_parsed() -> None:
    assert [route.uri.loose for route in request(KAMAILIO_INVITE).record_routes] == [True] * 4


def test_the_short_torturous_invite_is_parsed_rfc4475_3_1_1_1() -> None:
    text = (
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\n"
        "TO :\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\n"
        'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\n  ;\n  tag = 98asjd8\n'
        "MaX-fOrWaRdS: 0068\n"
        "Call-ID: wsinv.ndaksdj@192.0.2.1\n"
        "Content-Length   : 3\n"
        "cseq: 0009\n  INVITE\n"
        "Via  : SIP  /   2.0\n /UDP\n    192.0.2.2;branch=390skdjuw\n"
        "s :\n"
        "NewFangledHeader:   newfangled value\n continued newfangled value\n"
        "UnknownHeaderWithUnusualValue: ;;,,;;,;\n"
        "Content-Type: application / sdp\n"
        "Route:\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\n"
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ikj8  ,\n"
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30239\n"
        'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\n      newvalue ;\n'
        "  secondparam ; q = 0.33\n"
        "\nv=0"
    )
    for data in (text.encode(), text.replace("\n", "\r\n").encode()):
        invite = request(data)
        assert invite.to_tag == "1918181833n"
        assert invite.from_.display == 'J Rosenberg \\"'
        assert invite.max_forwards == 68
        assert invite.cseq == CSeq(9, "INVITE")
        assert [via.branch for via in invite.vias] == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
        assert invite.headers.get("subject") == ""
        assert invite.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
        assert invite.content_type == "application/sdp"
        assert invite.routes[0].uri.loose
        assert invite.contact is not None
        assert invite.contact.display == 'Quoted string ""'
        assert invite.contact.params.get("q") == "0.33"
        assert invite.body == b"v=0"


def test_empty_lines_before_the_start_line_are_ignored_rfc3261_7_5() -> None:
    assert request(b"\r\n\r\n" + wire()).method == "INVITE"


def test_the_empty_line_after_the_headers_may_be_missing_if_there_is_no_body() -> None:
    whole = wire()
    for data in (whole.removesuffix(b"\r\n"), whole.removesuffix(b"\r\n\r\n"), whole.replace(b"\r\n", b"\n")):
        assert request(data) == request(whole)


def test_a_datagram_body_is_cut_to_its_content_length_rfc3261_18_3() -> None:
    assert request(wire("INVITE sip:b SIP/2.0", "l: 3", body="abcdef")).body == b"abc"
    assert request(wire("INVITE sip:b SIP/2.0", "Content-Length: 0", body="abcdef")).body == b""


def test_without_content_length_the_rest_of_a_datagram_is_the_body_rfc3261_18_3() -> None:
    assert request(wire(body="a\r\n\r\nb")).body == b"a\r\n\r\nb"


@pytest.mark.parametrize(
    ("line", "reason"),
    [("SIP/2.0 200 ", ""), ("SIP/2.0 200", ""), ("sip/2.0 200 = 2**3 * 5**2 ё", "= 2**3 * 5**2 ё")],
)
def test_a_reason_phrase_may_be_empty_or_utf8_rfc4475_3_1_1_12(line: str, reason: str) -> None:
    answer = parse_message(wire(line))
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason) == (200, reason)


def test_bytes_that_are_not_utf8_are_kept() -> None:
    data = wire("INVITE sip:b@example.com SIP/2.0", "Subject: caf\udce9", "Content-Length: 0")
    assert b"caf\xe9" in data
    assert request(data).encode() == data


def test_an_escaped_nul_in_a_quoted_string_is_kept_rfc4475_3_1_1_2() -> None:
    invite = request(wire("INVITE sip:b@example.com SIP/2.0", 'From: "NUL:\\\0" <sip:a@example.com>;tag=1'))
    assert invite.from_.display == "NUL:\0"
    assert invite.reply(400).from_.display == "NUL:\0"
    assert str(invite.from_) == '"NUL:\\\0" <sip:a@example.com>;tag=1'


def test_the_sip_version_is_case_insensitive() -> None:
    assert request(wire("INVITE sip:b@example.com sip/2.0")).uri == "sip:b@example.com"


def test_a_single_value_header_repeated_with_the_same_value_is_accepted() -> None:
    assert (
        request(wire("INVITE sip:b@example.com SIP/2.0", "CSeq: 1 INVITE", "CSeq: 1 INVITE")).cseq.number == 1
    )


def test_a_request_uri_of_unknown_scheme_is_parsed_rfc4475_3_3_2() -> None:
    assert (
        request(wire("INVITE nobodyKnowsThisScheme:opaque SIP/2.0")).target.scheme == "nobodyknowsthisscheme"
    )


@pytest.mark.parametrize(
    ("line", "body", "kind"),
    [
        ("Content-Type: Application/SDP;charset=utf-8", "v=0", "application/sdp"),
        ("c: multipart/mixed; boundary=x", "v=0", "multipart/mixed"),
        ("Content-Type:", "v=0", None),
        ("X: y", "v=0\r\n", "application/sdp"),
        ("X: y", "hello", None),
        ("X: y", "", None),
    ],
)
def test_a_body_without_content_type_that_begins_like_sdp_counts_as_sdp(
    line: str, body: str, kind: str | None
) -> None:
    assert request(wire("INVITE sip:b@example.com SIP/2.0", line, body=body)).content_type == kind


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["CSeq: 2147483648 INVITE"], "CSeq number out of range"),
        (["CSeq: 1 OPTIONS"], "CSeq method OPTIONS in a INVITE request"),
        (["CSeq: INVITE"], "malformed CSeq"),
        (["CSeq: 1 INVITE", "CSeq: 2 INVITE"], "conflicting values of cseq"),
        (["Call-ID: a", "i: b"], "conflicting values of call-id"),
        (["From: <sip:a@b>", "f: <sip:c@d>"], "conflicting values of from"),
        (["To: <sip:a@b>", "To: <sip:c@d>"], "conflicting values of to"),
        (["Max-Forwards: 1", "Max-Forwards: 2"], "conflicting values of max-forwards"),
        (["Content-Length: 0", "Content-Length: 1"], "conflicting values of content-length"),
        (["Content-Length: -1"], "Content-Length is not a number"),
        (["Content-Length: 1, 2"], "Content-Length is not a number"),
        (["Content-Length: ten"], "Content-Length is not a number"),
        (["Content-Length: 99999999999"], "Content-Length out of range"),
        (["Content-Length: 10"], "shorter than its Content-Length"),
        (["Subject: a\rVia: b"], "carriage return inside a line"),
        (["Subject: a\0b"], "NUL in the message"),
        (["no colon"], "header line has no colon"),
        (["Bad Name: x"], "header name is no token"),
        (["Subject: " + "x" * 9000], "header value too long"),
    ],
)
def test_a_malformed_request_gives_400_and_a_partial_request_to_answer(more: list[str], message: str) -> None:
    error = refused(wire("INVITE sip:b@example.com SIP/2.0", *more))
    assert message in str(error)
    assert error.status == 400
    assert isinstance(error, SipError)
    assert error.partial is not None
    assert error.partial.method == "INVITE"
    assert error.partial.via.branch == "z9hG4bK1"
    answer = error.partial.reply(error.status).encode()
    assert answer.startswith(
        b"SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
    )


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_request_without_a_mandatory_header_gives_400_rfc4475_3_3_1(name: str) -> None:
    lines = [line for line in HEAD if not line.startswith(f"{name}:")]
    error = refused("\r\n".join(["INVITE sip:b@example.com SIP/2.0", *lines, "", ""]).encode())
    assert str(error) == f"missing {name}"
    assert error.partial is not None
    assert name not in error.partial.reply(400).headers


def test_another_sip_version_gives_505_rfc4475_3_1_2_16() -> None:
    error = refused(wire("INVITE sip:b@example.com SIP/7.0"))
    assert error.status == 505
    assert error.partial is not None
    assert error.partial.reply(505).reason == "Version Not Supported"


@pytest.mark.parametrize(
    "line",
    [
        "INVITE <sip:b@example.com> SIP/2.0",
        "INVITE sip:b@example.com; lr SIP/2.0",
        "INVITE  sip:b@example.com  SIP/2.0",
        "INVITE sip:b@example.com\tx SIP/2.0",
        "INVITE sip:b@example.com SIP/2.0  ",
        "INVITE sip:b@example.com SIP/2",
        "INVITE b@example.com SIP/2.0",
        "INVITE SIP/2.0",
    ],
)
def test_a_malformed_request_line_gives_400_rfc4475_3_1_2(line: str) -> None:
    error = refused(wire(line))
    assert error.status == 400
    assert error.partial is not None
    assert error.partial.call_id == "c1"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET / HTTP/1.1",
        "hello",
        "IN(VITE sip:b SIP/2.0",
        "SIP/2.0 4294967301 better not break the receiver",
        "SIP/2.0 099 x",
        "SIP/2.0 20 OK",
        "SIP/7.0 200 OK",
        "\x16\x03\x01",
    ],
)
def test_anything_but_a_sip_message_has_no_partial_request_to_answer(line: str) -> None:
    error = refused(wire(line, "X: y") if line else b"\r\n\r\n")
    assert "not a SIP message" in str(error)
    assert error.partial is None


def test_a_malformed_response_has_no_partial_request_to_answer_rfc4475_3_1_2_5() -> None:
    assert refused(wire("SIP/2.0 200 OK", "CSeq: 9292394834772304023312 OPTIONS")).partial is None


def test_a_header_line_with_control_characters_is_left_out_of_the_partial_request() -> None:
    error = refused(wire("INVITE sip:b@example.com SIP/2.0", "To: <sip:b@example.com>\r\0"))
    assert error.partial is not None
    assert "To" not in error.partial.headers


@pytest.mark.parametrize("value", ["256", "300", "-1", "70, 71", "many"])
def test_max_forwards_above_255_or_malformed_raises_parse_error_rfc4475_3_1_2_4(value: str) -> None:
    invite = request(wire("INVITE sip:b@example.com SIP/2.0", f"Max-Forwards: {value}"))
    with pytest.raises(ParseError, match="Max-Forwards"):
        _ = invite.max_forwards


def test_repeated_or_empty_max_forwards_and_content_length_are_accepted() -> None:
    data = wire("INVITE sip:b SIP/2.0", "Max-Forwards: 70, 70", "Content-Length: 3,3", body="abcdef")
    assert (request(data).max_forwards, request(data).body) == (70, b"abc")
    data = wire("INVITE sip:b SIP/2.0", "Max-Forwards:", "Content-Length:", body="abcdef")
    assert (request(data).max_forwards, request(data).body) == (None, b"abcdef")


def test_a_response_uses_long_header_names_even_if_the_request_used_compact_ones() -> None:
    data = wire("INVITE sip:b SIP/2.0", "v: SIP/2.0/UDP second", "record-route: <sip:p;lr>")
    assert b"\r\nv: " in data
    answer = request(data).reply(180, to_tag="x").encode()
    assert b"\r\nVia: SIP/2.0/UDP second\r\n" in answer
    assert b"\r\nRecord-Route: <sip:p;lr>\r\n" in answer


def test_an_unknown_method_gives_501_even_if_its_cseq_differs_rfc4475_3_1_2_18() -> None:
    error = refused(wire("NEWMETHOD sip:b@example.com SIP/2.0"))
    assert (error.status, error.partial and error.partial.method) == (501, "NEWMETHOD")


def test_via_count_counts_lines_and_comma_separated_values_rfc3261_8_1_3_3() -> None:
    assert request(wire()).via_count == 1
    assert request(wire("INVITE sip:b SIP/2.0", "Via: SIP/2.0/UDP a", "v: SIP/2.0/UDP b")).via_count == 2
    assert request(wire("INVITE sip:b SIP/2.0", "Via: SIP/2.0/UDP a, SIP/2.0/UDP b")).via_count == 2
    assert request(wire("INVITE sip:b SIP/2.0", 'Via: SIP/2.0/UDP a;x="1,2"')).via_count == 1


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Via: x", "via"),
        ("Via: x", "vias"),
        ("Via:", "via"),
        ("Via:", "vias"),
        ("From: <sip:a", "from_tag"),
        ('To: "open <sip:b@example.com>', "to"),
        ("Call-ID: two words", "call_id"),
        ("Call-ID:", "call_id"),
        ("Contact: *", "contact"),
        ("Route: <sip:a>;;x", "routes"),
        ("Record-Route: sip:a, <sip:b", "record_routes"),
    ],
)
def test_a_malformed_header_raises_parse_error_each_time_it_is_read(line: str, name: str) -> None:
    invite = request(wire("INVITE sip:b@example.com SIP/2.0", line))
    for _ in range(2):
        with pytest.raises(ParseError):
            getattr(invite, name)


@pytest.mark.parametrize("name", ["via", "vias", "from_", "to_tag", "call_id", "cseq"])
def test_a_missing_header_raises_parse_error_when_it_is_read(name: str) -> None:
    with pytest.raises(ParseError, match="missing"):
        getattr(Request("INVITE", "sip:b"), name)


def test_encode_adds_or_corrects_content_length() -> None:
    message = Request("OPTIONS", "sip:b", Headers([("To", "x")]), b"abc")
    assert message.encode() == b"OPTIONS sip:b SIP/2.0\r\nTo: x\r\nContent-Length: 3\r\n\r\nabc"
    message.headers = Headers([("CONTENT-length", "0"), ("To", "x"), ("l", "7")])
    assert message.encode() == b"OPTIONS sip:b SIP/2.0\r\nCONTENT-length: 3\r\nTo: x\r\n\r\nabc"


def test_folded_lines_and_bare_lf_are_serialised_unfolded_with_crlf() -> None:
    data = wire("INVITE sip:b@example.com SIP/2.0", "Subject : a\r\n b", "Content-Length: 0").replace(
        b"\r\n", b"\n"
    )
    strict = wire("INVITE sip:b@example.com SIP/2.0", "Subject: a b", "Content-Length: 0")
    assert request(data).encode() == strict


@pytest.mark.parametrize(
    "message",
    [
        Request("INVITE", "sip:b SIP/2.0\r\nVia: evil"),
        Request("INVITE\n", "sip:b"),
        Response(200, "OK\r\nVia: evil"),
        Response(200, "\0"),
    ],
)
def test_a_start_line_with_line_breaks_or_nul_raises_value_error(message: Request | Response) -> None:
    with pytest.raises(ValueError, match="start line would break the message"):
        message.encode()


def test_a_response_copies_the_required_headers_rfc3261_8_2_6() -> None:
    invite = request(SIGNALWIRE_INVITE)
    answer = invite.reply(200, to_tag="me", body=b"v=0\r\n", content_type="application/sdp")
    assert list(answer.headers) == [
        *(("Via", line) for line in invite.headers.get_all("Via")),
        *(("Record-Route", line) for line in invite.headers.get_all("Record-Route")),
        ("From", "<sip:+13475550148@sip.signalwire.com>;tag=0eKrUHDBKvXFB"),
        ("To", "<sip:inbound@sbc.example.com:5060;transport=UDP>;tag=me"),
        ("Call-ID", "14f108a5-c92b-4602-b14f-0012b70eddcd"),
        ("CSeq", "105354320 INVITE"),
        ("Content-Type", "application/sdp"),
    ]
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"v=0\r\n")


@pytest.mark.parametrize(
    ("method", "status", "copied"),
    [
        ("INVITE", 100, False),
        ("INVITE", 180, True),
        ("SUBSCRIBE", 200, True),
        ("REFER", 202, True),
        ("INVITE", 302, False),
        ("BYE", 200, False),
    ],
)
def test_record_route_is_copied_only_into_dialog_forming_responses_rfc3261_12_1_1(
    method: str, status: int, copied: bool
) -> None:
    line = f"{method} sip:b@example.com SIP/2.0"
    message = request(wire(line, f"CSeq: 1 {method}", "Record-Route: <sip:r;lr>, <sip:s;lr>"))
    assert ("Record-Route" in message.reply(status).headers) is copied


def test_timestamp_is_copied_only_into_a_100_rfc3261_8_2_6_1() -> None:
    message = request(wire("INVITE sip:b@example.com SIP/2.0", "Timestamp: 54"))
    assert message.reply(100).headers.get("Timestamp") == "54"
    assert "Timestamp" not in message.reply(180).headers


@pytest.mark.parametrize(
    ("to", "answered"),
    [
        ("<sip:b@example.com>;tag=old", "<sip:b@example.com>;tag=old"),
        ("<sip:b@example.com> ; ", "<sip:b@example.com>;tag=new"),
        ("sip:b@example.com", "sip:b@example.com;tag=new"),
        ('"open <sip:b@example.com>', '"open <sip:b@example.com>'),
    ],
)
def test_a_to_tag_is_added_only_if_there_is_none(to: str, answered: str) -> None:
    message = request(wire("INVITE sip:b@example.com SIP/2.0", f"To: {to}"))
    assert message.reply(486, to_tag="new").headers.get("To") == answered


def test_a_response_may_have_its_own_or_an_empty_reason_phrase() -> None:
    message = request(wire())
    assert message.reply(603, "Not Now").start_line == "SIP/2.0 603 Not Now"
    assert message.reply(603, "").start_line == "SIP/2.0 603 "


def test_a_nul_in_a_reason_phrase_is_refused_even_behind_a_backslash():
    with pytest.raises(ParseError, match="NUL"):
        parse_message(b"SIP/2.0 200 \\\0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n")


@pytest.mark.parametrize(
    "headers",
    [
        b"X-A: 1\r\n" * (MAX_LINES + 1),
        b"X-A: " + b"a" * MAX_HEAD_BYTES + b"\r\n",
        b"Via: SIP/2.0/UDP h\r\n" * 3000,
    ],
    ids=["lines", "bytes", "ways"],
)
def test_too_many_or_too_large_headers_get_513_and_a_partial_request_rfc3261_21_5_7(headers: bytes) -> None:
    error = refused(SIGNALWIRE_INVITE.replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n", 1))
    assert error.status == 513
    assert error.partial is not None
    assert len(list(error.partial.headers)) <= MAX_LINES
    assert error.partial.reply(513).headers.get("Call-ID") == error.partial.call_id


@pytest.mark.parametrize("data", [SIGNALWIRE_INVITE, KAMAILIO_INVITE, OPENAI_200])
def test_bare_lf_and_folded_lines_parse_to_the_same_message_rfc3261_7_3_1(data: bytes) -> None:
    head, empty, body = data.partition(b"\r\n\r\n")
    plain = parse_message(data)
    assert parse_message(head.replace(b"\r\n", b"\n") + b"\n\n" + body) == plain
    assert parse_message(head.replace(b"\r\nCSeq: ", b"\r\nCSeq:\r\n\t ") + empty + body) == plain


def test_a_folded_start_line_is_accepted_rfc3261_7_3_1() -> None:
    invite = request(KAMAILIO_INVITE.replace(b" SIP/2.0\r\n", b"\r\n SIP/2.0\r\n", 1))
    assert invite == request(KAMAILIO_INVITE)


def test_an_empty_contact_is_skipped() -> None:
    both = wire("INVITE sip:b SIP/2.0", "Contact:", "Contact: <sip:a@192.0.2.1>, <sip:b@192.0.2.1>")
    assert str(request(both).contact) == "<sip:a@192.0.2.1>"
    assert request(wire("INVITE sip:b SIP/2.0", "Contact: ,")).contact is None


def test_via_count_counts_a_comma_separated_via_set_later() -> None:
    message = request(wire())
    assert message.via_count == 1
    message.headers.set("Via", "SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK2")
    assert message.via_count == 2


ODD = st.sampled_from(
    [b" ", b"\t", b"\r", b"\n", b"\r\n", b"\r\n ", b":", b": ", b":  ", b"\0", b",", b"\xff", b"\xe2\x80\xa8",
     b"\r\nX", b"\r\nX:", b"\r\nX: ", b"\r\nX: y", b"\r\nf: other", b"\r\nCSeq: 1 INVITE", b"\r\nv: more"]
)  # fmt: skip


@settings(max_examples=500)
@given(
    st.sampled_from([SIGNALWIRE_INVITE, OPENAI_200]),
    st.lists(st.tuples(st.floats(0, 0.999), ODD), max_size=3),
)
def test_the_fast_message_parser_gives_the_same_result_as_the_general_one(
    data: bytes, oddities: list[tuple[float, bytes]]
) -> None:
    for place, odd in oddities:
        at = int(place * len(data))
        data = data[:at] + odd + data[at:]

    def outcome(read: Callable[[bytes], Request | Response | None]) -> object:
        try:
            message = read(data)
        except ParseError as error:
            return str(error), error.status, error.partial and error.partial.encode()
        return message and (message, message.headers.first, message.encode())

    if (plainly := outcome(reading._plain)) is not None:
        assert plainly == outcome(reading._whole)


def test_a_header_name_without_a_colon_is_refused() -> None:
    assert "no colon: Subject" in str(refused(wire("INVITE sip:b SIP/2.0", *HEAD, "Subject")))
    assert request(wire("INVITE sip:b SIP/2.0", *HEAD, "Subject:")).headers.get("Subject") == ""
