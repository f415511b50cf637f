"""NameAddr, Via, CSeq, SessionExpires."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.sip.errors import ParseError
from proxy.sip.uri import Params, Uri
from proxy.sip.values import (
    CSeq,
    NameAddr,
    SessionExpires,
    TopVia,
    Via,
    parse_name_addr,
    parse_top_via,
    parse_via,
    retry_after,
    tag_of,
)


@pytest.mark.parametrize(
    ("text", "display", "uri", "tag"),
    [
        (
            "<sip:+13475550148@sip.signalwire.com>;tag=0eKr",
            None,
            "sip:+13475550148@sip.signalwire.com",
            "0eKr",
        ),
        ("sip:caller@example.com;tag=323", None, "sip:caller@example.com", "323"),
        ("caller<sip:caller@example.com>;tag=323", "caller", "sip:caller@example.com", "323"),
        ("Bob  the Builder <sip:b@example.com>", "Bob  the Builder", "sip:b@example.com", None),
        ('"" <sip:b@example.com>', "", "sip:b@example.com", None),
        ('"<;>, \\"x\\\\"<sip:b@example.com>;TAG=1', '<;>, "x\\', "sip:b@example.com", "1"),
        ("< sip:b@example.com > ; tag = 1 ;", None, "sip:b@example.com", "1"),
        ("<sip:x;lr?Replaces=1%3Bto-tag=2>", None, "sip:x;lr?Replaces=1%3Bto-tag=2", None),
        ("Größe <sip:b@example.com>", "Größe", "sip:b@example.com", None),
        ("Bell, Alexander <sip:a@example.com>;tag=43", "Bell, Alexander", "sip:a@example.com", "43"),
        ('"A, \\"B\\"" sip:b@example.com;tag=1;x', 'A, "B"', "sip:b@example.com", "1"),
        ('"Bob" tel:+15550100', "Bob", "tel:+15550100", None),
        ("<tel:+15550100>", None, "tel:+15550100", None),
        ("<isbn:2983792873>;tag=", None, "isbn:2983792873", None),
    ],
)
def test_an_address_is_parsed_with_or_without_brackets_rfc3261_20_10(
    text: str, display: str | None, uri: str, tag: str | None
) -> None:
    address = NameAddr.parse(text)
    assert (address.display, str(address.uri), address.tag) == (display, uri, tag)
    assert NameAddr.parse(str(address)) == address


def test_the_uri_of_an_address_is_serialised_as_received() -> None:
    address = NameAddr.parse("Bob <SIP:Bob@Example.COM;LR>;x=1")
    assert address.raw_uri == "SIP:Bob@Example.COM;LR"
    assert str(address) == '"Bob" <SIP:Bob@Example.COM;LR>;x=1'


def test_an_address_built_in_code_serialises_its_uri() -> None:
    address = NameAddr('A "B"', Uri("sip", "a", host="example.com"), Params((("tag", "1"),)))
    assert str(address) == '"A \\"B\\"" <sip:a@example.com>;tag=1'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        '"Mr. J. User <sip:j.user@example.com>',
        "sip:a@example.com, sip:b@example.com",
        "<sip:a@example.com>, <sip:b@example.com>",
        "<sip:a@example.com",
        "sip:a@example.com>",
        "<sip:a@example.com> tag=1",
        "<<sip:a@example.com>>",
        "<>",
        '"Joe" <sip:joe@example.org>;;;;',
        "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        '"Joe" sip:joe@example.org?Subject=x',
        '"Joe" sip:joe@example.org, "Jim" sip:jim@example.org',
        '"Joe" x <sip:joe@example.org>',
        "<sip:a@example.com:99999>",
    ],
)
def test_a_malformed_address_raises_parse_error_rfc4475_3_1_2(text: str) -> None:
    with pytest.raises(ParseError):
        NameAddr.parse(text)


def test_a_via_is_parsed() -> None:
    via = Via.parse("SIP/2.0/TLS 192.0.2.13:35181;received=192.0.2.14;rport=36607;branch=z9hG4bKX0c5")
    assert (via.transport, via.host, via.port) == ("TLS", "192.0.2.13", 35181)
    assert (via.branch, via.received, via.rport) == ("z9hG4bKX0c5", "192.0.2.14", 36607)
    assert via.sent_by == "192.0.2.13:35181"
    assert str(via) == "SIP/2.0/TLS 192.0.2.13:35181;received=192.0.2.14;rport=36607;branch=z9hG4bKX0c5"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("sip  /   2.0 /udp    192.0.2.2;branch=390skdjuw", "SIP/2.0/UDP 192.0.2.2;branch=390skdjuw"),
        ("SIP  / 2.0  / TCP     spindle.example.com   ;  branch  =   z9hG4bK9ikj8",
         "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8"),
        ("SIP/2.0/UDP [2001:db8::9] : 5060 ;rport", "SIP/2.0/UDP [2001:db8::9]:5060;rport"),
        ("SIP/2.0/UNKNOWN under_score.example.com", "SIP/2.0/UNKNOWN under_score.example.com"),
    ],
)  # fmt: skip
def test_a_via_with_white_space_is_parsed_rfc4475_3_1_1_1(text: str, plain: str) -> None:
    assert str(Via.parse(text)) == plain
    assert Via.parse(plain) == Via.parse(text)


def test_an_rport_without_value_is_filled_in_place_rfc3581() -> None:
    via = Via.parse("SIP/2.0/UDP 192.0.2.2;rport;branch=z9hG4bK1")
    assert via.rport is None
    assert via.params.has("rport")
    filled = via.with_("rport", "5062").with_("received", "198.51.100.1")
    assert str(filled) == "SIP/2.0/UDP 192.0.2.2;rport=5062;branch=z9hG4bK1;received=198.51.100.1"
    assert filled.rport == 5062


def test_brackets_around_an_ipv6_received_are_removed_rfc5118_4_5() -> None:
    for written in ("[2001:db8::9:255]", "2001:db8::9:255"):
        assert Via.parse(f"SIP/2.0/UDP [2001:db8::9:1];received={written}").received == "2001:db8::9:255"
    assert Via.parse("SIP/2.0/UDP h").received is None
    assert Via.parse("SIP/2.0/UDP h").branch is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/7.0/UDP host",
        "SIP/2.0/UDP host:0",
        "SIP/2.0/UDP host:65536",
        "SIP/2.0/UDP host:x",
        "SIP/2.0/UDP 2001:db8::1",
        "SIP/2.0/UDP 192.0.2.15;;",
        ";",
        "HTTP/1.1 host",
    ],
)
def test_a_malformed_via_raises_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        Via.parse(text)


def test_an_out_of_range_rport_raises_parse_error_when_read() -> None:
    via = Via.parse("SIP/2.0/UDP host;rport=99999")
    with pytest.raises(ParseError, match="port out of range"):
        _ = via.rport


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("105354320 INVITE", CSeq(105354320, "INVITE")),
        ("0009 \t INVITE ", CSeq(9, "INVITE")),
        ("2147483647 BYE", CSeq(2**31 - 1, "BYE")),
    ],
)
def test_a_cseq_is_parsed(text: str, value: CSeq) -> None:
    assert CSeq.parse(text) == value
    assert CSeq.parse(str(value)) == value


@pytest.mark.parametrize(
    "text", ["", "INVITE", "1", "1INVITE", "-1 INVITE", "1 INV ITE", "² INVITE", "1 INVITE,", "x INVITE"]
)
def test_a_malformed_cseq_raises_parse_error(text: str) -> None:
    with pytest.raises(ParseError, match="malformed CSeq"):
        CSeq.parse(text)


@pytest.mark.parametrize("number", ["2147483648", "36893488147419103232", "9" * 5000])
def test_a_cseq_number_of_2_31_or_more_raises_parse_error_with_400_rfc3261_8_1_1_5(number: str) -> None:
    with pytest.raises(ParseError, match="CSeq number out of range") as caught:
        CSeq.parse(f"{number} INVITE")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("text", "value", "plain"),
    [
        ("600;refresher=uac", SessionExpires(600, "uac"), "600;refresher=uac"),
        ("1800 ; Refresher = UAS", SessionExpires(1800, "uas"), "1800;refresher=uas"),
        ("90", SessionExpires(90), "90"),
        ("90;x=y", SessionExpires(90), "90"),
    ],
)
def test_session_expires_is_parsed_rfc4028_4(text: str, value: SessionExpires, plain: str) -> None:
    assert SessionExpires.parse(text) == value
    assert str(value) == plain


@pytest.mark.parametrize("text", ["", "soon", "-1", "4294967296", "600;refresher=me", "600;;"])
def test_a_malformed_session_expires_raises_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        SessionExpires.parse(text)


def test_received_omits_the_zone_of_a_link_local_address_rfc3261_25_1() -> None:
    via = Via.parse("SIP/2.0/UDP [fe80::9]:5060;branch=z9hG4bK1;rport")
    assert str(via.seen_from("fe80::1%eth0", 5061)).endswith(";rport=5061;received=fe80::1")


@pytest.mark.parametrize(
    ("text", "raw", "tag"),
    [
        ("<sip:a@b>;tag=1", "sip:a@b", "1"),
        ("<sip:a@b>;tag=2", "sip:a@b", "2"),
        ("<sip:a@b> ; tag = 3", "sip:a@b", "3"),
        ("<sip:a@b>;x=y>;tag=4", "sip:a@b", "4"),
        ('"a>b" <sip:a@b>;tag=5', "sip:a@b", "5"),
        ('<sip:a@b>;x="<c>;tag=0";tag=6', "sip:a@b", "6"),
    ],
)
def test_each_address_is_parsed_with_its_own_tag(text: str, raw: str, tag: str) -> None:
    address = NameAddr.parse(text)
    assert (address.raw_uri, address.tag) == (raw, tag)


@pytest.mark.parametrize("text", ["<sip:a@b>tag=1", "sip:a@b>;tag=1", "<sip:a@b;tag=1", "<>;tag=1"])
def test_a_malformed_address_raises_parse_error_despite_a_valid_tag(text: str) -> None:
    for _ in range(2):
        with pytest.raises(ParseError):
            NameAddr.parse(text)


def test_two_vias_with_the_same_sender_keep_their_own_branch() -> None:
    first, second = (Via.parse(f"SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bK{n}") for n in (1, 2))
    assert (first.host, first.port, first.branch) == ("[2001:db8::1]", 5070, "z9hG4bK1")
    assert (second.sent_by, second.branch) == (first.sent_by, "z9hG4bK2")
    long = "a" * 300
    assert Via.parse(f"SIP/2.0/UDP {long};branch=z9hG4bK3").host == long


def test_a_via_sent_from_its_own_address_gets_no_received_rfc3261_18_2_1() -> None:
    for host in ("192.0.2.1", "[2001:db8::1]"):
        via = Via.parse(f"SIP/2.0/UDP {host};branch=z9hG4bK1")
        assert via.seen_from(host.strip("[]"), 5060) is via


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120), ("18000;duration=3600", 18000), ("5 (I'm in a meeting)", 5), ("0", 0),
        ("soon", None), ("", None), ("1" * 10, None), ("\u0665", None), (None, None),
    ],
)  # fmt: skip
def test_retry_after_is_parsed_without_comment_and_duration_rfc3261_20_33(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after(value) == seconds


PIECES = st.sampled_from(
    ["<", ">", ";", "=", '"', " ", ",", "tag", "TAG", "branch", "Branch", "rport", "received", "alias", "x",
     "z9hG4bK", "sip:a@b", "SIP/2.0/UDP", "192.0.2.1", ":5060", ";tag=", ">;tag=", ";branch=", "\xe9", "?"]
)  # fmt: skip


def _read(reader: Callable[[str], object], text: str) -> object:
    try:
        return reader(text)
    except ParseError:
        return ParseError


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["", "<sip:a@b>;tag=", '"A" <sip:a@b']))
def test_tag_of_equals_the_tag_of_the_parsed_address(text: str, before: str) -> None:
    text = (before + text).strip()
    assert _read(tag_of, text) == _read(lambda whole: parse_name_addr(whole).tag, text)


@settings(max_examples=200)
@given(
    st.lists(PIECES, max_size=12).map("".join),
    st.sampled_from(
        [
            "",
            "SIP/2.0/UDP a;",
            "SIP/2.0/UDP a;branch=",
            "SIP/2.0/UDP a:1;branch=z9hG4bK1;rport",
            "SIP/2.0/UDP a;rport;branch=",
        ]
    ),
)
def test_parse_top_via_equals_the_parsed_via(text: str, before: str) -> None:
    def whole(text: str) -> object:
        via = parse_via(text)
        return via.host, via.sent_by.lower(), (via.branch or "").lower()

    text = (before + text).strip()
    assert _read(lambda text: parse_top_via(text)[:3], text) == _read(whole, text)
    top = _read(parse_top_via, text)
    if isinstance(top, TopVia) and (top.branch_only or top.rport_index):
        assert str(parse_via(text)) == text
        marked = text[: top.rport_index] + "=1" + text[top.rport_index :] if top.rport_index else text
        assert marked == str(parse_via(text).with_("rport", "1") if top.rport_index else parse_via(text))
        assert len(parse_via(text).params) == 1 + bool(top.rport_index)


@pytest.mark.parametrize(
    ("via", "sent_by", "branch", "bare", "asks"),
    [
        ("SIP/2.0/UDP A:5060;branch=z9hG4bK1;rport=5;received=192.0.2.1", "a:5060", "z9hg4bk1", False, ""),
        (
            "SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bK2;rport;alias",
            "[2001:db8::1]:5061",
            "z9hg4bk2",
            False,
            "",
        ),
        ("SIP/2.0/UDP a;branch=z9hG4bK", "a", "z9hg4bk", True, ""),
        ("SIP/2.0/UDP a;branch=z9hG4bK;rport", "a", "z9hg4bk", False, "SIP/2.0/UDP a;branch=z9hG4bK;rport"),
        ("SIP/2.0/UDP a;rport;branch=z9hG4bK3", "a", "z9hg4bk3", False, "SIP/2.0/UDP a;rport"),
        ("SIP/2.0/UDP a;rport;branch=z9hG4bK3;rport", "a", "z9hg4bk3", False, ""),
        ("SIP/2.0/UDP a;BRANCH=z9hG4bK3;branch=z9hG4bK4", "a", "z9hg4bk3", False, ""),
        ("SIP/2.0/UDP a;branch=z9hG4bK=4", "a", "z9hg4bk=4", False, ""),
        ("SIP / 2.0/udp a : 5062;branch=z9hG4bK5", "a:5062", "z9hg4bk5", False, ""),
        ("SIP/2.0/UDP a", "a", "", False, ""),
    ],
)
def test_parse_top_via_gives_sent_by_branch_and_rport_position(
    via: str, sent_by: str, branch: str, bare: bool, asks: str
) -> None:
    assert parse_top_via(via) == TopVia(parse_via(via).host, sent_by, branch, bare, len(asks))
