"""Loop detection (RFC 3261 §16.3), and recognition of emergency URNs (RFC 5031)."""

from __future__ import annotations

import pytest

from proxy.ua.loop_detection import is_emergency, is_loop
from tests.kit import messages
from tests.ua.user_agent import HOST, UserAgent

PORTS = {"udp": 5060, "tls": 5061}


@pytest.mark.parametrize(
    ("transport", "sent_by", "looped"),
    [
        ("UDP", "sbc.example.com:5060", True),
        ("UDP", "sbc.example.com", True),
        ("TLS", "sbc.example.com", True),
        ("TLS", "sbc.example.com:5061", True),
        ("UDP", "sbc.example.com:5080", False),
        ("TCP", "sbc.example.com:5060", False),
        ("UDP", "other.sbc.example.com:5060", False),
        ("UDP", "192.0.2.1", False),
    ],
)
def test_our_address_in_a_via_is_a_loop_rfc3261_16_3(transport: str, sent_by: str, looped: bool) -> None:
    ours = ("Via", f"SIP/2.0/{transport} {sent_by};branch=z9hG4bKours")
    assert is_loop(messages.invite(headers=[ours]), HOST, PORTS) is looped
    assert is_loop(messages.invite(sent_by=sent_by, transport=transport), HOST, PORTS) is looped


@pytest.mark.parametrize(
    ("contact", "looped"),
    [
        ("<sip:token1@sbc.example.com:5060>", True),
        ("<sip:token1@sbc.example.com:5061;transport=tls>", True),
        ("<sip:token1@sbc.example.com>", True),
        ("<sip:token1@sbc.example.com:5061>", False),
        ("<sip:token1@192.0.2.9:5060>", False),
        (None, False),
    ],
)
def test_our_address_in_the_contact_is_a_loop(contact: str | None, looped: bool) -> None:
    assert is_loop(messages.request("INVITE", contact=contact), HOST, PORTS) is looped


async def test_a_looped_invite_gets_482_and_max_forwards_0_gets_483_rfc3261_16_3(ua: UserAgent) -> None:
    await ua.peer.says(messages.invite(headers=[("Via", f"SIP/2.0/UDP {HOST}:5060;branch=z9hG4bKx")]))
    await ua.peer.hears(482)
    tired = messages.invite(branch="z9hG4bKtired", call_id="tired", from_tag="t")
    tired.headers.set("Max-Forwards", "0")
    await ua.peer.says(tired)
    await ua.peer.hears(483)
    assert ua.invitations.empty()


@pytest.mark.parametrize(
    ("uri", "help_"),
    [
        ("urn:service:sos", True),
        ("URN:service:sos.police", True),
        ("urn:service:counseling", False),
        ("tel:911", False),
    ],
)
def test_a_urn_service_sos_is_an_emergency_call_rfc5031_4_2(uri: str, help_: bool) -> None:
    assert is_emergency(messages.invite(uri)) is help_


async def test_a_urn_other_than_sos_gets_416_rfc3261_8_2_2_1(ua: UserAgent) -> None:
    await ua.peer.says(messages.invite("urn:service:counseling"))
    await ua.peer.hears(416)
