"""RFC 4475 §3.4: backward compatibility with RFC 2543."""

from __future__ import annotations

from tests.torture.caller import Caller


def test_an_invite_without_branch_and_from_tag_rings_the_phone_rfc4475_3_4_1(caller: Caller) -> None:
    caller.rings_phone(
        """
INVITE sip:door@example.com SIP/2.0
Via: SIP/2.0/TRANSPORT gateway.example.com
From: <sip:+14155550UNIQUE@gateway.example.net;user=phone>
Record-Route: <sip:door@example.com;maddr=old.example.com>
To: sip:+14155550102@old.example.net;user=phone
Call-ID: UNIQUE@gateway.example.com
CSeq: 28 INVITE
Contact: <sip:+14155550103@gateway.example.net;user=phone>
Content-Type: application/sdp
"""
        + ("Content-Length: LENGTH" if caller.stream else ""),
    )
