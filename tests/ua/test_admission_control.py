"""Admission control: which requests are refused with 503 under overload (RFC 3261 §21.5.4)."""

from __future__ import annotations

import pytest

from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.ua.user_agent import UserAgent, from_caller

INVITE = messages.invite()


@pytest.mark.parametrize("bound", ["MAX_TRANSACTIONS", "MAX_KNOWN"])
async def test_above_the_transaction_limit_only_out_of_dialog_requests_get_503_rfc3261_21_5_4(
    ua: UserAgent, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    leg, ours = await ua.answered_leg()
    monkeypatch.setattr(f"proxy.ua.admission_control.{bound}", 0)
    await ua.peer.says(messages.request("OPTIONS", branch="z9hG4bKlate"))
    assert (await ua.peer.hears(503)).headers.get("Retry-After") == "30"
    await ua.peer.says(messages.request("CANCEL", branch="z9hG4bKnone"))
    await ua.peer.hears(503)
    await ua.peer.says(messages.request("ACK", branch="z9hG4bKlate"))
    await ua.peer.hears_nothing(for_s=1)
    await ua.peer.says(from_caller(INVITE, "BYE", ours, 2))
    await ua.peer.hears(200)
    assert leg.ended.result() is EndReason.HUNG_UP


async def test_a_completed_invite_transaction_does_not_count_towards_the_transaction_limit(
    ua: UserAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 500 calls a second, 32,000 completed transactions are kept to answer retransmissions."""
    await ua.answered_leg()
    assert (len(ua.core.servers), ua.core.servers.live_count) == (1, 0)
    monkeypatch.setattr("proxy.ua.admission_control.MAX_TRANSACTIONS", 1)
    await ua.peer.says(messages.request("OPTIONS", branch="z9hG4bKlate", call_id="other"))
    await ua.peer.hears(200)


async def test_an_overload_503_creates_no_transaction_and_a_cancel_still_matches_its_invite_rfc3261_9_2(
    ua: UserAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ua.peer.says(INVITE)
    await ua.invitations.get()
    ua.core._admission.overload_wait_s = lambda flow: 7
    again = messages.invite(branch="z9hG4bKother", call_id="other")
    for _ in range(3):
        await ua.peer.says(again)
        assert (await ua.peer.hears(503)).headers.get("Retry-After") == "7"
    assert ua.core.left_over()["server transactions"] == 1
    monkeypatch.setattr("proxy.ua.admission_control.MAX_TRANSACTIONS", 0)
    await ua.peer.says(messages.cancel(INVITE))
    await ua.peer.hears(200)


async def test_completed_transactions_kept_for_retransmissions_do_not_block_new_calls(
    ua: UserAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over UDP each is kept for 32 s: 25,000 of them at 400 calls a second (RFC 3261 §17.2.2)."""
    monkeypatch.setattr("proxy.ua.admission_control.MAX_TRANSACTIONS", 5)
    for number in range(20):
        await ua.peer.says(messages.request("OPTIONS", branch=f"z9hG4bK{number}", call_id=f"c{number}"))
        await ua.peer.hears(200)
    await ua.peer.says(INVITE)
    await ua.invited()


async def test_a_flood_of_options_leaves_transactions_for_calls_and_byes(
    ua: UserAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.ua.admission_control.MAX_KNOWN", 20)
    _, ours = await ua.answered_leg()
    for number in range(30):
        await ua.peer.says(messages.request("OPTIONS", branch=f"z9hG4bK{number}", call_id=f"c{number}"))
    await ua.peer.hears(503)
    await ua.peer.says(from_caller(INVITE, "UPDATE", ours, 2))
    await ua.peer.hears(503)
    assert ua.core.left_over()["server transactions"] == 10
    await ua.peer.says(messages.invite(branch="z9hG4bKother", call_id="other"))
    (await ua.invited()).reply(486)
    await ua.peer.says(from_caller(INVITE, "BYE", ours, 3))
    await ua.peer.hears(200)
