"""Common deviations of real carriers are tolerated on every transport, and corrected in what we send."""

from __future__ import annotations

import pytest

from tests.kit.deviations import DEVIATIONS
from tests.torture.caller import SDP, Caller, wire

INVITE = """\
INVITE sip:+14155550001@example.com SIP/2.0
Via: SIP/2.0/TRANSPORT 192.0.2.1:5060;branch=z9hG4bKUNIQUE;rport
Max-Forwards: 70
From: "Smith, Ann" <sip:+14155550199@example.com>;tag=UNIQUE
To: <sip:+14155550001@example.com>
Call-ID: UNIQUE
CSeq: 7 INVITE
Contact: <sip:ann@192.0.2.1:5060>
Supported: timer
Content-Type: application/sdp
Content-Length: LENGTH
"""


@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_each_harmless_deviation_of_real_devices_is_accepted(caller: Caller, deviation: str) -> None:
    good = wire(INVITE, SDP, caller.transport).decode().replace("\r\n", "\n")
    sloppy = DEVIATIONS[deviation](good)
    assert sloppy != good, "the deviation changed nothing"
    caller.rings_phone(sloppy.replace("\n", "\r\n").encode("utf-8", "surrogateescape"))


def test_bare_line_feeds_end_header_lines(caller: Caller) -> None:
    head, blank, body = wire(INVITE, SDP, caller.transport).partition(b"\r\n\r\n")
    caller.rings_phone((head + blank).replace(b"\r\n", b"\n") + body)


def test_options_without_the_empty_line_after_the_headers_is_accepted_in_a_datagram(caller: Caller) -> None:
    for end in (b"", b"\r\n") if not caller.stream else (b"\r\n\r\n",):
        good = wire(INVITE.replace("INVITE", "OPTIONS"), "", caller.transport)
        caller.send(good.rstrip(b"\r\n") + end)
        caller.receive(200)


def test_octets_beyond_the_content_length_of_a_datagram_are_ignored(caller: Caller) -> None:
    data = wire(INVITE, SDP, caller.transport)
    if not caller.stream:
        data += b"\r\n\0\0 whatever a buffer had left"
    caller.rings_phone(data)


def test_sdp_with_bare_line_feeds_and_no_final_line_end_is_accepted(caller: Caller) -> None:
    caller.rings_phone(INVITE, SDP.rstrip("\n").encode())


def test_an_oversized_message_gets_513_on_a_stream_and_400_in_a_datagram_rfc3261_21_5_7(
    caller: Caller,
) -> None:
    if not caller.stream:
        caller.expect(400, INVITE.replace("Supported: timer", f"X: {'x' * 9000}"), SDP)
        return
    caller.expect(513, INVITE.replace("LENGTH", "70000"), SDP)
    caller.expect_closed()
    caller.assert_edge_responds()


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 99, b"\x16\x03\x01\x02\x00", b"hello\r\n\r\n"]
)
def test_data_that_is_not_sip_gets_no_response(caller: Caller, noise: bytes) -> None:
    caller.send(noise)
    caller.assert_edge_responds()
    if not caller.stream:
        caller.expect_no_response()
