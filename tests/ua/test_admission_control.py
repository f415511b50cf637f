"""Who is told to wait when more is asked than there is room for (RFC 3261 §21.5.4)."""

from __future__ import annotations

import pytest

from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.ua.house import House, within

INVITE = messages.invite()


@pytest.mark.parametrize("bound", ["MAX_TRANSACTIONS", "MAX_KNOWN"])
async def test_requests_beyond_what_we_can_keep_are_503_outside_dialogs_alone_rfc3261_21_5_4(
    house: House, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    leg, ours = await house.called()
    monkeypatch.setattr(f"proxy.ua.admission_control.{bound}", 0)
    await house.far.says(messages.request("OPTIONS", branch="z9hG4bKlate"))
    assert (await house.far.hears(503)).headers.get("Retry-After") == "30"
    await house.far.says(messages.request("CANCEL", branch="z9hG4bKnone"))
    await house.far.hears(503)
    await house.far.says(messages.request("ACK", branch="z9hG4bKlate"))
    await house.far.hears_nothing(for_s=1)
    await house.far.says(within(INVITE, "BYE", ours, 2))
    await house.far.hears(200)
    assert leg.ended.result() is EndReason.HUNG_UP


async def test_what_was_answered_lately_does_not_count_as_work(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 500 calls a second 32,000 transactions are kept for their repeats."""
    await house.called()
    assert (len(house.core.servers), house.core.servers.live_count) == (1, 0)
    monkeypatch.setattr("proxy.ua.admission_control.MAX_TRANSACTIONS", 1)
    await house.far.says(messages.request("OPTIONS", branch="z9hG4bKlate", call_id="other"))
    await house.far.hears(200)


async def test_what_is_turned_away_unread_keeps_nothing_and_cancel_still_finds_its_invite_rfc3261_9_2(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.far.says(INVITE)
    await house.invitations.get()
    house.core._admission.overload_wait_s = lambda flow: 7
    again = messages.invite(branch="z9hG4bKother", call_id="other")
    for _ in range(3):
        await house.far.says(again)
        assert (await house.far.hears(503)).headers.get("Retry-After") == "7"
    assert house.core.left_over()["server transactions"] == 1
    monkeypatch.setattr("proxy.ua.admission_control.MAX_TRANSACTIONS", 0)
    await house.far.says(messages.cancel(INVITE))
    await house.far.hears(200)


async def test_what_is_answered_and_only_kept_for_repeats_is_no_reason_to_turn_calls_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UDP has us keep each for 32 s: at 400 calls a second these are 25,000 (RFC 3261 §17.2.2)."""
    monkeypatch.setattr("proxy.ua.admission_control.MAX_TRANSACTIONS", 5)
    for number in range(20):
        await house.far.says(messages.request("OPTIONS", branch=f"z9hG4bK{number}", call_id=f"c{number}"))
        await house.far.hears(200)
    await house.far.says(INVITE)
    await house.invited()


async def test_who_asks_without_end_leaves_room_for_calls(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.ua.admission_control.MAX_KNOWN", 20)
    _, ours = await house.called()
    for number in range(30):
        await house.far.says(messages.request("OPTIONS", branch=f"z9hG4bK{number}", call_id=f"c{number}"))
    await house.far.hears(503)
    await house.far.says(within(INVITE, "UPDATE", ours, 2))
    await house.far.hears(503)
    assert house.core.left_over()["server transactions"] == 10
    await house.far.says(messages.invite(branch="z9hG4bKother", call_id="other"))
    (await house.invited()).reply(486)
    await house.far.says(within(INVITE, "BYE", ours, 3))
    await house.far.hears(200)
