"""Reason on a BYE, a CANCEL or a final response (RFC 3326, RFC 6432)."""

from __future__ import annotations

import pytest

from proxy.sip.errors import ParseError
from proxy.sip.reason import Reason, blocked_by_network, reasons
from tests.kit.messages import invite, request, response


@pytest.mark.parametrize(
    ("text", "reason", "written"),
    [
        ('Q.850 ;cause=16 ;text="Terminated; normally"', Reason("Q.850", 16), "Q.850;cause=16"),
        ("SIP;cause=200", Reason("SIP", 200), "SIP;cause=200"),
        ('Preemption;text="x"', Reason("Preemption", None), "Preemption"),
        ("SIP", Reason("SIP", None), "SIP"),
    ],
)
def test_a_reason_is_parsed_without_its_text_rfc3326_2(text: str, reason: Reason, written: str) -> None:
    assert Reason.parse(text) == reason
    assert str(reason) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";cause=16",
        "a b;cause=1",
        "SIP;cause=busy",
        "SIP;cause=1000",
        "+14155551234;cause=1",
        'SIP;text="x',
    ],
)
def test_a_malformed_reason_raises_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        Reason.parse(text)


def test_reasons_lists_at_most_three_valid_reasons_on_one_line() -> None:
    lines = [("Reason", 'Q.850;cause=16;text="a, b", junk junk'), ("Reason", "SIP;cause=200, X;cause=1")]
    assert reasons(request("BYE", headers=lines)) == "Q.850;cause=16, SIP;cause=200"
    assert reasons(response(invite(), 486, headers=[("Reason", "Q.850;cause=17")])) == "Q.850;cause=17"
    assert reasons(request("BYE")) is None
    assert reasons(request("BYE", headers=[("Reason", "@")])) is None


@pytest.mark.parametrize(
    ("status", "phrase", "reason", "blocked"),
    [
        (603, "Network Blocked", None, True),
        (603, "Decline", 'Q.850;cause=21;text="v=analytics1;url=https://carrier.example/redress"', True),
        (603, "Decline", 'Q.850;cause=21;text="call rejected"', False),
        (603, "Decline", None, False),
        (486, "Network Blocked", None, False),
    ],
)
def test_a_603_network_blocked_or_with_analytics_reason_counts_as_network_block(
    status: int, phrase: str, reason: str | None, blocked: bool
) -> None:
    refusal = response(invite(), status, headers=[("Reason", reason)] if reason else [])
    refusal.reason = phrase
    assert blocked_by_network(refusal) is blocked
