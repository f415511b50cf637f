"""message/sipfrag bodies."""

import pytest

from proxy.sip.errors import ParseError
from proxy.sip.sipfrag import parse_sipfrag, sipfrag


def test_sipfrag_is_a_single_status_line_rfc3515_2_4_5() -> None:
    assert sipfrag(100) == b"SIP/2.0 100 Trying\r\n"
    assert sipfrag(486, "Busy") == b"SIP/2.0 486 Busy\r\n"
    assert sipfrag(200, "") == b"SIP/2.0 200 \r\n"


@pytest.mark.parametrize("reason", ["a\r\nb", "a\nb"])
def test_a_reason_phrase_with_a_line_break_raises_value_error(reason: str) -> None:
    with pytest.raises(ValueError, match="would break the line"):
        sipfrag(200, reason)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"SIP/2.0 100 Trying\r\n", 100),
        (b"SIP/2.0 200", 200),
        (b"\r\nsip/2.0  486 Busy Here\r\nContact: <sip:a>\r\n", 486),
        (b"SIP/2.0 603 \xc3\xa9", 603),
    ],
)
def test_the_status_of_a_sipfrag_is_parsed_rfc3420(body: bytes, status: int) -> None:
    assert parse_sipfrag(body) == status


@pytest.mark.parametrize(
    "body", [b"", b"200 OK", b"SIP/2.0 OK", b"SIP/2.0 4294967301 x", b"SIP/3.0 200 OK", b"\xff"]
)
def test_a_sipfrag_without_a_status_line_raises_parse_error(body: bytes) -> None:
    with pytest.raises(ParseError, match="no status line"):
        parse_sipfrag(body)
