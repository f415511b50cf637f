"""The ACK for a non-2xx response, and the CANCEL, made from their INVITE."""

from __future__ import annotations

from proxy.sip.transactions import ack_for, cancel_for
from tests.kit.messages import invite, response

ROUTES = [
    ("Route", "<sip:p1.example.com;lr;x=Y>"),
    ("Route", "<sip:p2.example.com;lr>, <sip:p3.example.com;lr>"),
]


def test_ack_for_a_non_2xx_has_the_fields_of_the_invite_and_the_to_of_the_response_rfc3261_17_1_1_3() -> None:
    sent = invite(headers=[*ROUTES, ("Proxy-Authorization", "Digest x"), ("Supported", "timer")], cseq=7)
    sent.headers.add("Via", "SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKfarther")
    ack = ack_for(sent, response(sent, 486, to_tag="busy1"))
    assert ack.start_line == "ACK sip:bob@sbc.example.com SIP/2.0"
    assert list(ack.headers) == [
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport"),
        ("Max-Forwards", "70"),
        *ROUTES,
        ("From", "<sip:alice@example.com>;tag=alice1"),
        ("To", "<sip:bob@sbc.example.com>;tag=busy1"),
        ("Call-ID", "a84b4c76e66710"),
        ("CSeq", "7 ACK"),
    ]
    assert ack.body == b""


def test_cancel_copies_via_route_and_dialog_fields_of_the_invite_rfc3261_9_1() -> None:
    sent = invite(headers=[*ROUTES, ("Require", "100rel"), ("Proxy-Require", "foo")], cseq=7)
    cancel = cancel_for(sent)
    assert cancel.start_line == "CANCEL sip:bob@sbc.example.com SIP/2.0"
    assert list(cancel.headers) == [
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport"),
        ("Max-Forwards", "70"),
        *ROUTES,
        ("From", "<sip:alice@example.com>;tag=alice1"),
        ("To", "<sip:bob@sbc.example.com>"),
        ("Call-ID", "a84b4c76e66710"),
        ("CSeq", "7 CANCEL"),
    ]
    assert cancel.body == b""
