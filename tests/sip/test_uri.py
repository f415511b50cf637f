"""Uri and Params."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.sip.errors import ParseError
from proxy.sip.uri import NO_PARAMS, Params, Uri


def test_params_keep_order_spelling_and_valueless_flags() -> None:
    params = Params.parse(" ;Transport=TLS; lr ;x = 1;y=")
    assert params.items == (("Transport", "TLS"), ("lr", None), ("x", "1"), ("y", ""))
    assert str(params) == ";Transport=TLS;lr;x=1;y="
    assert len(params) == 4
    assert list(params)[1] == ("lr", None)


def test_param_names_are_case_insensitive_and_the_first_value_counts() -> None:
    params = Params.parse(";TAG=a;lr;tag=b")
    assert params.get("tag") == "a"
    assert params.get("LR") is None
    assert params.has("LR")
    assert not params.has("x")
    assert params.get("x") is None


def test_a_quoted_value_protects_its_semicolons_and_keeps_its_quotes() -> None:
    params = Params.parse(';+sip.instance="<urn:uuid:1;2>";q=1')
    assert params.get("+sip.instance") == '"<urn:uuid:1;2>"'
    assert params.get("q") == "1"


def test_one_trailing_semicolon_is_accepted() -> None:
    assert Params.parse(";lr;") == Params.parse(";lr")
    assert Params.parse(";") == NO_PARAMS
    assert str(NO_PARAMS) == ""


@pytest.mark.parametrize(
    "text", [";;", ";;a", ";a;;b", ";=b", "a=b", ';a="open', ';a="b"c', ";a=b c", ";a b=c", ';"a"=b', "x"]
)
def test_malformed_params_raise_parse_error_rfc4475_3_1_2_1(text: str) -> None:
    with pytest.raises(ParseError):
        Params.parse(text)


def test_a_param_is_replaced_in_place_appended_or_removed() -> None:
    params = Params.parse(";rport;branch=z9hG4bKa")
    assert str(params.with_("RPORT", "5060")) == ";rport=5060;branch=z9hG4bKa"
    assert str(params.with_("received", "192.0.2.1")) == ";rport;branch=z9hG4bKa;received=192.0.2.1"
    assert str(params.with_("lr")) == ";rport;branch=z9hG4bKa;lr"
    assert str(params.without("Rport")) == ";branch=z9hG4bKa"


def test_every_part_of_a_sip_uri_is_parsed() -> None:
    uri = Uri.parse("sips:alice:se:cret@[2001:db8::1]:5061;Transport=TLS;lr?Subject=a&Replaces=x%3Bto-tag=1")
    assert uri == Uri(
        "sips",
        "alice",
        "se:cret",
        "[2001:db8::1]",
        5061,
        Params((("Transport", "TLS"), ("lr", None))),
        "Subject=a&Replaces=x%3Bto-tag=1",
    )
    assert uri.transport == "tls"
    assert uri.loose
    assert uri.secure


def test_a_uri_with_only_a_host_has_no_user_port_or_transport() -> None:
    uri = Uri.parse("SIP:Example.COM")
    assert (uri.scheme, uri.user, uri.host, uri.port) == ("sip", None, "Example.COM", None)
    assert uri.transport is None
    assert not uri.loose
    assert not uri.secure


def test_lr_with_a_value_marks_a_loose_router() -> None:
    assert Uri.parse("sip:203.0.113.10;r2=on;lr=on;did=e61.bc32").loose


def test_the_user_part_may_contain_semicolons_rfc4475_3_1_1_9() -> None:
    uri = Uri.parse("sip:user;par=u%40example.net@example.com")
    assert uri.user == "user;par=u%40example.net"
    assert uri.host == "example.com"
    assert uri.params == NO_PARAMS


def test_a_tel_uri_is_parsed_into_number_and_params_rfc3966() -> None:
    uri = Uri.parse("tel:+1-555-0100;phone-context=example.com")
    assert (uri.scheme, uri.user, uri.host) == ("tel", "+1-555-0100", "")
    assert uri.params.get("phone-context") == "example.com"


@pytest.mark.parametrize(
    "text", ["nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://192.0.2.103:3002", "http://a/b;c?d"]
)
def test_another_scheme_is_kept_opaque_rfc4475_3_3_2(text: str) -> None:
    uri = Uri.parse(text)
    scheme, _, rest = text.partition(":")
    assert (uri.scheme, uri.user, uri.host) == (scheme.lower(), rest, "")
    assert str(uri) == scheme.lower() + ":" + rest


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@example.com",
        "sip:alice:@example.com:5060;transport=tcp",
        "sips:[::ffff:192.0.2.10]:5061;lr?a=b",
        "sip:198.51.100.114:5060;r2=on;lr;ftag=0eKrUHDBKvXFB;nat=yes",
        "sip:mod_sofia@192.0.2.13:35181;transport=tls;swrad=192.0.2.13~36607~3",
        "sip:null-%00-null@example.com",
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
        "tel:+15550100;ext=1",
    ],
)
def test_a_parsed_uri_serialises_unchanged(text: str) -> None:
    assert str(Uri.parse(text)) == text
    assert Uri.parse(str(Uri.parse(text))) == Uri.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        "tel:",
        "tel:;ext=1",
        ":alice",
        "<sip:user@example.com>",
        "sip:user@example.com; lr",
        "sip:us er@example.com",
        'sip:"user"@example.com',
        "sip:@example.com",
        "sip:user@",
        "sip:user@exam\0ple.com",
        "sip:user@a@b",
        "sip:2001:db8::10",
        "sip:[2001:db8::10",
        "sip:host:",
        "sip:host:port",
        "sip:host:0",
        "sip:host:65536",
        "sip:host:99999999999999999999",
        "sip:host;;lr",
        "*",
    ],
)
def test_a_malformed_uri_raises_parse_error_with_400(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        Uri.parse(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&Subject=project%20x",
        ),
        ("tel:+1-(555)-01.00", "tel:+15550100"),
        ("isbn:2983792873", "ISBN:2983792873"),
    ],
)
def test_equivalent_uris_match_rfc3261_19_1_4(one: str, other: str) -> None:
    assert Uri.parse(one).matches(Uri.parse(other))
    assert Uri.parse(other).matches(Uri.parse(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;user=phone"),
        ("sip:bob:a@biloxi.com", "sip:bob:b@biloxi.com"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("tel:+15550100", "tel:+15550101"),
        ("tel:+15550100", "tel:+15550100;ext=1"),
    ],
)
def test_different_uris_do_not_match_rfc3261_19_1_4(one: str, other: str) -> None:
    assert not Uri.parse(one).matches(Uri.parse(other))
    assert not Uri.parse(other).matches(Uri.parse(one))


@pytest.mark.parametrize(
    ("whole", "logical"),
    [
        ("sip:bob@biloxi.com:5061;transport=tls;user=phone?Subject=x", "sip:bob@biloxi.com;user=phone"),
        ("sips:[2001:db8::1]:5061;lr;maddr=192.0.2.1;ttl=1;method=BYE", "sips:[2001:db8::1]"),
        ("tel:+15550100;ext=1", "tel:+15550100;ext=1"),
    ],
)
def test_the_logical_uri_omits_what_from_and_to_must_not_contain_rfc3261_19_1_1(
    whole: str, logical: str
) -> None:
    assert str(Uri.parse(whole).logical) == logical


URI_PIECES = st.sampled_from(
    ["alice", "+1415", "@", "a.example", "[2001:db8::1]", ":", "5060", "0", ";lr", ";transport=tcp", ";",
     "?h=v", "%40", "é", "=", " ", "+", "<", "tel:"]
)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(URI_PIECES, max_size=8).map("".join), st.sampled_from(["sip:", "sips:a@b", "sip:a@b:5060"]))
def test_the_fast_uri_parser_gives_the_same_result_as_the_general_one(text: str, before: str) -> None:
    """A URI with a dash in its user always takes the slow path."""
    try:
        plain: Uri | None = Uri._read(f"{before}{text}")
    except ParseError:
        plain = None
    scheme, _, rest = f"{before}{text}".partition(":")
    user, at, place = rest.partition("@")
    if not at or not user.removeprefix("+").isalnum():
        return
    try:
        whole: Uri | None = Uri._read(f"{scheme}:-{user}@{place}")
    except ParseError:
        whole = None
    assert plain == (whole and replace(whole, user=user))
