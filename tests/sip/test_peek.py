"""The cheap checks on raw bytes agree with the parsed message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sip.errors import ParseError
from proxy.sip.message import Request, parse_message
from proxy.sip.peek import may_be_follow_up
from tests.sip.shapes import OPENAI_200, SIGNALWIRE_INVITE

BYE = (
    b"BYE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:b@h>;tag=1\r\n%s\r\n"
    b"Call-ID: 1\r\nCSeq: 1 BYE\r\n\r\n"
)


@pytest.mark.parametrize(
    "to",
    [
        b"To: <sip:a@h>;tag=x", b"to:<sip:a@h> ; TAG = x", b"t: sip:a@h;tag=x", b"T\t: A <sip:a@h>;a=b;tag=x",
        b"To: <sip:a@h>\r\n ;tag=x", b"To:\r\n\t<sip:a@h>;\r\n tag=x",
    ],
)  # fmt: skip
def test_a_to_tag_in_any_spelling_marks_a_possible_in_dialog_request_rfc3261_7_3_1(to: bytes) -> None:
    assert may_be_follow_up(BYE % to)
    assert may_be_follow_up((BYE % to).replace(b"\r\n", b"\n"))


@pytest.mark.parametrize(
    "to", [b"To: <sip:a@h>", b"t: a@h", b"X-To: <sip:a@h>;tag=x", b"Tot: x;tag=y", b"", b"\0"]
)
def test_a_request_without_a_to_tag_is_not_in_a_dialog(to: bytes) -> None:
    assert not may_be_follow_up(BYE % to)


def test_a_response_may_belong_to_a_request_of_ours_rfc3261_17_1_3() -> None:
    assert may_be_follow_up(OPENAI_200)
    assert may_be_follow_up(b"\r\n\r\n" + OPENAI_200.replace(b"SIP/2.0", b"sip/2.0", 1))
    assert not may_be_follow_up(SIGNALWIRE_INVITE)
    assert not may_be_follow_up(b"")


@given(st.text(alphabet="tag=; <>sip:@h\r\n\tToTG\"'x", max_size=40))
def test_every_to_tag_that_the_parser_finds_is_seen_by_the_raw_check(value: str) -> None:
    data = BYE % (b"To: " + value.encode())
    try:
        message = parse_message(data)
        tag = message.to_tag
    except ParseError:
        return
    if isinstance(message, Request) and tag is not None:
        assert may_be_follow_up(data)
