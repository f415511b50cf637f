"""StreamFramer: framing of messages on a byte stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sip.errors import ParseError
from proxy.sip.framing import StreamFramer
from proxy.sip.message import parse_message
from tests.sip.shapes import KAMAILIO_INVITE, OPENAI_200, SIGNALWIRE_INVITE

OPTIONS = (
    b"OPTIONS sip:b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\n"
    b"Call-ID: c\r\nCSeq: 1 OPTIONS\r\n"
)


def broken(framer: StreamFramer, data: bytes) -> ParseError:
    with pytest.raises(ParseError) as caught:
        framer.feed(data)
    return caught.value


def test_messages_are_framed_wherever_the_stream_is_split_rfc3261_18_3() -> None:
    messages = [SIGNALWIRE_INVITE, OPENAI_200, KAMAILIO_INVITE]
    stream = b"\r\n".join(messages)
    assert StreamFramer().feed(stream) == messages
    for size in (1, 2, 3, 7, 100, 1000):
        framer = StreamFramer()
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert [message for piece in pieces for message in framer.feed(piece)] == messages


def test_a_single_message_in_a_chunk_is_returned_without_a_copy() -> None:
    assert StreamFramer().feed(OPENAI_200)[0] is OPENAI_200


def test_empty_lines_in_a_body_do_not_end_the_headers() -> None:
    message = OPTIONS + b"Content-Length: 8\r\n\r\n\r\n\r\na\n\nb"
    framer = StreamFramer()
    assert framer.feed(message + message[:-1]) == [message]
    assert framer.feed(message[-1:]) == [message]


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 3",
        b"content-length:3",
        b"L :\t3",
        b"l:\r\n  3 ",
        b"Content-Length: 03",
        b"l: 3\r\nL: 3",
    ],
)
def test_content_length_is_read_in_compact_folded_padded_and_repeated_form(line: bytes) -> None:
    message = OPTIONS + line + b"\r\n\r\nabc"
    assert StreamFramer().feed(message + message) == [message, message]
    parse_message(message)


def test_lines_ending_in_lf_alone_are_accepted() -> None:
    message = (OPTIONS + b"Content-Length: 3\r\n\r\n").replace(b"\r\n", b"\n") + b"abc"
    assert StreamFramer().feed(message * 2) == [message, message]


def test_a_double_crlf_is_a_ping_and_a_single_one_a_pong_rfc5626_4_4_1() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n\r\n\r\n") == []
    assert framer.take_pings() == 2
    assert framer.take_pings() == 0
    assert framer.pongs == 0
    assert framer.feed(OPTIONS + b"l: 0\r\n\r\n\r\n") == [OPTIONS + b"l: 0\r\n\r\n"]
    assert framer.take_pings() == 0
    assert framer.pongs == 1


def test_a_ping_received_byte_by_byte_counts_as_a_ping() -> None:
    framer = StreamFramer()
    for byte in (b"\r", b"\n", b"\r", b"\n"):
        assert framer.feed(byte) == []
    assert framer.take_pings() == 1


def test_pongs_before_and_after_a_message_are_not_joined_into_a_ping() -> None:
    framer = StreamFramer()
    framer.feed(b"\r\n")
    framer.feed(OPTIONS + b"l: 0\r\n\r\n")
    framer.feed(b"\r\n")
    assert framer.take_pings() == 0
    assert framer.pongs == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"", "missing Content-Length"),
        (b"Content-Length: 3\r\nl: 4\r\n", "conflicting values of content-length"),
        (b"Content-Length: -3\r\n", "Content-Length is not a number"),
        (b"Content-Length: +3\r\n", "Content-Length is not a number"),
        (b"Content-Length: 3, 4\r\n", "Content-Length is not a number"),
        (b"Content-Length:\r\n", "Content-Length is not a number"),
        (b"Content-Length: \xb2\r\n", "Content-Length is not a number"),
    ],
)
def test_a_missing_malformed_or_ambiguous_content_length_breaks_the_stream_rfc3261_18_3(
    lines: bytes, message: str
) -> None:
    framer = StreamFramer()
    error = broken(framer, OPTIONS + lines + b"\r\nabc")
    assert message in str(error)
    assert error.status == 400
    assert error.partial is not None
    assert error.partial.call_id == "c"
    assert framer.fault is error
    assert broken(framer, SIGNALWIRE_INVITE) is error


def test_a_content_length_repeated_on_one_line_counts_once() -> None:
    message = OPTIONS + b"Content-Length: 3, 3\r\n\r\nabc"
    assert StreamFramer().feed(message) == [message]


def test_content_length_in_place_of_the_start_line_is_ignored() -> None:
    error = broken(StreamFramer(), b"Content-Length: 3\r\nTo: <sip:b>\r\n\r\nabc")
    assert "missing Content-Length" in str(error)


def test_messages_before_a_malformed_one_are_returned_first() -> None:
    framer = StreamFramer()
    good = OPTIONS + b"l: 0\r\n\r\n"
    assert framer.feed(good + OPTIONS + b"\r\n") == [good]
    assert framer.fault is not None
    assert broken(framer, b"") is framer.fault


def test_a_malformed_response_or_non_sip_message_has_no_partial_request() -> None:
    framer = StreamFramer()
    assert broken(framer, OPENAI_200.replace(b"Content-Length: 202\r\n", b"")).partial is None
    assert broken(StreamFramer(), b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").partial is None


def test_a_message_above_the_size_limit_gets_513_rfc3261_21_5_7() -> None:
    error = broken(StreamFramer(max_bytes=1000), OPTIONS + b"Content-Length: 900\r\n\r\n")
    assert error.status == 513
    assert error.partial is not None


def test_unterminated_headers_above_the_size_limit_get_513() -> None:
    framer = StreamFramer(max_bytes=1000)
    assert framer.feed(b"x" * 1000) == []
    error = broken(framer, b"x")
    assert error.status == 513
    assert error.partial is None


def test_a_message_of_exactly_the_maximum_size_is_accepted() -> None:
    message = OPTIONS + b"Content-Length: 3\r\n\r\nabc"
    assert StreamFramer(max_bytes=len(message)).feed(message * 2) == [message, message]


def test_headers_are_scanned_only_once_while_the_body_arrives_slowly(monkeypatch) -> None:
    framer = StreamFramer()
    head = b"OPTIONS sip:x SIP/2.0\r\n" + b"X: y\r\n" * 7000 + b"Content-Length: 2000\r\n\r\n"
    assert framer.feed(head) == []
    monkeypatch.delattr("proxy.sip.framing._LENGTHS")  # scanning the head again would fail
    for _ in range(1999):
        assert framer.feed(b"x") == []
    assert framer.feed(b"x") == [head + b"x" * 2000]


def test_partial_is_true_while_a_message_is_incomplete() -> None:
    framer = StreamFramer()
    assert not framer.partial
    framer.feed(b"\r\n\r\nOPTIONS")
    assert framer.partial
    framer.feed(b" sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n")
    assert not framer.partial


def test_a_single_crlf_after_each_of_our_pings_counts_as_its_pong_rfc5626_4_4_1() -> None:
    framer = StreamFramer()
    for answered in range(1, 6):
        framer.note_ping_sent()
        assert framer.feed(b"\r\n") == []
        assert framer.pongs == answered
    assert framer.take_pings() == 0


def test_a_ping_from_the_peer_is_not_a_pong_to_ours() -> None:
    framer = StreamFramer()
    framer.note_ping_sent()
    framer.feed(b"\r\n\r\n")
    assert (framer.take_pings(), framer.pongs) == (1, 0)
    framer.feed(b"\r\n\r\n\r\n")
    assert (framer.take_pings(), framer.pongs) == (1, 1)


SPELLINGS = st.lists(
    st.sampled_from(
        ["Content-Length: 4", "Content-Length: 04", "content-length: 5", "Content-Length : 4",
         "Content-Length:4", "l: 4", "L:5", "Content-Length: 4, 4", "Content-Length: 4\r\n ",
         "Content-Length: ", "Subject: l", "X-Content-Length: 9",
         "Content-Length-X: 9", "Content-Length: 1234567890123"]
    ),
    max_size=3,
)  # fmt: skip


@given(SPELLINGS)
def test_the_fast_and_the_general_content_length_scan_agree(spelled: list[str]) -> None:
    def outcome(lines: list[str]) -> object:
        head = "\r\n".join(["OPTIONS sip:b SIP/2.0", *lines, "\r\n"]).encode()
        try:
            return [len(message) - len(head) for message in StreamFramer().feed(head + b"12345")]
        except ParseError as error:
            return str(error) if error.status == 400 else error.status

    # Two spaces are not the usual form, so this takes the slow path.
    odd = [line.replace("Content-Length: ", "Content-Length:  ") for line in spelled]
    assert outcome(spelled) == outcome(odd)
