"""INFO: key presses are accepted and passed on; everything else is answered (RFC 6086, RFC 2976)."""

from __future__ import annotations

import pytest

from proxy.ua.info import key_in
from tests.kit import messages
from tests.ua.user_agent import UserAgent, from_caller

INVITE = messages.invite()
RELAY, BARE = "application/dtmf-relay", "application/dtmf"


@pytest.mark.parametrize(
    ("kind", "body", "keys"),
    [
        (RELAY, b"Signal=1\r\nDuration=160\r\n", [("1", 0.16)]),
        (RELAY, b"Signal= *\nDuration= 250", [("*", 0.25)]),
        (RELAY, b"signal=11", [("#", 0.1)]),
        (RELAY, b"Signal=d\r\nDuration=-5\r\n", [("D", 0.1)]),
        (RELAY, b"Signal=7\r\nDuration=99999\r\n", [("7", 10.0)]),
        (BARE, b"5", [("5", 0.1)]),
        (BARE, b" #\r\n", [("#", 0.1)]),
    ],
)
async def test_a_dtmf_info_gets_200_and_is_passed_to_the_media(ua: UserAgent, kind, body, keys) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "INFO", ours, 2, content_type=kind, body=body))
    await ua.peer.hears(200)
    assert leg.media.keys == keys


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (RELAY, b"Signal=99\r\n", 400), (RELAY, b"\xff\x00", 400), (RELAY, b"Signal=hookflash", 400),
        (BARE, b"99", 400),
        (BARE, b"5" * 5000, 400), ("application/media_control+xml", b"<media_control/>", 415),
        ("text/plain", b"5", 415),
    ],
)  # fmt: skip
async def test_an_info_without_a_valid_dtmf_signal_gets_400_or_415(
    ua: UserAgent, kind: str, body: bytes, status: int
) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "INFO", ours, 2, content_type=kind, body=body))
    answer = await ua.peer.hears(status)
    assert leg.media.keys == []
    assert not leg.ended.done()
    assert (answer.headers.get("Accept") == f"{RELAY}, {BARE}") is (status == 415)


async def test_an_empty_info_gets_200_rfc2976_2_2(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "INFO", ours, 2))
    await ua.peer.hears(200)
    assert leg.media.keys == []


async def test_an_info_with_an_info_package_gets_469_rfc6086_4_2_2(ua: UserAgent) -> None:
    _, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "INFO", ours, 2, headers=[("Info-Package", "foo")]))
    assert "Recv-Info" in (await ua.peer.hears(469)).headers


async def test_an_info_outside_a_dialog_gets_481_rfc6086_4_2_1(ua: UserAgent) -> None:
    await ua.peer.says(messages.request("INFO"))
    await ua.peer.hears(481)


def test_a_dtmf_signal_that_is_not_an_ascii_digit_is_ignored() -> None:
    assert key_in("Signal=٣".encode(), relay=True) is None
