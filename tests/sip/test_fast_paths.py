"""The fast paths for plain messages give the same results as the general ones.

Messages are generated that are plain except for a few spots where the two might differ.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.sip import message as messages
from proxy.sip.dialog import Dialog, DialogId
from proxy.sip.errors import ParseError
from proxy.sip.framing import StreamFramer
from proxy.sip.headers import Headers, plain_headers, read_headers
from proxy.sip.message import Request, Response, parse_message
from proxy.sip.transaction_key import client_key, server_key
from proxy.sip.uri import NO_PARAMS, Params, Uri, check_uri
from proxy.sip.values import CSeq, NameAddr, Via, parse_address, parse_top_via, tag_of, via_sender

often = settings(max_examples=300, deadline=None)

SPOTS = ["", " ", "  ", "\t", " \t ", "\r\n ", "\r\n\t", "\n ", "\n", "\r", "\r\n",
         "\0", ",", ";", ":", '"', "\\", "<",
         ">", "=", "é", "\udcff", "\u2028", "\x85", "\x1c", "\x7f"]  # fmt: skip
"""Unusual fragments to insert anywhere."""

spots = st.sampled_from(SPOTS)
ADDRESSES = [
    "<sip:alice@example.com>", '"Alice" <sip:alice@example.com;user=phone>', "sip:alice@example.com",
    '"A >;tag=x, \\"<B>\\"; c" <sip:alice@example.com>', "Alice B <sips:alice@[2001:db8::1]:5061;lr>",
    "<tel:+14155550100>", "<sip:alice@example.com>;x=<y>", '<sip:a@b>;x="<;,>"', '"" <sip:a@b>', "<>", "",
    '"José" <sip:jos%C3%A9@example.com>', "<sip:a@b>, <sip:c@d>",
]  # fmt: skip
TAGS = ["", ";tag=1", ";TAG=1", "; tag=1", ";tag =1", ";tag=", ";tag", ";tag=1;tag=2", ";x=1;tag=1",
        ";tag=1;x", ";;tag=1", ";tag=1;", ';tag="1"', ";tag=1 ",
        ";tag=é", ";tag=<1>", ">;tag=1", ";tag=a=b", ";tag=1\t"]  # fmt: skip
VIAS = ["SIP/2.0/UDP h;branch=z9hG4bK1", "SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK1;rport",
        "SIP/2.0/UDP h",
        "sip / 2.0 / udp h : 5060 ; branch = z9hG4bK1", "SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b;branch=2", "",
        "SIP/2.0/UDP h;rport;branch=z9hG4bK1;received=192.0.2.1",
        "SIP/2.0/UDP h;branch=z9;branch=z8"]  # fmt: skip
URIS = [
    "sip:token@192.0.2.1:5060", "sip:token@h;transport=tcp", "sip:+14155550100@[2001:db8::1]:5061;lr",
    "sip:token@h;x=<y>", "sip:token@h?x=<y>", "sip:token@h;;lr", "sip:token@h;=x", "sip:token@h:0",
    "sip:token@h:70000", "sip:token@h:", "sip:a@b@h", "sip:@h", "sip:a:b@h", "sip:a@", "sip:h",
    "sips:token@h", "SIP:token@h", "tel:+14155550100@h", "xyz:token@h", "token@h", "sip:é@h", "sip:", "",
]  # fmt: skip
LENGTHS = [
    "0",
    "3",
    "4",
    "5",
    "04",
    "4, 4",
    "4,5",
    "",
    "+4",
    "4 ",
    "٤",
    "99999999999999999999999",
    "-1",
    "4;x",
]
FIELDS = [
    ("Via", VIAS), ("From", ADDRESSES), ("To", ADDRESSES), ("Call-ID", ["c", "", "a b", "a,b"]),
    ("CSeq", ["1 INVITE", "1  INVITE", "01 INVITE", "1 invite", "1 BYE", "INVITE", "1\tINVITE",
              "2147483648 INVITE"]),
    ("Max-Forwards", ["70", "70, 70", "70,71", "256", "", "x"]), ("Content-Length", LENGTHS),
    ("Contact", ADDRESSES), ("Record-Route", ["<sip:r;lr>", "<sip:r;lr>, <sip:q;lr>", ", <sip:r;lr>,"]),
    ("Content-Type", ["application/sdp", "APPLICATION/SDP", "application / sdp;x=y", ""]),
    ("Subject", ["", "a: b", ":"]), ("X-Y", ["v", ""]), ("No Token", ["v"]), ("", ["v"]),
    ("Supported", ["timer,100rel", ",", "timer , path"]),
]  # fmt: skip
COMPACT = {"Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Content-Length": "l", "Contact": "m"}


@st.composite
def lines(draw: st.DrawFn, name: str, values: list[str]) -> str:
    """A plain header line, possibly with one unusual fragment somewhere."""
    value = draw(st.sampled_from(values))
    if name in ("From", "To"):
        value += draw(st.sampled_from(TAGS))
    if draw(st.booleans()):
        return f"{name}: {value}"
    name = draw(st.sampled_from([name, name.lower(), name.upper(), COMPACT.get(name, name)]))
    colon = draw(st.sampled_from([": ", ":", " : ", ":  ", ":\t", ": \r\n ", "", ":\r\n\t"]))
    line = f"{name}{colon}{value}"
    place = draw(st.integers(0, len(line)))
    return line[:place] + draw(spots) + line[place:] + draw(st.sampled_from(["", "", " ", "\t"]))


@st.composite
def nearly_plain(draw: st.DrawFn) -> bytes:
    """A whole message that is plain except for a few lines."""
    start = draw(
        st.sampled_from(
            ["INVITE sip:a@b SIP/2.0", "BYE sip:a@b SIP/2.0", "SIP/2.0 200 OK", "SIP/2.0 180", "sip/2.0 180 ",
             "X", "INVITE  sip:a@b SIP/2.0", "INVITE sip:a@b SIP/2.0 ", "INVITE a SIP/2.0",
             "INVITE sip:a@b SIP/3.0", "INVITE sip:a@b sip/2.0",
             "SIP/2.0 700 X", "SIP/2.0 200 O\tK", "INVITE sip:\xe9@b SIP/2.0", ""]
        )
    )  # fmt: skip
    if start.startswith("INVITE") or draw(st.booleans()):
        start = draw(st.sampled_from([start, "INVITE sip:a@b SIP/2.0", "SIP/2.0 200 OK"]))
    plain = {"Via": VIAS[0], "From": "<sip:a@b>;tag=1", "To": "<sip:c@d>", "Call-ID": "c", "CSeq": "1 INVITE"}
    head = [f"{name}: {value}" for name, value in plain.items()]
    for name, values in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        line = draw(lines(name, values))
        place = list(plain).index(name) if name in plain and draw(st.booleans()) else None
        if place is None:
            head.insert(draw(st.integers(0, len(head))), line)
        else:
            head[place] = line
    end = draw(st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r"]))
    blank = draw(st.sampled_from([end, end, end, "\n", "", "\r\n", " \r\n"]))
    body = draw(st.sampled_from([b"", b"v=0\n", b"body", b"\r\n\r\nx", b"\xff\0"]))
    before = draw(st.sampled_from(["", "", "\r\n", "\n", "\r\n\r\n"]))
    text = before + end.join([start, *head]) + end + blank
    return text.encode("utf-8", "surrogateescape") + body


Reader = Callable[[bytes], Request | Response | None]


def outcome(read: Reader, data: bytes) -> object:
    """The observable outcome of parsing."""
    try:
        message = read(data)
    except ParseError as error:
        partial = error.partial
        return str(error), error.status, partial and (partial.start_line, list(partial.headers), partial.body)
    assert message is not None
    return (
        type(message),
        message.start_line,
        list(message.headers),
        message.body,
        values_of(message),
        message.encode(),
    )


def values_of(message: Request | Response) -> list[object]:
    """The values of all its header properties."""
    names = ("via", "top_via", "vias", "via_count", "from_", "sender", "to", "from_tag", "to_tag", "call_id",
             "cseq", "contact", "routes", "record_routes", "max_forwards", "content_type")  # fmt: skip
    found: list[object] = [
        message.headers.first,
        message.headers.get_all("Via"),
        message.headers.split("Supported"),
    ]
    for name in names:
        try:
            found.append(getattr(message, name))
        except ParseError as error:
            found.append((str(error), error.status))
    return found


def with_fragments(text: str, marks: list[str], data: st.DataObject) -> str:
    """The text with each of these marks inserted at a random place."""
    for mark in marks:
        place = data.draw(st.integers(0, len(text)))
        text = text[:place] + mark + text[place:]
    return text


@often
@given(nearly_plain())
@example(b"\r\n\r\n")
@example(b"")
def test_the_fast_parser_gives_the_same_message_as_the_general_one(data: bytes) -> None:
    assert outcome(parse_message, data) == outcome(lambda data: messages._whole(data.lstrip(b"\r\n")), data)


@often
@given(nearly_plain())
def test_an_encoded_message_parses_to_the_same_message(data: bytes) -> None:
    try:
        message = parse_message(data)
    except ParseError:
        return
    written = message.encode()
    again = parse_message(written)
    values_of_both = [[each for each in values_of(one)[3:]] for one in (message, again)]
    assert values_of_both[0] == values_of_both[1]
    assert (again.start_line, again.body) == (message.start_line, message.body)
    assert again.encode() == written
    assert messages._whole(written) == again
    assert StreamFramer().feed(written) == [written]


@often
@given(st.sampled_from(FIELDS).flatmap(lambda field: st.lists(lines(*field), max_size=4)))
def test_plain_header_lines_give_the_same_headers_as_the_general_parser(texts: list[str]) -> None:
    plain = plain_headers("X", [*texts], ("from", "cseq", "max-forwards"))
    if plain is None:
        return
    general, fault = read_headers(texts, ("from", "cseq", "max-forwards"))
    assert fault is None
    assert list(plain) == list(general)
    assert plain.first == general.first
    assert plain.encode("X", b"body") == general.encode("X", b"body")


@often
@given(nearly_plain(), st.sampled_from([100, 180, 200, 486]), st.sampled_from([None, "me"]))
def test_a_reply_copies_the_headers_of_its_request(data: bytes, status: int, tag: str | None) -> None:
    try:
        request = parse_message(data)
    except ParseError as error:
        request = error.partial or Response(100, "")
    if isinstance(request, Response):
        return
    had, answer = request.headers, request.reply(status, to_tag=tag)
    once = [name for name in ("From", "To", "Call-ID", "CSeq") if name in had]
    if status == 100 and "Timestamp" in had:
        once.append("Timestamp")
    lines = [("Via", value) for value in had.get_all("Via")]
    if status in (180, 200) and request.method == "INVITE":
        lines += [("Record-Route", value) for value in had.get_all("Record-Route")]
    lines += [
        (name, answer.headers.first["to"] if name == "To" else had.first[name.lower()]) for name in once
    ]
    assert list(answer.headers) == lines
    assert as_one_by_one(answer)
    if "To" in had:
        to, values_of = had.first["to"], answer.headers.first["to"]
        assert values_of in (to, to.rstrip(" \t;") + f";tag={tag}")
        assert values_of == to or result_of(lambda text: NameAddr.parse(text).tag, to) is None


CHANGES: list[Callable[[Headers], object]] = [
    lambda headers: headers.add("Via", "x"),
    lambda headers: headers.prepend("To", "x"),
    lambda headers: headers.set("To", "x"),
    lambda headers: headers.set("New", "x"),
    lambda headers: headers.rewrite("From", "x"),
    lambda headers: headers.remove("Via"),
    lambda headers: headers.remove("To"),
    lambda headers: headers.pop_first("Via"),
    lambda headers: headers.extend([("To", "y"), ("Content-Length", "5")]),
    lambda headers: headers.extend_constant((("Allow", "ACK"), ("Supported", "timer"))),
    lambda headers: headers.take(Headers([("Via", "m"), ("Via", "n")]), "Via"),
    lambda headers: headers.encode("X", b"x"),
    list,
]


@often
@given(st.lists(st.sampled_from(CHANGES), max_size=5), st.booleans())
def test_headers_from_one_text_behave_like_headers_added_one_by_one(
    changes: list[Callable[[Headers], object]], more: bool
) -> None:
    together = Headers.from_text("Via: a, b\r\nFrom: c\r\nTo: d", {"via": "a, b", "from": "c", "to": "d"})
    single = Headers()
    for name, value in [("Via", "a, b"), ("From", "c"), ("To", "d")]:
        single.add(name, value)
    for headers in (together, single):
        if more:
            headers.add("Via", "e")
        for change in changes:
            change(headers)
    assert together.encode("X", b"body") == single.encode("X", b"body")
    assert list(together) == list(single)
    assert together.first == single.first
    assert together.get_all("Via") == single.get_all("Via")
    assert len(together) == len(single) == len(list(single))


def as_one_by_one(message: Request | Response) -> bool:
    """Lines added as one text equal the same lines added one by one."""
    single = Headers()
    for name, value in message.headers.copy():
        single.add(name, value)
    start = message.start_line
    assert message.encode() == single.encode(start, message.body)
    names = [name for name, _ in single]
    assert [single.get_all(name) for name in names] == [message.headers.get_all(name) for name in names]
    return message.headers.first == single.first and len(message.headers) == len(single)


def result_of(read: Callable[[str], object], text: str) -> object:
    try:
        return read(text)
    except ParseError:
        return ParseError


pieces = st.sampled_from(
    [";", "=", "a", "B", "tag", "lr", '"', '";"', " ", "\t", "\\", ",", "<", ">", "1", "é", ""]
)


@often
@given(st.lists(pieces, max_size=10).map("".join))
@example(";")
@example(";;")
@example(";a=")
def test_plain_params_give_the_same_as_the_general_parser(text: str) -> None:
    def general(text: str) -> Params:
        text = text.strip(" \t")
        if text and text[0] != ";":
            raise ParseError("no semicolon")
        return Params._read(text) if text else NO_PARAMS

    assert result_of(Params.parse, text) == result_of(general, text)


@often
@given(st.sampled_from(ADDRESSES), st.sampled_from(TAGS), st.lists(spots, max_size=2), st.data())
def test_from_and_to_of_a_dialog_serialise_as_the_parsed_address(
    address: str, tag: str, marks: list[str], data: st.DataObject
) -> None:
    end = with_fragments(address + tag, marks, data).strip(" \t")
    try:
        read = NameAddr.parse(end)
    except ParseError:
        return
    if not read.uri.host or any(mark in end for mark in "\r\n\0"):
        return  # cannot occur in a header line
    routes = data.draw(st.sampled_from([(), ("<sip:r;lr>",), ("<sip:r;lr>", "<sip:q>"), ("<sip:q>",)]))
    id = DialogId("c", "l", read.tag or "")
    dialog = Dialog(id, "<sip:l@h>;tag=l", end, "sip:t@h", routes, 1, None, True)
    bye = dialog.request("BYE", ("Reason", "SIP"))
    assert bye.headers.get("To") == str(dialog.remote)
    assert as_one_by_one(bye)
    assert NameAddr.parse(str(dialog.remote)).params == read.params


@often
@given(st.sampled_from(ADDRESSES), st.sampled_from(TAGS), st.lists(spots, max_size=2), st.data())
def test_parse_address_and_tag_of_match_the_general_address_parser(
    address: str, tag: str, marks: list[str], data: st.DataObject
) -> None:
    text = with_fragments(address + tag, marks, data)

    def without_tag(read: Callable[[str], NameAddr]) -> Callable[[str], object]:
        def party(text: str) -> object:
            found = read(text)
            return found.display, found.uri, found.raw_uri, found.params.without("tag")

        return party

    assert result_of(without_tag(parse_address), text) == result_of(without_tag(NameAddr.parse), text)
    assert result_of(tag_of, text) == result_of(lambda whole: NameAddr.parse(whole).tag, text)


@often
@given(st.sampled_from(VIAS), st.lists(spots, max_size=2), st.data())
def test_via_sender_and_parse_top_via_match_the_general_via_parser(
    via: str, marks: list[str], data: st.DataObject
) -> None:
    text = with_fragments(via, marks, data)
    try:
        whole = Via.parse(text)
    except ParseError:
        return  # the sender does not depend on the parameters
    assert via_sender(text) == (whole.transport, whole.host, whole.port)
    top = parse_top_via(text)
    assert (top.host, top.sent_by, top.branch) == (
        whole.host, whole.sent_by.lower(), (whole.branch or "").lower()
    )  # fmt: skip


@often
@given(nearly_plain())
def test_transaction_keys_match_the_parsed_properties(data: bytes) -> None:
    def expected_key(message: Request | Response) -> object:
        if isinstance(message, Response):
            if not message.top_via.branch:
                raise ParseError("no branch")
            return message.top_via.branch, message.cseq.method, "", ()
        method = "INVITE" if message.method == "ACK" else message.method
        if not message.top_via.branch.startswith("z9hg4bk") or message.top_via.branch == "z9hg4bk":
            return server_key(message)
        return message.top_via.branch, method, message.top_via.sent_by, ()

    try:
        message = parse_message(data)
    except ParseError:
        return
    key = server_key if isinstance(message, Request) else client_key
    try:
        expected = expected_key(message)
    except ParseError:
        with pytest.raises(ParseError):
            key(message)  # type: ignore[arg-type]
        return
    assert key(message) == expected  # type: ignore[arg-type]


@often
@given(st.sampled_from(ADDRESSES), st.sampled_from(TAGS), st.lists(spots, max_size=2), st.data())
def test_a_cached_address_equals_a_newly_parsed_one(
    address: str, tag: str, marks: list[str], data: st.DataObject
) -> None:
    text = with_fragments(address + tag, marks, data)
    assert result_of(NameAddr.parse, text) == result_of(
        lambda whole: NameAddr._read_whole(whole.strip(" \t")), text
    )


@often
@given(st.sampled_from(URIS), st.lists(spots, max_size=2), st.data())
def test_check_uri_fails_exactly_where_uri_parsing_fails(
    uri: str, marks: list[str], data: st.DataObject
) -> None:
    text = with_fragments(uri, marks, data)

    def read(text: str) -> None:
        Uri.parse(text)

    assert result_of(check_uri, text) == result_of(read, text)


@pytest.mark.parametrize("kind", [NameAddr, Via, CSeq, Uri])
def test_a_text_too_long_for_the_cache_is_parsed_the_same(kind: type[NameAddr | Via | CSeq | Uri]) -> None:
    long = "a" * 300
    text = {
        NameAddr: f"<sip:{long}@h>;tag=1", Via: f"SIP/2.0/UDP h;branch={long}", CSeq: f"1 {long}",
        Uri: f"sip:{long}@h",
    }[kind]  # fmt: skip
    assert kind.parse(text) == kind._read(text)
    assert str(kind.parse(text)) == text
