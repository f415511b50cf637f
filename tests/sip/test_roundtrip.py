"""Parsed messages serialise back unchanged, and any input gives a message or a ParseError."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.sip.errors import ParseError
from proxy.sip.framing import StreamFramer
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response, parse_message
from proxy.sip.uri import Params, Uri
from proxy.sip.values import MAX_CSEQ, CSeq, NameAddr, Via
from tests.sip.shapes import KAMAILIO_INVITE, OPENAI_200, SIGNALWIRE_INVITE

SHAPES = [SIGNALWIRE_INVITE, KAMAILIO_INVITE, OPENAI_200]

few = settings(max_examples=100, deadline=None)
tokens = st.text("ABCxyz019-.!%*_+`'~", min_size=1, max_size=12)
lines = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=40)
values = lines.map(lambda text: text.strip(" \t"))
hosts = st.sampled_from(["example.com", "192.0.2.1", "[2001:db8::1]", "h"])
ports = st.none() | st.integers(1, 65535)
params = st.lists(st.tuples(tokens, st.none() | tokens | st.just('"a;b,c"')), max_size=4).map(
    lambda items: Params(tuple(items))
)
uri_params = st.lists(st.tuples(tokens, st.none() | tokens), max_size=3).map(
    lambda items: Params(tuple(items))
)
uris = st.builds(
    Uri,
    scheme=st.sampled_from(["sip", "sips"]),
    user=st.none() | tokens,
    host=hosts,
    port=ports,
    params=uri_params,
    headers=st.sampled_from(["", "a=b", "Replaces=x%3By"]),
)
bodies = st.binary(max_size=60)
core = [
    ("Via", "SIP/2.0/TCP h;branch=z9hG4bK1"),
    ("From", "<sip:a>;tag=1"),
    ("t", "<sip:b>"),
    ("Call-ID", "c"),
]
more = st.lists(st.tuples(tokens.map(lambda name: f"X-{name}"), values), max_size=5)


@st.composite
def messages(draw: st.DrawFn) -> Request | Response:
    body = draw(bodies)
    if draw(st.booleans()):
        method = draw(tokens)
        headers = Headers([*core, ("CSeq", f"1 {method}"), *draw(more), ("Content-Length", str(len(body)))])
        return Request(method, str(draw(uris)), headers, body)
    headers = Headers([*core, ("CSeq", "1 INVITE"), *draw(more), ("Content-Length", str(len(body)))])
    return Response(draw(st.integers(100, 699)), draw(values), headers, body)


@pytest.mark.parametrize("data", SHAPES)
def test_a_real_message_serialises_byte_for_byte(data: bytes) -> None:
    assert parse_message(data).encode() == data


@few
@given(messages())
def test_every_message_parses_back_unchanged(message: Request | Response) -> None:
    assert parse_message(message.encode()) == message


@few
@given(st.lists(messages(), min_size=1, max_size=3), st.data())
def test_every_split_of_the_stream_gives_the_same_messages(
    sent: list[Request | Response], data: st.DataObject
) -> None:
    stream = b"".join(message.encode() for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    framer = StreamFramer()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [parse_message(one) for piece in pieces for one in framer.feed(piece)] == sent


@pytest.mark.parametrize("keep_alive", [b"", b"\r\n\r\n"])
def test_messages_and_pings_are_framed_wherever_the_stream_is_split_rfc3261_18_3(keep_alive: bytes) -> None:
    stream = keep_alive.join([*SHAPES, *SHAPES])
    for cut in range(len(stream) + 1):
        framer = StreamFramer()
        assert [*framer.feed(stream[:cut]), *framer.feed(stream[cut:])] == [*SHAPES, *SHAPES]
        assert framer.take_pings() == (5 if keep_alive else 0)
    framer = StreamFramer()
    dripped = [message for place in range(len(stream)) for message in framer.feed(stream[place : place + 1])]
    assert dripped == [*SHAPES, *SHAPES]


@few
@given(uris)
def test_every_uri_parses_back_unchanged(uri: Uri) -> None:
    assert Uri.parse(str(uri)) == uri
    assert uri.matches(Uri.parse(str(uri)))


@few
@given(params)
def test_all_params_parse_back_unchanged(given_params: Params) -> None:
    assert Params.parse(str(given_params)) == given_params


@few
@given(st.builds(NameAddr, st.none() | lines, uris, params))
def test_every_address_parses_back_unchanged(address: NameAddr) -> None:
    assert NameAddr.parse(str(address)) == address
    assert Headers([("Contact", f"{address}, {address}")]).split("Contact") == [str(address)] * 2


@few
@given(st.builds(Via, st.sampled_from(["UDP", "TCP", "TLS"]), hosts, ports, params))
def test_every_via_parses_back_unchanged(via: Via) -> None:
    assert Via.parse(str(via)) == via


@few
@given(st.builds(CSeq, st.integers(0, MAX_CSEQ), tokens))
def test_every_cseq_parses_back_unchanged(cseq: CSeq) -> None:
    assert CSeq.parse(str(cseq)) == cseq


def read_all(message: Request | Response) -> None:
    names = (
        "via",
        "vias",
        "from_",
        "to",
        "call_id",
        "cseq",
        "contact",
        "routes",
        "record_routes",
        "max_forwards",
    )
    for name in (*names, "content_type", "target"):
        with contextlib.suppress(ParseError, AttributeError):
            getattr(message, name)


@few
@given(st.sampled_from(SHAPES), st.data())
def test_a_damaged_message_parses_or_raises_parse_error_with_an_answerable_partial(
    shape: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, 900))
    junk = data.draw(st.binary(max_size=4) | st.sampled_from([b"\r", b"\0", b'"', b"<", b"\n ", b";;", b","]))
    cut = data.draw(st.integers(0, 4))
    try:
        message = parse_message(shape[:place] + junk + shape[place + cut :])
    except ParseError as error:
        if error.partial is not None:
            read_all(error.partial)
            error.partial.reply(error.status, to_tag="x").encode()
    else:
        read_all(message)
        message.encode()


@few
@given(st.binary(max_size=300))
def test_random_bytes_raise_only_parse_error(noise: bytes) -> None:
    with pytest.raises(ParseError):
        parse_message(noise)
    with contextlib.suppress(ParseError):
        StreamFramer(max_bytes=200).feed(noise)
