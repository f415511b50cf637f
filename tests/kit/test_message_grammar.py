"""The checker of sent messages finds faults."""

import pytest

from tests.kit import messages
from tests.kit.message_grammar import faults

GOOD = messages.invite().encode()


def test_valid_messages_have_no_faults() -> None:
    assert faults(GOOD) == []
    assert faults(messages.ok(messages.invite()).encode()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\nTo: ", b"\nTo: "), (b"\r\n\r\n", b"\n\n"), (b"To: ", b"t: "), (b"To: ", b"To : "),
        (b"To: ", b"To:  "),
        (b"To: ", b"To:\r\n "), (b" SIP/2.0", b" SIP/2.0 "), (b"INVITE sip", b"INVITE  sip"),
        (b"Content-Type", b"X-T"),
        (b"Content-Length: ", b"Content-Length: 1"), (b"Content-Length", b"X-Length"), (b"z9hG4bK", b"x"),
        (b"Max-Forwards", b"X-Max"), (b"To: ", b"To: <sip:a>\r\nTo: "), (b"Call-ID: ", b"Call-ID: \x07"),
        (b"Call-ID", b"X-Id"), (b";tag=alice1", b""),
        (b"From: <sip:alice@example.com>", b"From: sip:alice@example.com"),
    ],
)  # fmt: skip
def test_each_grammar_violation_is_reported(old: bytes, new: bytes) -> None:
    assert old in GOOD
    assert faults(GOOD.replace(old, new, 1))
