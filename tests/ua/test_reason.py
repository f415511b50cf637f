"""End reasons of a leg: their texts, final statuses and Reason headers (RFC 3326)."""

from __future__ import annotations

import pytest

from proxy.sip.message import parse_message
from proxy.ua.reason import EndReason
from tests.kit import messages


@pytest.mark.parametrize("reason", EndReason)
def test_every_end_reason_has_a_text_a_final_status_and_a_reason_header(reason: EndReason) -> None:
    assert reason.text
    assert 400 <= reason.status < 700
    bye = messages.request("BYE", headers=[("Reason", reason.header)])
    assert parse_message(bye.encode()).headers.get("Reason") == reason.header
    protocol = "SIP" if reason in (EndReason.ELSEWHERE, EndReason.BLOCKED) else "Q.850"
    assert reason.header.startswith(f"{protocol};cause=")


def test_the_reason_for_a_call_answered_elsewhere_is_cause_200_rfc3326_2() -> None:
    assert EndReason.ELSEWHERE.header == 'SIP;cause=200;text="Call completed elsewhere"'


def test_every_end_reason_has_its_own_text() -> None:
    assert len({reason.text for reason in EndReason}) == len(EndReason)
